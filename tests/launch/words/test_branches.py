"""Shell text with conditions: what constants decide is decided, the rest is left out and said."""

from __future__ import annotations

import pytest

from vllm_preflight.launch.words.find import find_server_command


@pytest.mark.parametrize(
    ("text", "words", "left_out"),
    [
        ('X=1\nif [ "$X" -gt 0 ]; then A=(--a 1); else A=(--b 1); fi\nvllm serve m "${A[@]}"',
         "m --a 1", ""),
        ('X=0\nif [ "$X" -gt 0 ]; then\n A=(--a 1)\nelse A=(--b 1)\nfi\nvllm serve m "${A[@]}"',
         "m --b 1", ""),
        ('X=y\nif [[ $X == x ]]; then A=1; elif [[ $X == y ]]; then A=2; else A=3; fi\n'
         "vllm serve m -tp $A", "m -tp 2", ""),
        ('A=()\nif [ -n "$X" ]; then\n A=(--a 1)\nfi\nvllm serve m "${A[@]}"', "m", "A"),
        ('[ -n "$X" ] && A=--a\nvllm serve m $A', "m", "A"),
        ('X=1; [ -n "$X" ] && A=--a ; [ -z "$X" ] && B=--b; vllm serve m $A ${B:-}', "m --a", ""),
        ('X=1; [ -z "$X" ] || A=--a; vllm serve m $A', "m --a", ""),
        ("if ! command -v vllm; then pip install vllm; fi; vllm serve m", "m", ""),
        ("while [ ! -f /x ]; do sleep 1; done; vllm serve m", "m", ""),
        ("until curl x; do sleep 1; done && vllm serve m", "m", ""),
        ("cd /x && vllm serve m || exit 1", "m", ""),
        ("for i in 1 2; do vllm serve m; done", "m", ""),
        ("nvidia-smi || exit 1; vllm serve m", "m", ""),
        ("if false; then vllm serve a; else vllm serve b; fi", "b", ""),
        ("if true; then if false; then vllm serve a; fi; vllm serve c; fi", "c", ""),
    ],
)  # fmt: skip
def test_branches(text: str, words: str, left_out: str) -> None:
    command = find_server_command(text)
    assert " ".join(word.text for word in command.words) == words
    assert [note.split()[3] for note in command.notes] == left_out.split()


def test_words_behind_the_text_of_a_shell_are_its_arguments() -> None:
    command = find_server_command("""bash -c 'exec vllm serve "$@" --seed $1' -- m -tp 2""")
    assert [word.text for word in command.words] == ["m", "-tp", "2", "--seed", "m"]


def test_a_runtime_value_stays_one_word() -> None:
    command = find_server_command("N=$(hostname -I | cut -d. -f4)\nvllm serve m --seed $N --port 1")
    assert [word.text for word in command.words][2:] == [
        "$(hostname -I | cut -d. -f4)",
        "--port",
        "1",
    ]


def test_arithmetic_with_defaults() -> None:
    command = find_server_command("N=4\nvllm serve m -tp $(( ${GPUS:-2} * N ))")
    assert [word.text for word in command.words] == ["m", "-tp", "8"]
