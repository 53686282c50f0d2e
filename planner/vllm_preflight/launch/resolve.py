"""From what a user gave to a `Launch`: every argument as vLLM itself would resolve it.

Source: vLLM 0.33 engine/arg_utils.py, config/model.py, config/scheduler.py and
config/vllm.py, with the differences of earlier releases in `defaults.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vllm_preflight.base.units import gib_to_bytes
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.acceptance.attention import check_asked_backend
from vllm_preflight.launch.acceptance.classes import refused_class
from vllm_preflight.launch.acceptance.gpus import check_gpu
from vllm_preflight.launch.acceptance.kv_cache import check_requested_cache
from vllm_preflight.launch.acceptance.methods import check_quantization, stored_method
from vllm_preflight.launch.acceptance.unfollowed import check_followed
from vllm_preflight.launch.batching import BatchLimits, resolve_batch
from vllm_preflight.launch.caching import (
    chunked_prefill,
    mamba_cache_mode,
    mamba_ssm_cache_dtype,
    prefix_caching,
    whole_prompts,
)
from vllm_preflight.launch.compilation import (
    capture_sizes,
    cudagraph_mode,
    graphs_charged,
    largest_capture_size,
)
from vllm_preflight.launch.defaults import BatchDefault, batch_default, batch_runner_default
from vllm_preflight.launch.dtypes import (
    resolve_dtype,
    resolve_kv_cache_dtype,
)
from vllm_preflight.launch.engine import check_engine
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import (
    Launch,
    LaunchProblem,
    Lora,
    ModelRunner,
    Speculation,
    Version,
)
from vllm_preflight.launch.lengths import resolve_max_model_len
from vllm_preflight.launch.model_runner import model_runner
from vllm_preflight.launch.nested import read_image_pixels, read_mm_limits
from vllm_preflight.launch.notes import Notes
from vllm_preflight.launch.refusals import (
    check_block_size,
    check_expert_parallelism,
    check_parallel_sizes,
)
from vllm_preflight.launch.speculation.drafting import Drafting, without_lookup
from vllm_preflight.launch.speculation.read import read_speculation
from vllm_preflight.launch.versions import format_version, parse_version
from vllm_preflight.models.architecture import Architecture

# Drafting methods the V1 runner schedules asynchronously by itself, with the release since
# which it does (config/vllm.py of each).
_ASYNC_METHODS_V1: Mapping[str, Version] = {
    "eagle": (0, 0, 0),
    "eagle3": (0, 0, 0),
    "mtp": (0, 0, 0),
    "ngram_gpu": (0, 18, 0),
    "dflash": (0, 20, 0),
    "dspark": (0, 25, 0),
    "draft_model": (0, 28, 0),
}
# Since 0.33 the second runner serves no longer requests than an independent draft can
# (config/vllm.py, _limit_max_model_len_to_draft).
_LIMITED_BY_DRAFT: Version = (0, 33, 0)
# Named before there was a flag for it (v1 up to 0.14).
_EXCHANGE = "VLLM_ALL2ALL_BACKEND"
_ASYNC_EXECUTORS = frozenset({"mp", "uni", "external_launcher"})


def resolve_launch(
    request: StartupRequest,
    architecture: Architecture,
    gpu: Gpu,
    *,
    extra: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
    checkpoint_kv_cache_dtype: str | None = None,
    drafting: Drafting | None = None,
    batch_runner: bool = False,
) -> Launch:
    """The launch that `vllm serve` with these arguments makes on this GPU.

    `extra` are arguments a request has no field for, by vLLM's names, and `environment`
    the variables set for the command (both as `ParsedCommand` gives them). `config` is
    the model's raw config.json. `checkpoint_kv_cache_dtype` is what the checkpoint's
    quantisation asks for, as vLLM's name. `drafting` is what `find_drafting` found; without
    it a draft that the request names is not modelled. `batch_runner` is true for the engine
    of `vllm run-batch`.

    What vLLM would refuse is in the result's `problems`, in its words. Raises
    InvalidRequest for what is no value at all (a version that does not exist, JSON that
    does not parse), and UnsupportedArchitecture for what an early release runs in its V0
    engine.
    """
    notes = Notes(parse_version(request.vllm_version))
    inputs = LaunchInputs(
        request,
        architecture,
        gpu,
        extra or {},
        environment or {},
        config or {},
        notes,
        batch_runner,
    )
    unknown = refused_class(
        inputs.config,
        notes.version,
        trust_remote_code=request.trust_remote_code,
        model_impl=inputs.text("model_impl"),
    )
    if unknown is not None:
        notes.problems.append(unknown)
    check_gpu(gpu, notes)
    check_asked_backend(inputs)
    dtype = resolve_dtype(request.dtype, architecture, gpu, inputs.pooling, notes)
    stored = stored_method(inputs.quantization_section)
    check_requested_cache(request.kv_cache_dtype, dtype, stored, notes)
    max_model_len, auto_length = resolve_max_model_len(inputs)
    speculation = _speculation(inputs, drafting)
    chunked = chunked_prefill(inputs)
    mm_limits = _mm_limits(inputs)
    tokens, seqs = resolve_batch(
        BatchLimits(
            request.max_num_seqs,
            request.max_num_batched_tokens,
            max_model_len,
            chunked,
            inputs.text("performance_mode"),
            mm_limits,
        ),
        _batch_default(inputs),
        architecture,
        inputs.config,
        notes,
    )
    tp = notes.choose("tensor_parallel_size", request.tensor_parallel_size, 1, "vLLM's default")
    pp = notes.choose("pipeline_parallel_size", request.pipeline_parallel_size, 1, "vLLM's default")
    dcp = request.decode_context_parallel_size or 1
    towers = inputs.text("mm_encoder_tp_mode") or "weights"
    check_parallel_sizes(architecture, tp, pp, dcp, notes, whole_towers=towers == "data")
    check_expert_parallelism(architecture, bool(request.enable_expert_parallel), notes)
    check_block_size(architecture, request.block_size, gpu, notes)
    quantization = check_quantization(inputs, dtype)
    check_followed(inputs)
    prefix_cached = prefix_caching(inputs)
    runner = model_runner(inputs, speculation)
    eager, graph_mode = cudagraph_mode(inputs)
    launch = Launch(
        version=notes.version,
        version_assumed=request.vllm_version is None,
        dtype=dtype,
        kv_cache_dtype=resolve_kv_cache_dtype(
            request.kv_cache_dtype,
            architecture,
            gpu,
            None if quantization == "none" else checkpoint_kv_cache_dtype,
            notes,
        ),
        max_model_len=_within_draft(notes, runner, max_model_len, speculation),
        max_model_len_auto=auto_length,
        gpu_memory_utilization=_utilization(inputs),
        max_num_seqs=seqs,
        max_num_batched_tokens=tokens,
        tensor_parallel_size=tp,
        pipeline_parallel_size=pp,
        data_parallel_size=request.data_parallel_size or 1,
        decode_context_parallel_size=dcp,
        enable_expert_parallel=bool(request.enable_expert_parallel),
        all2all_backend=inputs.text("all2all_backend") or inputs.environment.get(_EXCHANGE),
        quantization=quantization,
        block_size=request.block_size,
        enforce_eager=eager,
        enable_prefix_caching=prefix_cached,
        enable_chunked_prefill=chunked,
        async_scheduling=_async_scheduling(
            inputs, pp, runner, speculation.method if speculation else None
        ),
        disable_hybrid_kv_cache_manager=inputs.flag("disable_hybrid_kv_cache_manager") or False,
        cpu_offload_bytes=gib_to_bytes(request.cpu_offload_gb or 0),
        kv_cache_memory_bytes=request.kv_cache_memory_bytes,
        lora=_lora(inputs),
        speculation=speculation,
        limit_mm_per_prompt=mm_limits,
        max_image_pixels=_image_pixels(inputs),
        mm_encoder_tp_mode=towers,
        skip_mm_profiling=inputs.flag("skip_mm_profiling") or False,
        pooling=inputs.pooling,
        mamba_cache_mode=mamba_cache_mode(inputs, prefix_cached),
        mamba_ssm_cache_dtype=mamba_ssm_cache_dtype(inputs),
        model_runner=runner,
        compile_cache=request.compile_cache,
        cudagraph_mode=graph_mode,
        cudagraph_sizes=capture_sizes(inputs),
        max_cudagraph_capture_size=largest_capture_size(inputs),
        cudagraph_memory_charged=graphs_charged(inputs, runner),
        num_gpu_blocks_override=inputs.number("num_gpu_blocks_override"),
        free_bytes=None if request.free_vram_gb is None else gib_to_bytes(request.free_vram_gb),
        environment=dict(inputs.environment),
        defaulted=frozenset(notes.defaulted),
        problems=tuple(notes.problems),
        warnings=tuple(notes.warnings),
        reasons=dict(notes.reasons),
    )
    # A refusal of the arguments comes before either engine sizes anything.
    if all(problem.kind == "not_modelled" for problem in launch.problems):
        problem = check_engine(inputs, launch)
        if problem is not None:
            return replace(launch, problems=(*launch.problems, problem))
    return launch


def _batch_default(inputs: LaunchInputs) -> BatchDefault:
    version, gpu = inputs.notes.version, inputs.gpu
    if not inputs.batch_runner:
        return batch_default(version, gpu)
    return batch_runner_default(
        version, gpu, pooling=inputs.pooling, multimodal=bool(inputs.architecture.encoders)
    )


def _speculation(inputs: LaunchInputs, drafting: Drafting | None) -> Speculation | None:
    text = inputs.request.speculative_config
    if drafting is None and text:
        drafting = without_lookup(text)
    if drafting is None:
        told = any(problem.kind == "unsupported" for problem in inputs.notes.problems)
        if inputs.architecture.drafts and not told:
            inputs.notes.problems.append(_served_alone(inputs.architecture))
        return None
    return read_speculation(inputs, drafting, inputs.request.tensor_parallel_size or 1)


def _within_draft(
    notes: Notes, runner: ModelRunner, max_model_len: int, speculation: Speculation | None
) -> int:
    """The length, lowered to that of an independent draft where the second runner does so."""
    draft = speculation.drafter if speculation and speculation.method == "draft_model" else None
    if draft is None or runner == "v1" or notes.version < _LIMITED_BY_DRAFT:
        return max_model_len
    longest = draft.architecture.max_position
    if not draft.architecture.max_position_known or longest >= max_model_len:
        return max_model_len
    notes.warn(
        f"The draft model's max_model_len ({longest}) is smaller than the model's "
        f"({max_model_len}): vLLM lowers max_model_len to {longest}."
    )
    return longest


def _served_alone(head: Architecture) -> LaunchProblem:
    """VLLM builds a head's class only from a speculative_config (its classes assert one)."""
    return LaunchProblem(
        f"{head.architecture or head.model_type} is a draft for speculative decoding "
        f"({head.drafts}): vLLM does not serve it alone.",
        ("serve its target with --speculative-config",),
        "unsupported",
    )


