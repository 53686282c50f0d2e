"""What a tensor costs in PyTorch's caching allocator.

"Model loading took" is the growth of allocated bytes, and the allocator counts a whole
block when it does not split the rest off (PyTorch c10/cuda CUDACachingAllocator: 512-byte
rounding; blocks of 10 MiB and more come in steps of 2 MiB and are split when more than
1 MiB remains). Since 0.21 vLLM loads weights with `max_split_size_mb:20`, after which a
block of 20 MiB or more is never split.
"""

from __future__ import annotations

from functools import cache

from vllm_preflight.base.units import BYTES_TO_MIB, round_up
from vllm_preflight.launch.launch import Version

# First release that loads weights with max_split_size_mb:20.
UNSPLIT_SINCE: Version = (0, 21, 0)

_SMALLEST = 512
_OWN_SEGMENT = 10 * BYTES_TO_MIB
_SEGMENT_STEP = 2 * BYTES_TO_MIB
_SMALLEST_REST = BYTES_TO_MIB
_MAX_SPLIT = 20 * BYTES_TO_MIB


@cache
def allocated_bytes(num_bytes: int, version: Version) -> int:
    """Bytes the allocator counts for a tensor of `num_bytes` while loading weights."""
    size = round_up(num_bytes, _SMALLEST)
    if size < _OWN_SEGMENT:
        return size
    segment = round_up(size, _SEGMENT_STEP)
    if version >= UNSPLIT_SINCE and size >= _MAX_SPLIT:
        return segment
    return size if segment - size > _SMALLEST_REST else segment
