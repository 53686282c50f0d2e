"""CUDA graphs: what vLLM estimates, or capture takes where nothing is estimated.

The estimate is the larger of the first two captures, and a sample for each further graph
(v1/worker/gpu_model_runner.py:profile_cudagraph_memory; the second runner measures its
piecewise graphs and extrapolates the full ones). On Hopper the first full graph makes
FlashAttention 3's buffer of partial outputs, which is exact; the rest is fitted.
"""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.base.units import BYTES_TO_GIB, BYTES_TO_MIB, ceil_div
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.cudagraphs import cudagraph_capture_sizes, full_graph_sizes
from vllm_preflight.launch.launch import Launch, Version
from vllm_preflight.memory.runtime.coefficients import Coefficients, Traits
from vllm_preflight.memory.runtime.contributions import Contribution, Phase, tensor
from vllm_preflight.memory.runtime.shapes import latent_caches
from vllm_preflight.models.architecture import AttentionCache
from vllm_preflight.models.model import Model

# flash_attn_max_num_splits_for_cuda_graph, by the first release that has it: none before
# 0.9.2 (v1/attention/backends/flash_attn.py, then envs.py and config/attention.py).
_SPLITS: tuple[tuple[Version, int], ...] = (((0, 11, 0), 32), ((0, 9, 2), 16))
_HOPPER = (9, 0)


def graph_captures(
    model: Model, launch: Launch, gpu: Gpu, coefficients: Coefficients, traits: Traits
) -> Mapping[str, Phase]:
    """The graphs by what their first capture is; the larger alternative counts."""
    architecture = model.architecture
    sizes = cudagraph_capture_sizes(launch, gpu.compute_capability, architecture.model_type)
    full = full_graph_sizes(launch, sizes)
    count = len(sizes) + len(full)
    if not count:
        return {}
    layers = ceil_div(len(architecture.layers), launch.pipeline_parallel_size)
    each = _scaled(
        "cuda_graphs",
        "graph_layer",
        count * layers * BYTES_TO_MIB,
        f"{count} graphs × {layers} layers × 1 MiB",
        launch,
        coefficients,
        traits,
    )
    first = _scaled(
        "cuda_graph_pool", "graph_pool", BYTES_TO_GIB, "1 GiB", launch, coefficients, traits
    )
    found: dict[str, Phase] = {"first_capture": (first, each)}
    if full and gpu.compute_capability == _HOPPER and (split := _split_buffer(model, launch, full)):
        found["split_buffer"] = (split, each)
    return found


def _scaled(
    name: str,
    coefficient: str,
    quantity: float,
    what: str,
    launch: Launch,
    coefficients: Coefficients,
    traits: Traits,
) -> Contribution:
    found = coefficients.find(coefficient, launch.version, traits)
    return Contribution(name, quantity, f"{found.value:g} × {what}", found)


def _split_buffer(model: Model, launch: Launch, full: tuple[int, ...]) -> Contribution | None:
    """FlashAttention 3's partial outputs for the largest full graph, in float32."""
    splits = next((number for since, number in _SPLITS if launch.version >= since), 0)
    latent = latent_caches(model.architecture)
    widths = [
        (cache.num_heads, cache.head_dim)
        for cache in model.architecture.caches
        if isinstance(cache, AttentionCache)
    ]
    widths += [(cache.num_heads, cache.kv_lora_rank) for cache in latent if not cache.sparse]
    if not widths or not splits:
        return None
    heads, width = max(widths, key=lambda pair: pair[0] * pair[1])
    return tensor(
        "cuda_graph_split_buffer",
        4,
        (full[-1], "sequences"),
        (ceil_div(heads, launch.tensor_parallel_size), "heads"),
        (width, "elements"),
        (splits, "splits"),
    )
