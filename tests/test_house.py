"""The house: small modules, rooms that say what they answer, imports that only go down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from scripts.build_architecture import (
    PACKAGES,
    PICTURE,
    between_rooms,
    floors,
    imports,
    modules,
    picture,
    reduced,
    sentence_of,
)

import vllm_preflight
from vllm_preflight.library import calls

MOST_LINES = 500
MOST_AT_THE_ROOT = 9

MODULES = modules()
IMPORTS = imports(MODULES)
ROOMS = {name: path for name, path in MODULES.items() if path.name == "__init__.py"}
TOP_ROOMS = {name for name in ROOMS if name.count(".") == 1}


def siblings(package: str, graph: Mapping[str, frozenset[str]]) -> dict[str, set[str]]:
    """Which child of a package imports from which other, all below a child counting as it."""
    inside = f"{package}."

    def child(module: str) -> str:
        return module.removeprefix(inside).partition(".")[0]

    asked: dict[str, set[str]] = {}
    for module, targets in graph.items():
        if module.startswith(inside):
            asked.setdefault(child(module), set()).update(
                child(target) for target in targets if target.startswith(inside)
            )
    return {name: others - {name} for name, others in asked.items()}


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """What stays when everything that only leads to ends is taken away: part of a circle."""
    left = {name: set(others) for name, others in graph.items()}
    while ends := [name for name, others in left.items() if not others & left.keys()]:
        for name in ends:
            del left[name]
    return sorted(left)


@pytest.mark.design("1: no module is above 500 lines")
def test_modules_are_short() -> None:
    lengths = {
        name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()
    }
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_few_modules_lie_outside_rooms(package: str) -> None:
    assert len(list(PACKAGES[package].glob("*.py"))) - 1 <= MOST_AT_THE_ROOT


@pytest.mark.design("1: a newcomer who opens a folder sees what it answers")
@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_in_one_sentence_what_it_answers(room: str) -> None:
    sentence = sentence_of(ROOMS[room])
    assert sentence.endswith(".") and ". " not in sentence
    if room == "vllm_preflight":
        # The library's face: names that lead to the room behind it, and nothing else.
        assert set(vllm_preflight.__all__) == {"PreflightError", *calls.__all__}
        return
    statements = ROOMS[room].read_text(encoding="utf-8").splitlines()[1:]
    assert [line for line in statements if line and not line.startswith("__version__")] == []


@pytest.mark.design("1: imports point downward only")
def test_every_import_goes_to_a_lower_floor() -> None:
    level = {room: -number for number, row in enumerate(floors()) for room in row}
    assert level.keys() == TOP_ROOMS, "a room without a floor is held by no import contract"
    upward = [
        (room, target)
        for room, targets in between_rooms(IMPORTS).items()
        for target in targets
        if level[target] >= level[room]
    ]
    assert upward == []


@pytest.mark.parametrize("package", ROOMS)
def test_no_import_circle(package: str) -> None:
    """Between the modules and rooms of a room; imports inside functions count."""
    assert circle(siblings(package, IMPORTS)) == []


def test_a_circle_is_found() -> None:
    apart = {"p.a": frozenset({"p.b.x"}), "p.b.y": frozenset({"p.a"}), "p.b.x": frozenset[str]()}
    assert circle(siblings("p", apart)) == ["a", "b"]
    assert circle(siblings("p", {**apart, "p.b.y": frozenset({"p.b.x"})})) == []


def test_imports_are_found_wherever_they_stand(tmp_path: Path) -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import p.never\nelse:\n    import p.branch\n"
        "from p import module, name\n"
        "def f():\n    from p.inner import value\n"
    )
    here = tmp_path / "here.py"
    here.write_text(source, encoding="utf-8")
    others = ("p", "p.never", "p.branch", "p.module", "p.inner")
    empty = tmp_path / "empty.py"
    empty.write_text("", encoding="utf-8")
    found = imports({"p.here": here, **dict.fromkeys(others, empty)})
    assert found["p.here"] == {"p", "p.branch", "p.module", "p.inner"}


def test_the_picture_is_current() -> None:
    assert PICTURE.read_text(encoding="utf-8") == picture(), "run scripts/build_architecture.py"


def test_the_picture_shows_every_room_and_implies_every_arrow() -> None:
    drawn = picture()
    ways = between_rooms(IMPORTS)
    assert drawn.count('class="box"') + drawn.count('class="server box"') == len(TOP_ROOMS)
    arrows = reduced(ways)
    assert drawn.count('class="arrow"') == sum(map(len, arrows.values()))

    def reached(room: str) -> set[str]:
        return set(arrows.get(room, ())).union(*(reached(below) for below in arrows.get(room, ())))

    assert all(reached(room) >= targets for room, targets in ways.items())


def test_longer_ways_replace_an_arrow() -> None:
    graph = {"a": frozenset({"b", "c"}), "b": frozenset({"c"})}
    assert reduced(graph) == {"a": {"b"}, "b": {"c"}}
