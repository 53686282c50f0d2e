from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.words.expand import Variables, expand
from vllm_preflight.launch.words.split import split_commands as split


def split_commands(text: str) -> list[list[str]]:
    """The words of each command, nothing being set."""
    return [
        [word.text for words in command.words for word in expand(words, Variables())]
        for command in split(text)
    ]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=8), min_size=1))
def test_what_a_shell_would_quote_is_read_back(words: list[str]) -> None:
    assert split_commands(shlex.join(words)) == [words]


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("", []),
        ("a b;c&&d|e\nf", [["a", "b"], ["c"], ["d"], ["e"], ["f"]]),
        ("a > log 2>&1 b", [["a", "b"]]),
        ("a 2 > log", [["a", "2"]]),
        ("a 2> log", [["a"]]),
        ("a < in >> out &", [["a"]]),
        ("a \\\n  b", [["a", "b"]]),
        ("ab\\\ncd", [["abcd"]]),
        ("a \"b\\\nc\" 'd\\\ne'", [["a", "bc", "d\\\ne"]]),
        ('"a \\" \\$ \\n"', [['a " $ \\n']]),
        ("a # it's\nb#c", [["a"], ["b#c"]]),
        ("a '' \"\"", [["a", "", ""]]),
        ("a '>' ';' b", [["a", ">", ";", "b"]]),
        ("x='a b'c\\ d", [["x=a bc d"]]),
    ],
)
def test_commands_are_split_as_a_shell_splits_them(text: str, commands: list[list[str]]) -> None:
    assert split_commands(text) == commands


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a \\"])
def test_open_quotes_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="do not match"):
        split_commands(text)
