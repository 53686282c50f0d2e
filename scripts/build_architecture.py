"""Draw docs/architecture.svg: the rooms on their floors, and which asks which.

    python scripts/build_architecture.py [--check]

Floors come from the import contracts of pyproject.toml, arrows from the imports in the
source, and each room's sentence from its `__init__`. An arrow that a longer way already
implies is left out, so that the picture shows who stands on whom and not every import.
With `--check` nothing is written, and a stale picture makes the exit code 1.
"""

from __future__ import annotations

import argparse
import ast
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/architecture.svg"
PACKAGES = {
    "vllm_preflight": ROOT / "planner/vllm_preflight",
    "vllm_preflight_server": ROOT / "server/vllm_preflight_server",
}
Graph = Mapping[str, frozenset[str]]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say whether it is stale")
    check = parser.parse_args().check
    drawn = picture()
    if PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == drawn:
        return 0
    name = PICTURE.relative_to(ROOT)
    if check:
        print(f"{name} is stale; run python scripts/build_architecture.py", file=sys.stderr)
        return 1
    PICTURE.write_text(drawn, encoding="utf-8")
    print(f"wrote {name}")
    return 0


# What the source says.


def modules() -> dict[str, Path]:
    """Every module of both packages by its dotted name; a package is its `__init__`."""
    found: dict[str, Path] = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(found: Mapping[str, Path]) -> dict[str, frozenset[str]]:
    """The modules of `found` that each imports, inside functions too.

    Imports under `if TYPE_CHECKING` are left out: they do not happen.
    """
    return {
        name: frozenset(
            module if module in found else module.rpartition(".")[0]
            for module in _named(ast.parse(path.read_text(encoding="utf-8")))
            if module in found or module.rpartition(".")[0] in found
        )
        - {name}
        for name, path in found.items()
    }


def _named(node: ast.AST) -> Iterator[str]:
    """Each imported module, and each name imported from one: it may be a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        # The linter's rule TID252 refuses relative imports in both packages.
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for child in node.orelse:
            yield from _named(child)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _named(child)


def sentence_of(path: Path) -> str:
    """The docstring of a module, on one line."""
    return " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())


def floors() -> list[list[str]]:
    """The rooms of each floor, the highest first, as the import contracts have them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    engine = next(c for c in contracts if c["type"] == "layers" and c.get("containers"))
    server = next(c for c in contracts if c["type"] == "layers" and not c.get("containers"))
    (container,) = engine["containers"]
    above = [[room] for room in server["layers"] if room != container]
    below = [[f"{container}.{room.strip()}" for room in f.split("|")] for f in engine["layers"]]
    return above + below


def between_rooms(graph: Graph) -> dict[str, frozenset[str]]:
    """Which room imports from which; the packages' own roots are no room."""
    asked: dict[str, set[str]] = {}
    for module, targets in graph.items():
        room = _room(module)
        if room:
            asked.setdefault(room, set()).update(filter(None, map(_room, targets)))
    return {room: frozenset(others - {room}) for room, others in asked.items()}


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2]) if "." in module else ""


def reduced(graph: Graph) -> dict[str, frozenset[str]]:
    """`graph`, which has no circle, without the arrows that longer ways imply."""

    def reached(start: str) -> set[str]:
        below = set(graph.get(start, ()))
        return below.union(*(reached(node) for node in below))

    return {
        node: frozenset(
            target
            for target in targets
            if not any(target in reached(other) for other in targets - {target})
        )
        for node, targets in graph.items()
    }


# Where it is drawn.

BOX, HEIGHT, GAP, TOP = 300, 68, 30, 84
BETWEEN = 40  # from box to box on one floor
LANE = 20  # the least from a lane to a box or to another lane
EDGE = 64  # the margin that keeps the numbers of the floors


@dataclass(frozen=True)
class Place:
    """A room's floor, counted from the top, and the middle of its box."""

    floor: int
    x: float


@dataclass(frozen=True)
class Route:
    """An arrow, and the x at which it passes the floors between its two rooms."""

    room: str
    target: str
    lane: float | None


def page_width(rows: list[list[str]]) -> int:
    """As wide as the fullest floor, with a lane on either side."""
    return max(map(len, rows)) * (BOX + BETWEEN) + 2 * (EDGE + LANE)


def placed(rows: list[list[str]]) -> dict[str, Place]:
    """Each floor's rooms side by side in the middle of the page."""
    middle = page_width(rows) / 2
    return {
        room: Place(floor, middle + (number - (len(row) - 1) / 2) * (BOX + BETWEEN))
        for floor, row in enumerate(rows)
        for number, room in enumerate(row)
    }


def routed(rows: list[list[str]], rooms: Mapping[str, Place], arrows: Graph) -> list[Route]:
    """Each arrow's way: one straight lane past the boxes and lanes in between.

    The longest choose first, and of two equal ways the side with fewer lanes nearby is taken.
    """
    width = page_width(rows)
    lanes: dict[tuple[str, str], tuple[range, float]] = {}
    between = {
        (room, target): range(place.floor + 1, rooms[target].floor)
        for room, place in rooms.items()
        for target in sorted(arrows.get(room, ()))
    }
    for (room, target), passed in sorted(between.items(), key=lambda r: (-len(r[1]), r[0])):
        if not passed:
            continue
        wanted = (rooms[room].x + rooms[target].x) / 2
        boxes = [place.x for place in rooms.values() if place.floor in passed]
        near = [x for floors, x in lanes.values() if set(floors) & set(passed)]
        free = [
            x
            for x in map(float, range(EDGE, width - LANE))
            if all(abs(x - box) >= BOX / 2 + LANE for box in boxes)
            and all(abs(x - lane) >= LANE for lane in near)
        ]
        around = range(passed.start - 1, passed.stop + 1)
        nearby = [x for floors, x in lanes.values() if set(floors) & set(around)]
        left_is_full = sum(x < width / 2 for x in nearby) * 2 > len(nearby)
        lane = min(free, key=lambda x: (abs(x - wanted), (x < wanted) == left_is_full))
        lanes[room, target] = passed, lane
    return [Route(*way, lanes[way][1] if way in lanes else None) for way in between]


