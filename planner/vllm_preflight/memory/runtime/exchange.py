"""Buffers through which ranks exchange tokens of experts, where a kernel library keeps them.

They are made once the model is loaded, outside PyTorch's allocator and inside the measured
window, so that they are charged as non-torch memory. vLLM's own exchange (all-gather and
reduce-scatter, the default) keeps none beside NCCL's. Only data-parallel ranks that share
experts exchange tokens.

Source: vLLM 0.9.2 to 0.33 distributed/device_communicators/all2all.py,
model_executor/layers/fused_moe/all2all_utils.py; DeepEP csrc/config.hpp (LowLatencyLayout).
"""

from __future__ import annotations

from vllm_preflight.base.units import BYTES_TO_MIB, round_up
from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.memory.runtime.contributions import Contribution, Phase, tensor
from vllm_preflight.models.architecture import Architecture

# Exchanges that keep nothing of their own beside NCCL's buffers.
_COLLECTIVES = (None, "allgather_reducescatter", "naive", "pplx", "passthrough")
_DEEPEP_MIB = 1024
_DEEPEP_VARIABLE = "VLLM_DEEPEP_BUFFER_SIZE_MB"
# Ranks of one machine; larger groups exchange over the network too.
_NODE = 8
# Up to 0.19 tokens were exchanged in chunks of so many; since, a whole batch at once.
_WHOLE_BATCH: Version = (0, 20, 0)
_CHUNK_VARIABLE, _CHUNK_TOKENS = "VLLM_MOE_DP_CHUNK_SIZE", 256
# Of a message: its header, and what each 128 elements of it carry beside themselves.
_HEADER_BYTES, _SCALED_ELEMENTS, _SCALE_BYTES = 16, 128, 4


def exchange_buffers(architecture: Architecture, launch: Launch) -> Phase:
    """What the exchange of `launch` keeps on one GPU; () for collectives."""
    if not _exchanges(architecture, launch):
        return ()
    if launch.all2all_backend == "deepep_high_throughput":
        return (_deepep_buffer(launch, 2 if _ranks(launch) > _NODE else 1),)
    if launch.all2all_backend == "deepep_low_latency":
        return (_deepep_buffer(launch, 1), _low_latency(architecture, launch))
    return ()


def uncounted_exchange(architecture: Architecture, launch: Launch) -> str | None:
    """The exchange whose buffers nothing here describes; None where there is none."""
    known = (*_COLLECTIVES, "deepep_high_throughput", "deepep_low_latency")
    backend = launch.all2all_backend
    return backend if _exchanges(architecture, launch) and backend not in known else None


def _exchanges(architecture: Architecture, launch: Launch) -> bool:
    shared = launch.data_parallel_size > 1 and launch.enable_expert_parallel
    return shared and architecture.moe is not None


def _ranks(launch: Launch) -> int:
    return launch.tensor_parallel_size * launch.data_parallel_size


def _deepep_buffer(launch: Launch, count: int) -> Contribution:
    mib = _number(launch, _DEEPEP_VARIABLE, _DEEPEP_MIB)
    return tensor("expert_exchange", BYTES_TO_MIB, (count, "buffers"), (mib, "MiB"))


def _low_latency(architecture: Architecture, launch: Launch) -> Contribution:
    """Two send and two receive buffers: a message of every token for each expert."""
    assert architecture.moe is not None
    hidden = round_up(architecture.hidden_size, _SCALED_ELEMENTS)
    tokens = launch.max_num_batched_tokens
    if launch.version < _WHOLE_BATCH:
        tokens = _number(launch, _CHUNK_VARIABLE, _CHUNK_TOKENS)
    dispatched = _HEADER_BYTES + 2 * hidden
    combined = hidden // _SCALED_ELEMENTS * _SCALE_BYTES + 2 * hidden
    return tensor(
        "expert_exchange_messages",
        1,
        (architecture.moe.num_experts, "experts"),
        (tokens, "tokens"),
        (2 * combined + 2 * max(dispatched, combined), "bytes of two messages sent and received"),
    )


def _number(launch: Launch, variable: str, default: int) -> int:
    given = launch.environment.get(variable, "").strip()
    return int(given) if given.isdigit() else default
