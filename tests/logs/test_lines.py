"""Finding and unwrapping the lines that matter."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.logs import lines
from vllm_preflight.logs.lines import MAX_LINE, clip, find_lines, normalise
from vllm_preflight.logs.parse import parse_log

SIZE = "Available KV cache memory: 33.91 GiB"


def test_only_lines_with_the_words_are_read_and_in_order() -> None:
    text = "b x\nnothing\na y\nb z\n"
    assert [line.text for line in find_lines(text, ("b", "a"))] == ["b x", "a y", "b z"]


def test_a_record_is_split_into_worker_level_and_content() -> None:
    record = "(Worker_TP1 pid=52) ERROR 03-05 09:02:00 [a/b.py:11] ValueError: no"
    (line,) = find_lines(record, ("ValueError",))
    assert (line.process, line.key, line.level) == ("Worker_TP1", "52", "ERROR")
    assert line.content == "ValueError: no"
    assert not line.ended


def test_workers_of_two_machines_may_share_a_pid() -> None:
    heads = [
        f"(RayWorkerWrapper pid=9, ip=10.0.0.{n}) INFO 03-05 09:02:00 [a.py:1] " for n in (1, 2)
    ]
    text = "".join(f"{head}{SIZE}\n" for head in heads)
    assert len({line.key for line in find_lines(text, (SIZE,))}) == 2


def test_the_last_worker_named_wrote_the_words() -> None:
    text = f"(Worker_TP0 pid=1) Capturing: 0%|   | 0/35 (Worker_TP1 pid=2) INFO {SIZE}\n"
    (line,) = find_lines(text, (SIZE,))
    assert line.key == "2"


def test_very_long_lines_are_read_around_the_words() -> None:
    text = "x" * 3 * MAX_LINE + SIZE + "y" * 3 * MAX_LINE
    (line,) = find_lines(text, (SIZE,))
    assert SIZE in line.text
    assert len(line.text) <= MAX_LINE
    assert parse_log(text).available_kv_gib == 33.91


@pytest.mark.parametrize(
    "wrapped",
    [
        json.dumps({"log": f"{SIZE}\n"}),
        "pod-7 " + json.dumps({"severity": "INFO", "message": SIZE}),
        json.dumps({"other": 1, "message": 7, "body": SIZE}),
    ],
)
def test_envelopes_are_opened(wrapped: str) -> None:
    (line,) = find_lines(wrapped, (SIZE,))
    assert line.text == SIZE


@pytest.mark.parametrize("odd", ['{"a": "', '["', '{"a": 1}', '{"a": [' + "[" * 3000])
def test_what_is_no_envelope_is_read_as_it_is(odd: str) -> None:
    text = f'{odd} {SIZE} "}}'
    (line,) = find_lines(text, (SIZE,))
    assert line.text == text


def test_line_breaks_of_all_kinds() -> None:
    assert normalise("a\r\nb\rc\n\0") == "a\nb\nc\n"


def test_texts_beyond_the_limit_lose_their_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clip("a" * 100) == ("a" * 100, False)
    monkeypatch.setattr(lines, "MAX_TEXT", 100)
    text, clipped = clip("a" * 90 + "b" * 90)
    assert clipped
    assert text == "a" * 50 + "\n" + "b" * 50
    assert parse_log("x" * 200).clipped


PIECES = st.sampled_from(["Error", "\n", "\n\n", "x", "Killed", " ", "é", "\ud800", "memory: 3"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_a_long_text_is_read_as_a_short_one(text: str) -> None:
    words = ("Error\n", "Error", "Killed\n", "memory: ", "é")
    short = list(find_lines(text, words))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "_SHORT_TEXT", 0)
        assert list(find_lines(text, words)) == short
        patch.setattr(lines, "_MOST_TELLING", 1)
        assert list(find_lines(text, words)) == short
