"""Recipes on their verified hardware: nothing stops without a reason of vLLM's."""

from __future__ import annotations

from benchmarks.recipes import exception, launches, predicted


def test_what_a_recipe_was_verified_on_starts_or_says_why() -> None:
    found = launches()
    assert len(found) >= 350
    outcomes = [(case, predicted(case)) for case in found]
    assert sum(outcome.word == "starts" for _, outcome in outcomes) >= 100
    unexplained = [
        (case.model, case.gpu, outcome.reason)
        for case, outcome in outcomes
        if outcome.word in ("does not start", "refused") and not exception(case, outcome)
    ]
    assert not unexplained
    assert not any(outcome.word == "not understood" for _, outcome in outcomes)
