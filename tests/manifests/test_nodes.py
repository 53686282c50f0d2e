"""The loader: lines, merge keys, limits, nothing constructed."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.manifests.nodes import (
    Fields,
    Text,
    at,
    items_of,
    plain_value,
    read_nodes,
    text_at,
)


def test_scalars_know_their_lines() -> None:
    (node,) = read_nodes("a:\n- one\n- |\n  two\n  three\nb: {c: 'four'}\n")
    one, two = items_of(at(node, "a"))
    assert isinstance(one, Text) and (one, one.line) == ("one", 2)
    assert isinstance(two, Text) and (two.line, two.last) == (3, 5)
    assert text_at(node, "b", "c") == "four"


def test_scalars_stay_as_written_and_become_values_on_demand() -> None:
    (node,) = read_nodes("{a: 0123, b: yes, c: 1.0, d: '8', e: ~, f: 1e3, g: 2026-01-01, h: 8Gi}")
    assert text_at(node, "a") == "0123"
    values = plain_value(node)
    assert values["b"] is True and values["c"] == 1.0 and values["d"] == "8"
    assert values["e"] is None and values["g"] == "2026-01-01" and values["h"] == "8Gi"


def test_merge_keys_and_anchors() -> None:
    (node,) = read_nodes("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: {<<: [*x, {c: 4}]}\n")
    assert plain_value(at(node, "y")) == {"a": 1, "b": 3}
    assert plain_value(at(node, "z")) == {"a": 1, "b": 2, "c": 4}


def test_unknown_tags_construct_nothing() -> None:
    (node,) = read_nodes("x: !!python/object/apply:os.system ['true']\ny: !Ref z\n")
    assert isinstance(node, Fields)
    assert plain_value(node) == {"x": ["true"], "y": "z"}


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "{a: " * 200 + "1" + "}" * 200,
        "&a [*a]",
        "\n".join(
            ["a0: &a0 [x, x, x, x, x, x, x, x]"]
            + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 12)]
        ),
        "- x\n" * 300_000,
        "x" * 3_000_000,
        "a: [1, 2\nb: 3",
        "a: {{ .Values.x }}",
        "a: \x00",
        "a: b: c",
    ],
    ids=["flow", "depth", "loop", "bomb", "many", "long", "open", "template", "null", "colon"],
)
def test_what_is_too_much_or_no_yaml_is_one_sentence(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_nodes(text)
    assert len(str(caught.value)) < 400
