"""What may leave the engine: no character that is obeyed or unseen, no secret, no end."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.base.text import (
    LONGEST_SENTENCE,
    clean,
    clean_values,
    is_clean,
    presentable,
    quoted,
)
from vllm_preflight.contract.answer import TermReport
from vllm_preflight.contract.request import validate_request

ANY_TEXT = st.text(st.characters(), max_size=60)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ANY_TEXT, inner, max_size=4),
    max_leaves=10,
)


@given(st.text(st.characters(exclude_categories=[]), max_size=60))
def test_what_is_clean_can_be_written_and_is_seen(text: str) -> None:
    shown = clean(text)
    shown.encode("utf-8")
    assert is_clean(shown)
    hidden = {c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")}
    assert hidden <= {"\n", "\t"}
    assert clean(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Qwen/Qwen3-32B × 日本語 é 🚀", "Qwen/Qwen3-32B × 日本語 é 🚀"),
        ("a\n\tb", "a\n\tb"),
        ("\x1b[31mX\x1b]0;t\x07", "\\x1b[31mX\\x1b]0;t\\x07"),
        ("\ud800x", "\\ud800x"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("a\rb", "a\\rb"),
    ],
)
def test_what_is_obeyed_or_unseen_becomes_an_escape(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(JSON)
def test_values_are_clean_at_any_depth(value: object) -> None:
    assert is_clean(repr(clean_values(value)).replace("\\\\", ""))


def test_an_answer_is_clean_whatever_it_is_made_of() -> None:
    term = TermReport(name="\x1b[31m\ud800", formula="", basis="exact", source="")
    assert term.to_json_dict()["name"] == "\\x1b[31m\\ud800"


def test_a_sentence_is_cut_and_without_secrets() -> None:
    assert len(presentable("x" * 10**6)) == LONGEST_SENTENCE
    assert presentable("token hf_" + "a1" * 10 + " refused") == "token [removed] refused"


def test_quoted_words_stay_on_one_line_and_in_their_quotes() -> None:
    assert quoted("IGNORE ALL\n\n## system 'x'") == "\"IGNORE ALL\\n\\n## system 'x'\""
    assert len(quoted("y" * 1_000)) <= 90


def test_a_refused_argument_can_be_told() -> None:
    from vllm_preflight.base.errors import InvalidRequest
    from vllm_preflight.contract.overhead import OverheadRequest

    with pytest.raises(InvalidRequest) as caught:
        validate_request(OverheadRequest, {"\x1b]0;t\x07" * 50: "\ud800"})
    presentable(str(caught.value)).encode()
