"""The vLLM arguments a plan recommends, each with its reason."""

from __future__ import annotations

from vllm_preflight.contract.plan import PlanRequest, VLLMConfig
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.defaults import batch_default
from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.sizing import Sizing

# Balanced serving keeps room for twice the concurrency asked for, and for a small burst.
_SPARE_SEQUENCES = 2
_FEWEST_SEQUENCES = 16
# A step of a few thousand tokens keeps the time between two tokens short.
_LATENCY_STEP_TOKENS = 2048
# Recommended lengths are whole blocks of vLLM's usual size.
_LENGTH_STEP = 16


def recommend_settings(
    model: Model, hardware: Hardware, request: PlanRequest, sizing: Sizing
) -> VLLMConfig:
    """Arguments for `sizing`'s layout. What the request pins is kept and said so."""
    launch, why = sizing.launch, dict[str, str]()
    length = _max_model_len(model, request, sizing, why)
    sequences = _max_num_seqs(request, sizing, why)
    usual = batch_default(launch.version, hardware.gpu).max_num_batched_tokens
    # vLLM never steps further than all sequences at full length.
    tokens = min(usual, sequences * length)
    tokens = _max_num_batched_tokens(request, launch, tokens, length, sequences, why)
    _explain_parallelism(hardware, request, sizing, why)
    why["gpu_memory_utilization"] = (
        f"{request.gpu_memory_utilization:g} of what CUDA shows; the rest is for what vLLM "
        "allocates outside its budget"
    )
    if launch.kv_cache_dtype != "auto":
        why["kv_cache_dtype"] = launch.reasons.get("kv_cache_dtype", "as asked")
    return VLLMConfig(
        model=model.id,
        revision=request.revision,
        tokenizer=request.tokenizer,
        trust_remote_code=True if request.trust_remote_code else None,
        dtype=None if request.dtype == "auto" else launch.dtype,
        quantization=None if request.quantization in {"auto", "none"} else request.quantization,
        kv_cache_dtype=None if request.kv_cache_dtype == "auto" else request.kv_cache_dtype,
        tensor_parallel_size=launch.tensor_parallel_size,
        pipeline_parallel_size=launch.pipeline_parallel_size,
        data_parallel_size=launch.data_parallel_size,
        enable_expert_parallel=request.enable_expert_parallel,
        max_model_len=length,
        gpu_memory_utilization=request.gpu_memory_utilization,
        max_num_seqs=sequences,
        max_num_batched_tokens=tokens,
        block_size=request.block_size,
        enforce_eager=request.enforce_eager,
        enable_prefix_caching=request.enable_prefix_caching,
        cpu_offload_gb=request.cpu_offload_gb,
        explanations=why,
    )


def _max_model_len(model: Model, request: PlanRequest, sizing: Sizing, why: dict[str, str]) -> int:
    if request.max_model_len is not None:
        why["max_model_len"] = "as asked"
        return request.max_model_len
    longest = model.architecture.max_position
    room = sizing.budget.max_context(sizing.concurrency, longest)
    if room <= sizing.context:
        why["max_model_len"] = "what the workload needs; more would not fit for all requests"
        return sizing.context
    count = sizing.concurrency
    fit = "1 request fits" if count == 1 else f"{count:,} requests fit"
    if room == longest:
        why["max_model_len"] = f"the model's own maximum, at which {fit}"
    else:
        why["max_model_len"] = f"the longest at which {fit} with margin"
        room = max(sizing.context, room - room % _LENGTH_STEP)
    return room


def _max_num_seqs(request: PlanRequest, sizing: Sizing, why: dict[str, str]) -> int:
    if request.max_num_seqs is not None:
        why["max_num_seqs"] = "as asked"
        return request.max_num_seqs
    default = sizing.launch.max_num_seqs
    if request.batching_mode == "throughput":
        why["max_num_seqs"] = "vLLM's default for this GPU, or the concurrency where that is more"
        return max(default, sizing.concurrency)
    if request.batching_mode == "latency":
        why["max_num_seqs"] = "the concurrency asked for: further requests wait instead of slowing"
        return sizing.concurrency
    wanted = max(_FEWEST_SEQUENCES, sizing.concurrency * _SPARE_SEQUENCES)
    rounded = 1 << (wanted - 1).bit_length()
    why["max_num_seqs"] = (
        "twice the concurrency, rounded up to a power of two; fewer sequences need less memory "
        "for sampling"
    )
    return max(min(rounded, default), sizing.concurrency)


def _max_num_batched_tokens(
    request: PlanRequest,
    launch: Launch,
    tokens: int,
    length: int,
    sequences: int,
    why: dict[str, str],
) -> int:
    """Tokens per step, from `tokens`, the default at the recommended length."""
    if request.max_num_batched_tokens is not None:
        why["max_num_batched_tokens"] = "as asked"
        return request.max_num_batched_tokens
    why["max_num_batched_tokens"] = "vLLM's default for this GPU"
    if request.batching_mode == "latency" and tokens > _LATENCY_STEP_TOKENS:
        tokens = _LATENCY_STEP_TOKENS
        why["max_num_batched_tokens"] = "small steps: a long prompt delays running answers less"
    if not launch.enable_chunked_prefill and tokens < length:
        tokens = length
        why["max_num_batched_tokens"] = "this model reads a prompt in one step, so a step holds one"
    # vLLM refuses fewer tokens per step than sequences.
    return max(tokens, sequences)


def _explain_parallelism(
    hardware: Hardware, request: PlanRequest, sizing: Sizing, why: dict[str, str]
) -> None:
    launch = sizing.launch
    if request.tensor_parallel_size is not None:
        why["tensor_parallel_size"] = "as asked"
    elif sizing.feasibility.fits:
        why["tensor_parallel_size"] = (
            "the smallest that fits and divides the model's heads"
            if launch.tensor_parallel_size > 1
            else "one GPU holds the model and the workload"
        )
    else:
        why["tensor_parallel_size"] = "the largest the GPUs and the model's heads allow"
    if launch.pipeline_parallel_size > 1:
        why["pipeline_parallel_size"] = (
            "as asked"
            if request.pipeline_parallel_size is not None
            else f"one stage per node: a node of {hardware.gpus_per_node} GPUs is too small"
        )
    if launch.data_parallel_size > 1:
        why["data_parallel_size"] = f"as asked; {sizing.concurrency:,} requests per replica"
