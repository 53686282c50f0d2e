"""Correcting the predicted memory by what a log of the same launch measured."""

from __future__ import annotations

import json
from dataclasses import replace

from pydantic import ValidationError

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import BYTES_TO_GIB, bytes_to_gib, gib_to_bytes
from vllm_preflight.contract.explain import Calibration
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.memory.runtime.runtime import EIGHTY_PERCENT, RuntimeMemory
from vllm_preflight.memory.weights.weights import RankWeights

# No log of one launch moves a term by more than this; more is a unit mistaken.
_LARGEST_GIB = 1024.0
# What remains between runs of one launch on one machine: figures are printed to 0.01 GiB
# and weights, activation, non-torch and graphs are four of them, each rounded, plus the
# driver's own few pages.
_SPREAD_GIB = 0.05


def parse_calibration(text: str | None) -> Calibration | None:
    """The calibration that explain_startup_log returned, from its JSON; None for None.

    Raises:
        InvalidRequest: the text is no such JSON, or a figure is out of range.
    """
    if text is None:
        return None
    try:
        calibration = Calibration.model_validate(json.loads(text))
    except (ValueError, RecursionError, ValidationError) as error:
        raise InvalidRequest(
            f"calibration is {text[:60]!r}, which is no calibration.",
            "Pass the calibration that a log gave, as JSON.",
        ) from error
    figures = (
        calibration.weights_gib,
        calibration.activation_gib,
        calibration.non_torch_gib,
        calibration.cuda_graph_gib,
    )
    for figure in figures:
        # Written so that NaN fails too.
        if figure is not None and not abs(figure) <= _LARGEST_GIB:
            raise InvalidRequest(
                f"calibration has a figure of {figure} GiB.",
                "Pass the calibration that a log gave, unchanged.",
            )
    return calibration


def why_not_applied(calibration: Calibration, model: str, gpu: Gpu, launch: Launch) -> str:
    """Why a calibration does not hold for a launch, as a sentence; empty when it does."""
    version = parse_version(calibration.vllm_version)
    pairs = (
        ("model", calibration.model, model, calibration.model.lower() == model.lower()),
        ("GPU", calibration.gpu, gpu.name, calibration.gpu == gpu.name),
        (
            "vLLM",
            calibration.vllm_version,
            ".".join(map(str, launch.version)),
            version[:2] == launch.version[:2],
        ),
        (
            "tensor-parallel size",
            calibration.tensor_parallel_size,
            launch.tensor_parallel_size,
            calibration.tensor_parallel_size == launch.tensor_parallel_size,
        ),
        (
            "pipeline-parallel size",
            calibration.pipeline_parallel_size,
            launch.pipeline_parallel_size,
            calibration.pipeline_parallel_size == launch.pipeline_parallel_size,
        ),
    )
    for name, theirs, ours, same in pairs:
        if not same:
            return (
                f"The calibration is not applied: it is of {name} {theirs}, this launch of {ours}."
            )
    return ""


def calibrate(
    calibration: Calibration, weights: RankWeights, runtime: RuntimeMemory
) -> tuple[RankWeights, RuntimeMemory]:
    """Weights and runtime memory with the log's differences added; no term below zero.

    The interval narrows to what remains between runs of one launch, where the log
    measured the whole budget.
    """
    load = _shift(calibration.weights_gib)
    stages = tuple(
        replace(stage, allocated=max(0, stage.allocated + load)) for stage in weights.stages
    )
    peak = _shift(calibration.activation_gib)
    corrected = replace(
        runtime,
        activation_bytes=max(0, runtime.activation_bytes + peak),
        stage_activation_bytes=tuple(max(0, a + peak) for a in runtime.stage_activation_bytes),
        non_torch_bytes=max(0, runtime.non_torch_bytes + _shift(calibration.non_torch_gib)),
        cuda_graph_bytes=max(0, runtime.cuda_graph_bytes + _shift(calibration.cuda_graph_gib)),
        worded=lambda: (*runtime.terms, *_terms(calibration)),
    )
    if calibration.non_torch_gib is not None:
        spread = min(runtime.spread_bytes, gib_to_bytes(_SPREAD_GIB))
        width = round(EIGHTY_PERCENT * spread)
        corrected = replace(corrected, spread_bytes=spread, low_bytes=-width, high_bytes=width)
    return RankWeights(stages), corrected


def _shift(gib: float | None) -> int:
    return 0 if gib is None else round(gib * BYTES_TO_GIB)


def _terms(calibration: Calibration) -> list[Term]:
    shifts = {
        "weights": calibration.weights_gib,
        "activation": calibration.activation_gib,
        "non_torch": calibration.non_torch_gib,
        "cuda_graph": calibration.cuda_graph_gib,
    }
    return [
        Term(
            name=f"calibration_{name}",
            bytes=round(gib * BYTES_TO_GIB),
            formula=f"logged minus predicted {name.replace('_', ' ')}, "
            f"{bytes_to_gib(gib * BYTES_TO_GIB):+.2f} GiB",
            basis="measured",
            source=f"a start-up log of {calibration.model} on {calibration.gpu}",
        )
        for name, gib in shifts.items()
        if gib
    ]