def _mm_limits(inputs: LaunchInputs) -> dict[str, int]:
    """Items per prompt by modality; none of any with --language-model-only."""
    if inputs.flag("language_model_only"):
        return dict.fromkeys(("image", "video", "audio"), 0)
    text = inputs.request.limit_mm_per_prompt
    return read_mm_limits(text) if text else {}


def _image_pixels(inputs: LaunchInputs) -> int | None:
    """The largest image that --mm-processor-kwargs lets the processor make, None for its own."""
    given: object = inputs.extra.get("mm_processor_kwargs")
    if not given:
        return None
    pixels, whole = read_image_pixels(given)
    resized = any(encoder.pixels_per_token for encoder in inputs.architecture.encoders)
    if not resized or not whole:
        inputs.notes.warn(
            "--mm-processor-kwargs may change memory, but is not taken into account"
            f"{' but for the largest image' if resized and pixels else ''}."
        )
    return pixels


def _utilization(inputs: LaunchInputs) -> float:
    notes, given = inputs.notes, inputs.request.gpu_memory_utilization
    if given is not None:
        notes.given("gpu_memory_utilization")
        return given
    notes.default("gpu_memory_utilization", f"vLLM {format_version(notes.version)}'s default")
    return float(notes.versioned("gpu_memory_utilization"))


