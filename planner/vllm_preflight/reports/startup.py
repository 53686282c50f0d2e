"""A simulated start-up as the answer people and tools read."""

from __future__ import annotations

from collections.abc import Sequence

from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.check import Failure, LengthCapacity, StartupInterval, StartupReport
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.explain import explain_defaults
from vllm_preflight.launch.versions import format_version
from vllm_preflight.memory.kv.capacity import requests_by_length
from vllm_preflight.memory.startup import Startup
from vllm_preflight.memory.weights.weights import DRAFT_PART
from vllm_preflight.models.model import Model

_STOPPED_EARLY = frozenset({"invalid_arguments", "unsupported"})
_SHORT_OF_MEMORY = frozenset({"weights_do_not_fit", "no_kv_cache_memory", "kv_cache_too_small"})
# What is known of a launch that gets no further than its weights, if so far.
_WEIGHTS_ALONE = frozenset({"not_modelled", "free_memory_below_request"})


def startup_report(
    startup: Startup, model: Model, remedies: Sequence[str] = (), *, whole: bool = True
) -> StartupReport:
    """The figures vLLM would print, rounded as it prints them; `whole` with their terms.

    After a refusal of the arguments themselves there are no figures; where vLLM stops before
    it loads anything, those that would be predicted of another launch are not given.
    """
    launch, failure = startup.launch, startup.failure
    reported = failure and Failure(
        kind=failure.kind,
        message=failure.message,
        missing_per_gpu_gib=_missing(startup),
        remedies=[*failure.remedies, *remedies],
    )
    alone = failure is not None and (
        failure.kind in _WEIGHTS_ALONE or not platform_of(startup.gpu).modelled
    )
    if failure is not None and alone and failure.kind not in _STOPPED_EARLY:
        known = failure.kind != "not_modelled"
        most = startup.most
        refuted = any(one.refuted for one in model.assumed)
        return StartupReport(
            vllm_version=format_version(launch.version),
            starts=False,
            start_probability=startup.start_probability if known else None,
            weights_gib=None if refuted else bytes_to_gib(startup.weights.fullest.allocated),
            kv_bytes_per_token=None if refuted else round(startup.kv.pool.bytes_per_token),
            kv_cache_tokens_at_most=None if most is None else most.tokens,
            max_model_len=launch.max_model_len,
            failure=reported,
        )
    if failure is not None and failure.kind in _STOPPED_EARLY:
        return StartupReport(
            vllm_version=format_version(launch.version),
            starts=False,
            start_probability=startup.start_probability,
            max_model_len=launch.max_model_len,
            failure=reported,
        )
    runtime, kv = startup.runtime, startup.kv
    return StartupReport(
        vllm_version=format_version(launch.version),
        starts=startup.starts,
        start_probability=startup.start_probability,
        weights_gib=bytes_to_gib(startup.weights.fullest.allocated),
        activation_peak_gib=bytes_to_gib(runtime.activation_bytes),
        non_torch_gib=bytes_to_gib(runtime.non_torch_bytes),
        cuda_graph_gib=bytes_to_gib(runtime.cuda_graph_bytes),
        cuda_graph_charged=runtime.cuda_graph_charged,
        available_kv_cache_gib=bytes_to_gib(startup.available_bytes),
        kv_bytes_per_token=round(kv.pool.bytes_per_token),
        block_size=kv.pool.block_size,
        num_gpu_blocks=kv.num_blocks,
        kv_cache_tokens=kv.tokens,
        max_model_len=launch.max_model_len,
        max_concurrency=None if kv.max_concurrency is None else round(kv.max_concurrency, 2),
        estimated_max_model_len=startup.longest,
        requests_by_length=[
            LengthCapacity(tokens=tokens, requests=round(requests, 2))
            for tokens, requests in requests_by_length(
                model.architecture, launch, kv, startup.longest
            )
        ]
        or None,
        interval=StartupInterval(
            available_kv_cache_gib=(
                bytes_to_gib(startup.available_interval[0]),
                bytes_to_gib(startup.available_interval[1]),
            ),
            kv_cache_tokens=startup.tokens_interval,
        ),
        failure=reported,
        terms=report_terms(startup_terms(startup, model)) if whole else None,
        warnings=[*startup.late_warnings, *startup.open_points],
    )


