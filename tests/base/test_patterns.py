"""Expressions of strangers are matched in linear time, or refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.base.patterns import LONGEST_PATTERN, compile_pattern

PUBLISHED = [
    ".*self_attn.*",
    r".*mlp\.(gate|up|gate_up|down)_proj.*",
    r".*\.(gate|router|shared_expert_gate)$",
    r"model\.layers\.(?:1[0-5]|2)\..*(mlp|self_attn)\..*",
]
PATHS = ["model.layers.0.self_attn.q_proj", "model.layers.12.mlp.gate_up_proj", "lm_head"]


@pytest.mark.parametrize("expression", PUBLISHED)
def test_published_rules_match_as_in_python(expression: str) -> None:
    pattern = compile_pattern(expression)
    for path in PATHS:
        assert bool(pattern.match(path)) == bool(re.match(expression, path))


@given(st.text("ab.*+?()|[]^$0", max_size=12), st.text("ab.0", max_size=12))
def test_what_both_engines_take_they_match_alike(expression: str, text: str) -> None:
    try:
        own = re.compile(expression)
        linear = compile_pattern(expression)
    except (re.error, ValueError, FutureWarning):
        return
    assert bool(linear.match(text)) == bool(own.match(text))


# Python's engine needs more than 2**60 steps for each of these.
@pytest.mark.parametrize("expression", ["(([a-z0-9._]+)+)+Z", "(a|aa)+$", "(.*)*x", "(a*)*b"])
def test_what_explodes_elsewhere_ends_here(expression: str) -> None:
    assert compile_pattern(expression).match("a" * 20_000 + "!") is None


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(", "is no regular expression"),
        ("*", "is no regular expression"),
        ("a{100000}", "is no regular expression"),
        ("^(?!.*mlp).*$", "looks ahead or behind, which is not matched here"),
        ("a" * (LONGEST_PATTERN + 1), f"is longer than {LONGEST_PATTERN} characters"),
    ],
)
def test_what_is_not_taken_is_named(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        compile_pattern(expression)
