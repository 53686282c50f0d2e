from __future__ import annotations

import pytest

from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.memory.weights.allocator import allocated_bytes


@pytest.mark.parametrize(
    ("size", "newest", "older"),
    [
        (1, 512, 512),
        (5 * BYTES_TO_MIB + 1, 5 * BYTES_TO_MIB + 512, 5 * BYTES_TO_MIB + 512),
        # From 10 MiB blocks come in steps of 2 MiB; a rest above 1 MiB is split off.
        (11 * BYTES_TO_MIB, 12 * BYTES_TO_MIB, 12 * BYTES_TO_MIB),
        (10 * BYTES_TO_MIB + 512, 10 * BYTES_TO_MIB + 512, 10 * BYTES_TO_MIB + 512),
        # From 20 MiB nothing is split since 0.21.
        (20 * BYTES_TO_MIB + 512, 22 * BYTES_TO_MIB, 20 * BYTES_TO_MIB + 512),
        (24 * BYTES_TO_MIB, 24 * BYTES_TO_MIB, 24 * BYTES_TO_MIB),
    ],
)
def test_allocator_rounding(size: int, newest: int, older: int):
    assert allocated_bytes(size, (0, 33, 0)) == newest
    assert allocated_bytes(size, (0, 20, 0)) == older
