"""explain_startup_log: what a vLLM log says, beside what was to be expected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from vllm_preflight.base.errors import PreflightError, UnknownModel
from vllm_preflight.base.strangers import before_strangers
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.explain import (
    Calibration,
    LogExplanationReport,
    LogFailureReport,
    TermComparison,
)
from vllm_preflight.diagnosis.comparison import calibration_from, compare_terms, largest_difference
from vllm_preflight.diagnosis.launch_of_log import LogRequest, request_from_log
from vllm_preflight.diagnosis.story import name_difference, tell
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.logs.causes import cause_of
from vllm_preflight.logs.parse import parse_log
from vllm_preflight.logs.startup_log import LogFailure, StartupLog
from vllm_preflight.models.model import Model
from vllm_preflight.models.served import load_served
from vllm_preflight.models.sources import load_model
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.recommend.settings import LENGTH_STEP

# What takes some milliseconds to read, whatever it says.
_SHORT_LOG = 50_000
Progress = Callable[[str], None]

_MEMORY_KINDS = frozenset(
    {
        "weights_do_not_fit",
        "no_kv_cache_memory",
        "kv_cache_too_small",
        "mamba_blocks_too_few",
        "out_of_memory_after_sizing",
        "out_of_memory",
        "free_memory_below_request",
    }
)
# Failures that smaller batches help against.
_BATCH_KINDS = frozenset({"out_of_memory_after_sizing", "out_of_memory", "no_kv_cache_memory"})
# What warm-up needs beyond the allocation that failed, in GiB.
_SLACK_GIB = 0.25
# Below this nobody runs a server.
_LEAST_SHARE = 0.05
# Batches below this many tokens serve nobody.
_LEAST_BATCH = 512


def explain_startup_log(
    text: str,
    *,
    overrides: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> LogExplanationReport:
    """What happened in a vLLM start-up, term by term beside the prediction, and what to change.

    `text` is a log in any wrapping; it is read as data and never echoed whole. `overrides`
    are fields of StartupRequest (model, gpu, vllm_version, …) for what the log does not
    show. Without a model or GPU the log is still told, only not compared. Remedies are
    simulated with the log's own figures.

    Raises:
        InvalidRequest: an override is no field or has no such value.
    """
    if len(text) > _SHORT_LOG:
        before_strangers()
    log = parse_log(text)
    wanted = request_from_log(log, overrides)
    warnings = list(wanted.notes)
    if log.attempts > 1:
        warnings.append(
            f"The text holds {log.attempts} start-ups; the last that shows its end is told."
        )
    if log.clipped:
        warnings.append("The text is very long; its middle was not read.")
    missing = wanted.missing
    predicted = compared = None
    if not missing:
        try:
            compared = _Compared(log, wanted, progress)
            predicted = compared.prediction
            warnings += compared.warnings
            if predicted.failure is not None and predicted.failure.kind == "not_modelled":
                warnings.append(f"Not all of it is predicted: {predicted.failure.message}")
        except PreflightError as error:
            missing = str(error)
    rows = compare_terms(log, predicted)
    largest = largest_difference(rows, predicted)
    reasons = compared.reasons(largest) if compared and largest else ""
    remedies = compared.remedies() if compared else []
    if missing:
        warnings.append(f"Nothing is predicted beside it. {missing}")
    failure = log.failure and _failure_report(log.failure)
    return LogExplanationReport(
        outcome=log.outcome,
        explanation=tell(log, predicted, largest, remedies, reasons),
        vllm_version=log.version,
        engine=log.engine,
        model=wanted.model or None,
        gpu=compared.hardware.gpu.name if compared else log.gpu_name,
        failure=failure,
        comparison=rows,
        largest_difference=name_difference(largest) if largest else None,
        remedies=remedies,
        calibration=compared.calibration if compared else None,
        command=wanted.command,
        prediction=predicted,
        warnings=warnings,
        next_steps=_next_steps(log, remedies, compared),
    )


def _failure_report(failure: LogFailure) -> LogFailureReport:
    cause = cause_of(failure.cause) if failure.cause else None
    return LogFailureReport(
        kind=failure.kind,
        message=failure.message,
        phase=failure.phase or None,
        certain=failure.certain,
        figures=dict(failure.figures),
        cause=cause and cause.id,
        remedy=cause and cause.remedy,
        setting=cause and cause.setting,
    )


class _Compared:
    """A log whose launch could be predicted, with the simulations that follow from it."""

    def __init__(self, log: StartupLog, wanted: LogRequest, progress: Progress | None) -> None:
        self._log = log
        request = wanted.request()
        self.hardware: Hardware = select_hardware(request)
        self._model, self._wanted = _load(wanted, request.revision, progress)
        response = predict_startup(
            self._wanted.request(), model=self._model, hardware=self.hardware
        )
        self.prediction: StartupReport = response.startup
        self._arguments = response.arguments
        self.warnings = response.warnings
        self.calibration: Calibration | None = None
        # As the log measured this very start: what was left for the cache included.
        self._measured: Calibration | None = None
        if log.engine != "V0":
            self.calibration = self._calibrated(attribute_rest=False)
            self._measured = self._calibrated(attribute_rest=True)

    def _calibrated(self, *, attribute_rest: bool) -> Calibration | None:
        return calibration_from(
            compare_terms(self._log, self.prediction),
            self.prediction,
            {**self._wanted.fields, **self._arguments},
            self._model,
            self.hardware.gpu,
            attribute_rest=attribute_rest,
        )

    def reasons(self, largest: TermComparison) -> str:
        """What would explain that the cache got more or less memory than predicted."""
        if largest.term != "available_kv_cache_gib" or largest.difference is None:
            return ""
        total = self.hardware.gpu.visible_bytes / BYTES_TO_GIB
        share = self._arguments["gpu_memory_utilization"] + largest.difference / total
        found: list[str] = []
        if _LEAST_SHARE < share <= 1:
            found.append(f"a gpu_memory_utilization of {share:.2f} would explain it")
        if largest.difference < 0:
            found.append(f"so would another process that holds {-largest.difference:.1f} GiB")
            found.append("a first start with a cold compile cache leaves less too")
        if self._log.version is None:
            found.append("and vLLM's release is not known")
        return f"{'; '.join(found)}." if found else ""

    def simulate(self, **changes: Any) -> StartupReport | None:
        """The launch with changes and the log's figures; None where it is no launch."""
        if self._measured:
            changes["calibration"] = json.dumps(self._measured.to_json_dict())
        try:
            response = predict_startup(
                self._wanted.request(**changes), model=self._model, hardware=self.hardware
            )
        except PreflightError:
            return None
        return response.startup

    def remedies(self) -> list[str]:
        """Changes after which the launch starts, by simulation with the log's figures."""
        failure = self._log.failure
        if failure is None or self._log.outcome != "failed":
            return []
        if failure.kind == "no_kv_cache_memory" and self._log.available_kv_gib is None:
            # By how much is not known, so no change can be proved.
            return []
        again = self.simulate()
        if again and again.failure:
            found = list(again.failure.remedies)
            if found or failure.kind not in _MEMORY_KINDS:
                return self._with_measured_length(found)
        if failure.kind not in _MEMORY_KINDS:
            return []
        return [
            text
            for text, changes in self._changes(failure.kind)
            if (report := self.simulate(**changes)) and report.starts
        ]

    def _with_measured_length(self, found: list[str]) -> list[str]:
        """`found` with the length that vLLM itself worked out from what it measured."""
        figures = dict(self._log.failure.figures) if self._log.failure else dict[str, float]()
        length = int(figures.get("estimated_max_model_len", 0)) // LENGTH_STEP * LENGTH_STEP
        if length <= 0:
            return found
        text, changes = _flag("max_model_len", length)
        report = self.simulate(**changes)
        if report is None or not report.starts:
            return found
        name = text.partition(" ")[0]
        return [text, *(item for item in found if item.split()[0] != name)]

    def _changes(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """What helps against a kind of failure, where the simulation itself shows none."""
        figures = dict(self._log.failure.figures) if self._log.failure else dict[str, float]()
        if kind == "kv_cache_too_small" and "estimated_max_model_len" in figures:
            yield _flag("max_model_len", int(figures["estimated_max_model_len"]))
        if kind == "mamba_blocks_too_few" and figures.get("mamba_blocks"):
            yield _flag("max_num_seqs", int(figures["mamba_blocks"]))
        if kind == "free_memory_below_request" and figures.get("total_gib"):
            share = figures.get("free_gib", 0) / figures["total_gib"]
            yield _flag("gpu_memory_utilization", int(100 * share) / 100)
        if kind in {"out_of_memory_after_sizing", "out_of_memory"}:
            yield from self._lower_share(figures.get("tried_gib", 0))
        profiling = self._log.failure is not None and self._log.failure.phase == "profiling"
        if profiling or kind in _BATCH_KINDS:
            yield from self._smaller_batches()
        if kind == "out_of_memory_after_sizing" and not self._arguments["enforce_eager"]:
            yield "--enforce-eager", {"enforce_eager": True}
        if kind != "free_memory_below_request":
            yield _flag("tensor_parallel_size", 2 * self._arguments["tensor_parallel_size"])

    def _lower_share(self, tried_gib: float) -> Iterator[tuple[str, dict[str, Any]]]:
        """A share that leaves what could not be allocated outside of it."""
        total = self.hardware.gpu.visible_bytes / BYTES_TO_GIB
        share = self._arguments["gpu_memory_utilization"]
        lower = int(100 * (share - max(0.02, (tried_gib + _SLACK_GIB) / total))) / 100
        if lower > 0:
            yield _flag("gpu_memory_utilization", lower)

    def _smaller_batches(self) -> Iterator[tuple[str, dict[str, Any]]]:
        half = self._arguments["max_num_batched_tokens"] // 2
        if half >= _LEAST_BATCH:
            yield _flag("max_num_batched_tokens", half)
        fewer = [seqs for seqs in (256, 64, 16) if seqs < self._arguments["max_num_seqs"]]
        if fewer:
            yield _flag("max_num_seqs", fewer[0])


def _flag(name: str, value: int | float) -> tuple[str, dict[str, Any]]:
    return f"--{name.replace('_', '-')} {value:.15g}", {name: value}


def _load(
    wanted: LogRequest, revision: str | None, progress: Progress | None
) -> tuple[Model, LogRequest]:
    """The model a log names; the last part of a path that is not on this machine."""
    try:
        return load_served(wanted.model, revision=revision, progress=progress), wanted
    except UnknownModel:
        name = wanted.model.rstrip("/").rpartition("/")[2]
        if name == wanted.model:
            raise
        model = load_model(name, progress=progress)
        return model, replace(wanted, fields={**wanted.fields, "model": name})


def _next_steps(log: StartupLog, remedies: list[str], compared: _Compared | None) -> list[str]:
    steps: list[str] = []
    if remedies:
        steps.append(f"Start again with {remedies[0]}.")
    if log.outcome == "unknown" and log.consequence:
        steps.append("Give the log from the first line with ERROR or Traceback on.")
    elif log.outcome == "unknown":
        steps.append("Give the whole log, up to its last line.")
    if compared and compared.calibration:
        steps.append("Give the calibration to later plans and checks of this launch.")
    return steps
