"""compute_overhead's answer: the formula's value, beside what a model is predicted to take."""

from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import bytes_to_gib, gib_to_bytes
from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.inputs import HardwareInput
from vllm_preflight.contract.overhead import OverheadReport, OverheadRequest
from vllm_preflight.hardware.select import Hardware, select_hardware
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
        PreflightError: neither a size nor a GPU, a model without one, or one that is unknown.
    """
    hardware = None if request.gpu is None else select_hardware(HardwareInput(gpu=request.gpu))
    terms = overhead_terms(
        _group_bytes(request, hardware), request.tensor_parallel_size, request.overhead_gb
    )
    total = sum(term.bytes or 0 for term in terms)
    report = OverheadReport(
        overhead_bytes=total,
        overhead_gib=bytes_to_gib(total, 4),
        method="formula" if request.overhead_gb is None else "fixed",
        terms=report_terms(terms),
    )
    runtime = _predicted(request, hardware, progress)
    if runtime is None:
        return report
    fitted = runtime.budget_bytes * request.tensor_parallel_size
    return report.model_copy(
        update={
            "fitted_per_gpu_gib": bytes_to_gib(runtime.budget_bytes, 2),
            "fitted_all_gpus_gib": bytes_to_gib(fitted, 2),
            "fitted_difference_all_gpus_gib": bytes_to_gib(fitted - total, 2),
            "fitted_terms_per_gpu": report_terms(runtime.terms),
        }
    )


def _group_bytes(request: OverheadRequest, hardware: Hardware | None) -> int:
    """Memory of the group: as given, else that of as many of the GPUs."""
    if request.vram_total_gib is not None:
        return gib_to_bytes(request.vram_total_gib)
    if hardware is None:
        raise InvalidRequest(
            "Neither vram_total_gib nor gpu is given.", "Give one of them, such as gpu H100."
        )
    return hardware.gpu.visible_bytes * request.tensor_parallel_size


def _predicted(
    request: OverheadRequest,
    hardware: Hardware | None,
    progress: Callable[[str], None] | None,
) -> RuntimeMemory | None:
    if request.model is None:
        if hardware is not None and request.vram_total_gib is not None:
            raise InvalidRequest(
                "The comparison needs a model too.", "Give model and gpu, or leave gpu out."
            )
        return None
    if hardware is None:
        raise InvalidRequest(
            "The comparison needs a gpu too.", "Give model and gpu, or leave model out."
        )
    model = load_model(request.model, progress=progress)
    launch = resolve_for(
        model,
        hardware.gpu,
        hardware.capability,
        StartupRequest(
            model=request.model,
            tensor_parallel_size=request.tensor_parallel_size,
            vllm_version=request.vllm_version,
        ),
    )
    return runtime_memory(model, launch, hardware.gpu)
