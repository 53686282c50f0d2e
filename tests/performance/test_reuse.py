"""What a conversation's shape finds in the prefix cache."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.performance.reuse import hit_rate, message_tokens


def test_a_system_prompt_alone_is_found_in_whole_blocks() -> None:
    found = hit_rate(1000, 100, system_prompt_tokens=500, turns=1, block_size=16)
    assert found == pytest.approx(496 / 1000)


def test_messages_make_up_what_the_mean_prompt_leaves() -> None:
    # 100 + message × (1 + 2 + 3) / 3 + answers of 50 × (0 + 1 + 2) / 3 = 350.
    assert message_tokens(350, 50, 100, 3) == pytest.approx(100)


def test_more_turns_find_more() -> None:
    rates = [
        hit_rate(4000, 200, system_prompt_tokens=400, turns=turns, block_size=16)
        for turns in (1, 2, 5, 10)
    ]
    assert rates == sorted(rates) and 0.09 < rates[0] < 0.11 and rates[-1] < 1


def test_a_prompt_too_short_for_its_history_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="10 turns with answers of 200"):
        hit_rate(500, 200, system_prompt_tokens=0, turns=10, block_size=16)