# How it is drawn.

STYLE = """
text { font-family: ui-sans-serif, system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
.title { font-size: 22px; font-weight: 700; fill: #16202c; }
.note { font-size: 13px; fill: #5b6774; }
.name { font-size: 15px; font-weight: 700; fill: #16202c; }
.says { font-size: 12px; fill: #3d4955; }
.inside { font-size: 11.5px; fill: #6b5a1e; }
.floor { font-size: 12px; font-weight: 600; fill: #93a0ad; }
.band { fill: #f4f6f8; }
.server.band { fill: #eaf2fb; }
.box { fill: #ffffff; stroke: #9fb0c0; stroke-width: 1.2; }
.server.box { stroke: #5d93cf; }
.arrow { fill: none; stroke: #5b6774; stroke-width: 1.5; }
"""


def picture() -> str:
    """The whole SVG."""
    found = modules()
    graph = imports(found)
    rows = floors()
    arrows = reduced(between_rooms(graph))
    rooms = placed(rows)
    routes = routed(rows, rooms, arrows)
    width = page_width(rows)
    height = TOP + len(rows) * (HEIGHT + GAP)
    many = sum(len(targets) for targets in between_rooms(graph).values())
    drawn = sum(len(targets) for targets in arrows.values())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="t">',
        '<title id="t">The rooms of vllm-preflight on their floors; arrows point downward</title>',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#5b6774"/></marker></defs>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text class="title" x="20" y="36">{len(rooms)} rooms, and every arrow points down</text>',
        f'<text class="note" x="20" y="58">{drawn} of the {many} ways from room to room; '
        "the others follow from these. Blue: the server. In ochre: the rooms inside a room.</text>",
    ]
    for floor, row in enumerate(rows):
        kind = "server " if row[0].startswith("vllm_preflight_server") else ""
        y = TOP + floor * (HEIGHT + GAP)
        parts.append(
            f'<rect class="{kind}band" x="20" y="{y - 6}" width="{width - 40}" '
            f'height="{HEIGHT + 12}" rx="8"/>'
            f'<text class="floor" x="34" y="{y + HEIGHT / 2 + 4}">{len(rows) - 1 - floor}</text>'
        )
    parts += _arrows(rooms, routes)
    parts += [part for room, place in rooms.items() for part in _box(room, place, found)]
    return "\n".join([*parts, "</svg>", ""])


def _box(room: str, place: Place, found: Mapping[str, Path]) -> Iterator[str]:
    x, y = place.x - BOX / 2, _top(place.floor)
    kind = "server " if room.startswith("vllm_preflight_server") else ""
    inside = sorted(
        name.rpartition(".")[2]
        for name, path in found.items()
        if name.startswith(f"{room}.") and path.name == "__init__.py"
    )
    yield f'<rect class="{kind}box" x="{x:.0f}" y="{y}" width="{BOX}" height="{HEIGHT}" rx="7"/>'
    yield (
        f'<text class="name" x="{x + 12:.0f}" y="{y + 21}">{room.partition(".")[2]}'
        + (f'<tspan class="inside" dx="8">{" · ".join(inside)}</tspan>' if inside else "")
        + "</text>"
    )
    says = sentence_of(found[room])
    lines = textwrap.wrap(says, 42)
    if len(lines) > 2:
        raise SystemExit(f"the sentence of {room} does not fit its box; shorten it: {says}")
    for number, line in enumerate(lines):
        place_y = y + 41 + 16 * number
        yield f'<text class="says" x="{x + 12:.0f}" y="{place_y}">{escape(line)}</text>'


def _top(floor: int) -> int:
    return TOP + floor * (HEIGHT + GAP)


def _arrows(rooms: Mapping[str, Place], routes: list[Route]) -> Iterator[str]:
    """One path an arrow: from its own point of a box, down its lane, to another's."""
    for route in routes:
        out = sorted((r for r in routes if r.room == route.room), key=lambda r: _towards(r, rooms))
        into = sorted(
            (r for r in routes if r.target == route.target),
            key=lambda r: rooms[r.room].x if r.lane is None else r.lane,
        )
        x = _port(rooms[route.room].x, out.index(route), len(out))
        end = _port(rooms[route.target].x, into.index(route), len(into))
        y = _top(rooms[route.room].floor) + HEIGHT
        path = f"M{x:.0f} {y}"
        if route.lane is not None:
            path += _curve(x, y, route.lane, y + GAP)
            x, y = route.lane, _top(rooms[route.target].floor) - GAP
            path += f"V{y}"
        path += _curve(x, y, end, _top(rooms[route.target].floor) - 1)
        yield (
            f'<path class="arrow" marker-end="url(#tip)" d="{path}"><title>'
            f"{route.room.partition('.')[2]} asks {route.target.partition('.')[2]}</title></path>"
        )


def _towards(route: Route, rooms: Mapping[str, Place]) -> float:
    return rooms[route.target].x if route.lane is None else route.lane


def _port(middle: float, number: int, of: int) -> float:
    """The point of a box at which the arrow of this number begins or ends."""
    return middle + (number - (of - 1) / 2) * min(44, (BOX - 40) / of)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    bend = (y + to_y) / 2
    return f"C{x:.0f} {bend:.0f} {to_x:.0f} {bend:.0f} {to_x:.0f} {to_y}"


if __name__ == "__main__":
    sys.exit(main())
