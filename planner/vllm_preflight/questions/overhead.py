"""compute_overhead's answer: the formula's value, beside what a model is predicted to take."""

from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import bytes_to_gib, gib_to_bytes
from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.contract.overhead import OverheadReport, OverheadRequest
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.memory.overhead import overhead_terms
from vllm_preflight.memory.runtime.runtime import RuntimeMemory, runtime_memory
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.launches import resolve_for


def overhead_report(
    request: OverheadRequest, *, progress: Callable[[str], None] | None = None
) -> OverheadReport:
    """The overhead of one tensor-parallel group, in bytes and GiB, with its terms.

    With a model and a GPU the answer also says what vLLM is predicted to take with its
    default arguments, over the same group.

    Raises:
        PreflightError: model without gpu or the reverse, or one of them is unknown.
    """
    terms = overhead_terms(
        gib_to_bytes(request.vram_total_gib), request.tensor_parallel_size, request.overhead_gb
    )
    total = sum(term.bytes or 0 for term in terms)
    report = OverheadReport(
        overhead_bytes=total,
        overhead_gib=bytes_to_gib(total, 4),
        method="formula" if request.overhead_gb is None else "fixed",
        terms=report_terms(terms),
    )
    runtime = _predicted(request, progress)
    if runtime is None:
        return report
    fitted = runtime.budget_bytes * request.tensor_parallel_size
    return report.model_copy(
        update={
            "fitted_gib": bytes_to_gib(fitted, 2),
            "fitted_difference_gib": bytes_to_gib(fitted - total, 2),
            "terms": [*report.terms, *report_terms(runtime.terms)],
        }
    )


def _predicted(
    request: OverheadRequest, progress: Callable[[str], None] | None
) -> RuntimeMemory | None:
    if request.model is None and request.gpu is None:
        return None
    if request.model is None or request.gpu is None:
        missing = "gpu" if request.gpu is None else "model"
        raise InvalidRequest(
            f"The comparison needs a {missing} too.", "Give model and gpu, or neither."
        )
    hardware = select_hardware(HardwareInput(gpu=request.gpu))
    model = load_model(request.model, progress=progress)
    launch = resolve_for(
        model,
        hardware,
        StartupRequest(
            model=request.model,
            tensor_parallel_size=request.tensor_parallel_size,
            vllm_version=request.vllm_version,
        ),
    )
    return runtime_memory(model, launch, hardware.gpu)