def _async_scheduling(
    inputs: LaunchInputs, stages: int, runner: ModelRunner, method: str | None
) -> bool:
    notes = inputs.notes
    asked = inputs.flag("async_scheduling")
    if asked is not None:
        notes.given("async_scheduling")
        return asked
    default = bool(notes.versioned("async_scheduling"))
    executor = inputs.text("distributed_executor_backend")
    reason = f"vLLM {format_version(notes.version)}'s default"
    if default and whole_prompts(inputs):
        default, reason = False, "off for models that pool over the whole prompt"
    elif default and executor is not None and executor not in _ASYNC_EXECUTORS:
        default, reason = False, f"off with the {executor} executor"
    elif default and runner == "v1" and stages > 1:
        default, reason = False, "off with pipeline stages in the V1 model runner"
    elif default and runner == "v1" and method is not None and not _async_drafts(notes, method):
        default, reason = False, f"off with {method} drafts in the V1 model runner"
    notes.default("async_scheduling", reason)
    return default


def _async_drafts(notes: Notes, method: str) -> bool:
    since = _ASYNC_METHODS_V1.get(method)
    return since is not None and notes.version >= since


def _lora(inputs: LaunchInputs) -> Lora | None:
    request, notes = inputs.request, inputs.notes
    if not request.enable_lora:
        if request.max_loras is not None or request.max_lora_rank is not None:
            notes.warn("max_loras and max_lora_rank have no effect without enable_lora.")
        return None
    loras, rank = notes.versioned("max_loras"), notes.versioned("max_lora_rank")
    return Lora(
        notes.choose("max_loras", request.max_loras, int(loras), "vLLM's default"),
        notes.choose("max_lora_rank", request.max_lora_rank, int(rank), "vLLM's default"),
        inputs.flag("fully_sharded_loras") or False,
    )