def _missing(startup: Startup) -> float | None:
    """What one GPU lacks, where it is memory that is lacking."""
    kind = None if startup.failure is None else startup.failure.kind
    if kind == "free_memory_below_request":
        free = startup.launch.free_bytes or 0
        return bytes_to_gib(startup.requested_bytes - free)
    if kind not in _SHORT_OF_MEMORY:
        return None
    return bytes_to_gib(startup.kv.admission_bytes - startup.available_bytes)


def startup_terms(startup: Startup, model: Model) -> list[Term]:
    """Every number of the answer with its formula, basis and source."""
    launch, kv = startup.launch, startup.kv
    stage = startup.weights.fullest
    terms = [
        Term(
            name="requested_memory",
            bytes=startup.requested_bytes,
            formula=f"{launch.gpu_memory_utilization:g} × "
            f"{bytes_to_gib(startup.gpu.visible_bytes)} GiB that CUDA shows",
            basis="derived",
            source="vLLM v1/worker/utils.py, request_memory",
        ),
        Term(
            name="gpu_visible_memory",
            bytes=startup.gpu.visible_bytes,
            formula=f"{startup.gpu.name}, {startup.gpu.visible_basis}",
            basis="measured" if startup.gpu.visible_basis == "measured" else "derived",
            source=startup.gpu.sources.get("visible_bytes", "GPU catalogue"),
        ),
        *(
            Term(
                name=f"weights_{part.name}",
                bytes=part.bytes,
                formula=f"{part.name} on the fullest rank of {launch.world_size}",
                basis="derived",
                source=_shapes_of(_holder(part.name, startup, model)),
            )
            for part in stage.parts
        ),
        Term(
            name="weights",
            bytes=stage.allocated,
            formula="tensors as PyTorch's allocator rounds them",
            basis="derived",
            source="vLLM v1/worker/gpu/model_runner.py, load_model",
        ),
        *startup.runtime.terms,
        Term(
            name="available_kv_cache",
            bytes=startup.available_bytes,
            formula="requested − weights − activation − non-torch"
            + (" − CUDA graphs" if startup.runtime.cuda_graph_charged else "")
            if launch.kv_cache_memory_bytes is None
            else "--kv-cache-memory-bytes",
            basis="fitted" if launch.kv_cache_memory_bytes is None else "exact",
            source="vLLM v1/worker/gpu_worker.py, determine_available_memory",
        ),
        *_kv_terms(startup),
    ]
    if kv.max_concurrency is not None:
        terms.append(
            Term(
                name="max_concurrency",
                value=round(kv.max_concurrency, 2),
                unit="requests",
                formula=f"{kv.num_blocks} blocks / blocks of a request of "
                f"{launch.max_model_len} tokens",
                basis="derived",
                source="vLLM v1/core/kv_cache_utils.py, get_max_concurrency_for_kv_cache_config",
            )
        )
    return [*terms, *explain_defaults(launch)]


def _holder(part: str, startup: Startup, model: Model) -> Model:
    """The model whose shapes a part of the weights has: the draft's for its own."""
    speculation = startup.launch.speculation
    draft = speculation.drafter if speculation and part == DRAFT_PART else None
    return draft or model


def _shapes_of(model: Model) -> str:
    return f"shapes of {model.id} ({model.provenance})"


def _kv_terms(startup: Startup) -> list[Term]:
    pool = startup.kv.pool
    source = "vLLM v1/core/kv_cache_planning.py"
    groups = [
        Term(
            name=f"kv_group_{number}",
            bytes=group.bytes_per_block(),
            formula=f"{len(group.layers)} layers, blocks of {group.block_size} tokens, "
            f"{type(group.layers[0].spec).__name__.removesuffix('Spec').lower()} cache",
            basis="derived",
            source=f"{source}, get_kv_cache_groups",
        )
        for number, group in enumerate(pool.groups)
    ]
    return [
        *groups,
        Term(
            name="bytes_per_block",
            bytes=pool.bytes_per_block,
            formula="the widest group's pages, on the fullest pipeline stage",
            basis="derived",
            source=source,
        ),
        Term(
            name="num_gpu_blocks",
            value=startup.kv.num_blocks,
            unit="blocks",
            formula="available KV cache / bytes per block, on the emptiest rank",
            basis="derived",
            source=source,
        ),
    ]
