"""Different GPUs in one group: what all of them can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vllm_preflight.hardware.gpu import Gpu


def weakest(gpus: Sequence[Gpu]) -> Gpu:
    """The smallest of `gpus`, with no more memory, newer kernels or speed than any has.

    vLLM splits a model evenly, so the least of each decides. Of cards that differ by less
    than 1 GiB the one of the older generation gives the name.
    """
    least = min(gpus, key=lambda gpu: (gpu.visible_bytes >> 30, gpu.compute_capability or (0, 0)))
    capabilities = [gpu.compute_capability for gpu in gpus]
    bandwidths = [gpu.memory_bandwidth_gb_s for gpu in gpus]
    links = [gpu.nvlink_gb_s for gpu in gpus]
    return replace(
        least,
        visible_bytes=min(gpu.visible_bytes for gpu in gpus),
        compute_capability=min((c for c in capabilities if c), default=None),
        memory_bandwidth_gb_s=None if None in bandwidths else min(b for b in bandwidths if b),
        dense_tflops={
            dtype: min(gpu.dense_tflops[dtype] for gpu in gpus)
            for dtype in least.dense_tflops
            if all(dtype in gpu.dense_tflops for gpu in gpus)
        },
        nvlink_gb_s=None if None in links else min(link for link in links if link),
        unified=any(gpu.unified for gpu in gpus),
    )
