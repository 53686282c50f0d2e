"""Every marker names a requirement of the list, and every requirement has a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

LISTED = re.compile(r"^(\d+)\. `(\d+: .+)`$", re.MULTILINE)


def requirements(repository: Path) -> dict[int, str]:
    """Number to sentence, as tests/requirements.md has them."""
    text = (repository / "tests/requirements.md").read_text(encoding="utf-8")
    return {int(number): sentence for number, sentence in LISTED.findall(text)}


def marked(repository: Path) -> Iterator[tuple[str, str]]:
    """Each sentence that a test is marked with, and where the test is."""
    for path in sorted((repository / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for decorator in node.decorator_list:
                    if ast.unparse(decorator).startswith("pytest.mark.design("):
                        (sentence,) = ast.literal_eval(f"[{ast.unparse(decorator)[19:-1]}]")
                        yield sentence, f"{path.relative_to(repository)}::{node.name}"


def test_the_list_is_numbered_in_order_and_says_nothing_twice(repository: Path) -> None:
    listed = requirements(repository)
    assert list(listed) == list(range(1, len(listed) + 1))
    assert len(set(listed.values())) == len(listed)
    sections = [int(sentence.partition(":")[0]) for sentence in listed.values()]
    assert sections == sorted(sections)


def test_markers_and_the_list_agree(repository: Path) -> None:
    listed = requirements(repository)
    tests: dict[str, list[str]] = {}
    for sentence, test in marked(repository):
        tests.setdefault(sentence, []).append(test)
    assert [sentence for sentence in tests if sentence not in listed.values()] == []
    for number, sentence in listed.items():
        print(f"{number:3}. {sentence}", *tests.get(sentence, ["no test"]), sep="\n       ")
    assert [sentence for sentence in listed.values() if sentence not in tests] == []
