"""The overhead formula: its known answers, to the byte, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import BYTES_TO_GIB, gib_to_bytes
from vllm_preflight.memory.overhead import compute_overhead, overhead_terms


@pytest.mark.design("3: compute_overhead gives its known answers")
@pytest.mark.parametrize(
    ("vram_gib", "tp_size", "fixed_gib", "expected_gib"),
    [
        (24, 1, None, 1.0),
        (80, 1, None, 1.6),
        (24, 2, None, 1.25),
        (80, 4, None, 2.35),
        (24, 1, 2.5, 2.5),
        (640, 8, 2.5, 2.5),
        (80, 1, 0, 0.0),
    ],
)
def test_known_answers_hold_to_the_byte(
    vram_gib: int, tp_size: int, fixed_gib: float | None, expected_gib: float
) -> None:
    assert compute_overhead(vram_gib * BYTES_TO_GIB, tp_size, fixed_gib) == gib_to_bytes(
        expected_gib
    )


@given(st.integers(1, 2**45), st.integers(1, 64))
def test_more_memory_or_more_gpus_never_need_less(vram_bytes: int, tp_size: int) -> None:
    overhead = compute_overhead(vram_bytes, tp_size)
    assert overhead >= BYTES_TO_GIB
    assert compute_overhead(vram_bytes * 2, tp_size) >= overhead
    assert compute_overhead(vram_bytes, tp_size + 1) - overhead == BYTES_TO_GIB // 4


def test_the_terms_add_up_and_say_their_formula() -> None:
    terms = overhead_terms(80 * BYTES_TO_GIB, 4)
    assert [term.name for term in terms] == ["overhead_base", "overhead_communication"]
    assert sum(term.bytes or 0 for term in terms) == gib_to_bytes(2.35)
    assert "80 GiB" in terms[0].formula


@pytest.mark.parametrize(
    ("vram_bytes", "tp_size", "fixed_gib", "word"),
    [
        (0, 1, None, "vram_total_bytes"),
        (-1, 1, None, "vram_total_bytes"),
        (BYTES_TO_GIB, 0, None, "tensor_parallel_size"),
        (BYTES_TO_GIB, 1, -0.5, "overhead_gb"),
        (BYTES_TO_GIB, 1, float("nan"), "overhead_gb"),
        (BYTES_TO_GIB, 1, float("inf"), "overhead_gb"),
    ],
)
def test_impossible_inputs_name_the_field(
    vram_bytes: int, tp_size: int, fixed_gib: float | None, word: str
) -> None:
    with pytest.raises(InvalidRequest, match=word):
        compute_overhead(vram_bytes, tp_size, fixed_gib)
