"""YAML of strangers stays as small as its text."""

from __future__ import annotations

import pytest

from vllm_preflight.base.documents import parse_yaml


def test_yaml_and_json_are_read() -> None:
    assert parse_yaml("a: [1, x]") == {"a": [1, "x"]}
    assert parse_yaml('{"a": [1, "x"]}') == {"a": [1, "x"]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x [1]\nb: *x", "alias"),
        ("a: [1", "no YAML or JSON near line"),
        ("[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("!!python/object/apply:os.system [id]", "no YAML or JSON"),
    ],
)
def test_what_is_not_taken_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_yaml(text)
