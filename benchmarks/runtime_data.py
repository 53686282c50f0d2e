"""The start-ups and priors that the runtime model is fitted on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import StartupCase, load_cases
from benchmarks.inputs import Inputs, inputs_of

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.memory.runtime.coefficients import Coefficients, coefficients_from

PRIORS = Path(__file__).parent / "data/runtime_priors.json"


def load_priors() -> Coefficients:
    """Where the fit starts."""
    return coefficients_from(json.loads(PRIORS.read_text(encoding="utf-8")))


def comparable(cases: Sequence[StartupCase]) -> tuple[list[Inputs], dict[str, str]]:
    """The cases a prediction can be compared with, and why the others cannot."""
    found: list[Inputs] = []
    left_out: dict[str, str] = {}
    for case in cases:
        if case.excluded:
            left_out[case.id] = case.excluded
        elif case.engine != "V1":
            left_out[case.id] = "the V0 engine"
        else:
            try:
                found.append(inputs_of(case))
            except (PreflightError, ValueError) as error:
                left_out[case.id] = str(error)
    return found, left_out


def fitting_inputs(cases: Sequence[StartupCase] | None = None) -> list[Inputs]:
    """All comparable cases."""
    return comparable(load_cases() if cases is None else cases)[0]
