"""The regression list: every question is stored once, and a moved figure is told."""

from __future__ import annotations

from benchmarks.regression import COMMANDS, PLANS, VERSIONED, VERSIONS, differences, stored_answers


def test_every_question_is_stored() -> None:
    assert len(stored_answers()) == len(COMMANDS) + len(VERSIONED) * len(VERSIONS) + len(PLANS)


def test_a_figure_that_moved_is_told_with_both_values() -> None:
    before = {"a": {"weights_gib": 1.0, "starts": True}, "gone": {}}
    after = {"a": {"weights_gib": 1.5, "starts": True}, "new": {}}
    assert list(differences(before, after)) == [
        "a",
        "  weights_gib: 1.0 -> 1.5",
        "gone: gone",
        "new: new",
    ]


def test_equal_answers_have_no_difference() -> None:
    assert list(differences(stored_answers(), stored_answers())) == []
