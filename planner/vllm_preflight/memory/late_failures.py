"""What can still run out of memory after the KV cache was sized.

vLLM sizes the cache so that its own share of the GPU is full. What it allocates later has
to fit in the share it did not ask for, beside the CUDA context (vLLM 0.33
v1/worker/gpu_worker.py: the profile pass sees neither). The check at start does not look
at this, so these are warnings, each with its rule.
"""

from __future__ import annotations

from vllm_preflight.base.units import BYTES_TO_GIB, BYTES_TO_MIB, gib_to_bytes
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.runtime import RuntimeMemory

# CUDA context with cuBLAS handles, before vLLM counts: total − free at start on an H100
# with vLLM 0.19. A group's communicators come on top: 1.02 GiB over NVLink there, about
# 0.2 GiB otherwise (what they take where they are counted). Up to 0.10 they are created
# inside the profiled window and are part of the non-torch memory.
_CONTEXT_GIB = 0.51
_COMMUNICATORS_GIB = 0.2
_NVLINK_COMMUNICATORS_GIB = 1.02
_COMMUNICATORS_BEFORE_COUNTING = (0, 11, 0)
# VLLM_FLASHINFER_WORKSPACE_BUFFER_SIZE: FlashInfer is the default back end on Blackwell.
_FLASHINFER_WORKSPACE_MIB = 394
# Graphs vary more between machines than anything else: a normal distribution exceeds its
# mean by this many standard deviations in one case of three, which is worth a warning.
_ONE_IN_THREE = 0.43
# The margin of vLLM's own `--kv-cache-memory` suggestions: what warm-up may add.
_WARM_UP_MIB = 150


def late_failure_warnings(
    launch: Launch, gpu: Gpu, runtime: RuntimeMemory, kv_bytes: int, weights_bytes: int
) -> list[str]:
    """Warnings about what is allocated after the cache of `kv_bytes`, per GPU.

    Sums up what is held for good (context, weights, non-torch memory, cache, and what the
    release charges to nothing) and what
    comes later (graphs, workspaces, one warm-up pass as large as the profile pass), and
    compares it with all the GPU has. `weights_bytes` are of the fullest rank.
    """
    held = context_bytes(launch, gpu) + weights_bytes + runtime.non_torch_bytes + kv_bytes
    held += runtime.outside_bytes
    left = gpu.visible_bytes - held
    warm_up = runtime.activation_bytes + _WARM_UP_MIB * BYTES_TO_MIB
    if left < warm_up:
        return [_sampler_warning(launch, left, warm_up)]
    workspace = _workspace_bytes(gpu)
    unlucky = round(_ONE_IN_THREE * runtime.cuda_graph_spread_bytes)
    later = runtime.cuda_graph_bytes + unlucky + workspace
    if left < warm_up + later:
        return [_graph_warning(launch, left - warm_up, runtime.cuda_graph_bytes, workspace)]
    return []


def beside_budget_bytes(launch: Launch, gpu: Gpu, runtime: RuntimeMemory) -> int:
    """What a running server holds of a GPU beside the share that it asked for, with a margin.

    The CUDA context and communicators, what the release charges to nothing, graphs that are
    not charged, workspaces that are created after the cache was sized, and vLLM's own
    margin for its warm-up.
    """
    unlucky = round(_ONE_IN_THREE * runtime.cuda_graph_spread_bytes)
    graphs = unlucky + (0 if runtime.cuda_graph_charged else runtime.cuda_graph_bytes)
    context = context_bytes(launch, gpu) + runtime.outside_bytes
    return context + graphs + _workspace_bytes(gpu) + _WARM_UP_MIB * BYTES_TO_MIB


def context_bytes(launch: Launch, gpu: Gpu) -> int:
    """What a process holds of a GPU before vLLM looks how much of it is free."""
    context = _CONTEXT_GIB
    if launch.world_size > 1 and launch.version >= _COMMUNICATORS_BEFORE_COUNTING:
        linked = gpu.nvlink_gb_s is not None
        context += _NVLINK_COMMUNICATORS_GIB if linked else _COMMUNICATORS_GIB
    return gib_to_bytes(context)


def _workspace_bytes(gpu: Gpu) -> int:
    blackwell = gpu.compute_capability is not None and gpu.compute_capability[0] >= 10
    return _FLASHINFER_WORKSPACE_MIB * BYTES_TO_MIB if blackwell else 0


def _sampler_warning(launch: Launch, left: int, warm_up: int) -> str:
    return (
        f"May run out of memory in the sampler's warm-up: beside weights, KV cache and the CUDA "
        f"context {left / BYTES_TO_GIB:.2f} GiB stay free, while a warm-up batch of "
        f"{launch.max_num_seqs} sequences needs about {warm_up / BYTES_TO_GIB:.2f} GiB. Lower "
        f"--gpu-memory-utilization (now {launch.gpu_memory_utilization:g}) or --max-num-seqs."
    )


def _graph_warning(launch: Launch, left: int, graphs: int, workspace: int) -> str:
    flashinfer = (
        f", beside {workspace / BYTES_TO_GIB:.2f} GiB of FlashInfer workspace" if workspace else ""
    )
    return (
        f"May run out of memory while CUDA graphs are captured: they take about "
        f"{graphs / BYTES_TO_GIB:.2f} GiB{flashinfer}, and {left / BYTES_TO_GIB:.2f} GiB stay free "
        f"outside --gpu-memory-utilization {launch.gpu_memory_utilization:g}. Lower it, capture "
        "fewer (--max-num-seqs) or use --enforce-eager."
    )
