"""The compare command: options side by side, the frontier as a list and as a drawing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from rich.console import Console
from rich.table import Table

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.models.config_files import read_bounded
from vllm_preflight_server.cli.options import add_output_options, command_parser, request_fields
from vllm_preflight_server.cli.output import progress
from vllm_preflight_server.cli.terminal import (
    Answer,
    open_console,
    print_line,
    print_section,
    print_title,
)

# What a terminal of usual width has no room for; --json and a pipe have all of it.
_WIDE = 200
_WIDE_COLUMNS = frozenset({"kv_cache_tokens", "latency_ms", "settings"})
_LARGEST_PRICES = 1_000_000
_WIDTH, _HEIGHT = 60, 12
_MARKS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def compare(arguments: Sequence[str]) -> int:
    """Compare, print, and say by the exit code whether anything does."""
    parser = command_parser(
        "compare",
        CompareRequest,
        positional="model",
        epilog="--prices takes a file (JSON or YAML) or the JSON itself: currency, date, and "
        "gpu_hour with the price of one GPU for one hour by name.",
    )
    add_output_options(parser)
    parsed = parser.parse(arguments)
    fields = request_fields(parsed, CompareRequest, "model")
    if "prices" in fields:
        fields["prices"] = _prices(fields["prices"])
    request = validate_request(CompareRequest, fields)
    from vllm_preflight.questions.compare import compare_hardware

    report = compare_hardware(request, progress=progress)
    answer = report.to_json_dict()
    if parsed.json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        show_comparison(answer)
    return 0 if report.best is not None else 1


def show_comparison(answer: Answer) -> None:
    """The verdict, the best option of each GPU, the frontier listed and drawn, and why not."""
    console = open_console()
    print_title(console, "best" in answer, answer["summary"])
    if "runner_up" in answer:
        print_line(console, f"Next best: {answer['runner_up']}")
    if answer["options"]:
        console.print()
        print_line(console, f"The best of each GPU ({answer['optimise']}):", "bold")
        console.print(_table(answer["options"], console.width))
    frontier = cast(Sequence[Mapping[str, Any]], answer.get("frontier", ()))
    if frontier:
        console.print()
        print_line(console, "Options that no other beats, cheapest first:", "bold")
        console.print(_table(frontier, console.width, marked=True))
        _draw(console, frontier)
    excluded = [f"{row['gpus']} × {row['gpu']}: {row['reason']}" for row in answer["excluded"]]
    print_section(console, "What does not do", excluded)
    print_section(console, "Cut by --limit", answer.get("has_more", []))
    print_section(console, "Run", [answer["serve_command"]] if "serve_command" in answer else [])
    print_section(console, "Warnings", answer.get("warnings", []))
    print_section(console, "Next", answer.get("next_steps", []))


def _prices(text: str) -> str:
    """The JSON of a price list given as such or as the name of a file."""
    if text.lstrip().startswith("{"):
        return text
    data = read_bounded(Path(text), _LARGEST_PRICES)
    if len(data) > _LARGEST_PRICES:
        raise InvalidRequest(f"{text} is too large for a list of prices.", "Give another file.")
    try:
        # JSON is YAML, too.
        parsed: object = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        raise InvalidRequest(
            f"{text} is neither JSON nor YAML.", "See examples/prices.example.json."
        ) from None
    return json.dumps(parsed, default=str)


def _table(rows: Sequence[Mapping[str, Any]], width: int, marked: bool = False) -> Table:
    columns = {
        "gpus": "GPUs",
        "gpu": "of",
        "layout": "layout",
        "precision": "weights",
        "kv_cache_dtype": "KV cache",
        "requests": "requests",
        "kv_cache_tokens": "KV tokens",
        "longest": "longest",
        "output_tokens_per_s": "tokens/s",
        "latency_ms": "ms/request",
        "cost_per_hour": "cost/h",
        "cost_per_million_tokens": "cost/M tokens",
        "settings": "settings",
    }
    left_out = _WIDE_COLUMNS if width < _WIDE else frozenset[str]()
    used = {
        key: name
        for key, name in columns.items()
        if key not in left_out and any(key in row for row in rows)
    }
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    if marked:
        table.add_column("")
    for key, name in used.items():
        number = isinstance(next(row[key] for row in rows if key in row), int | float)
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for place, row in enumerate(rows):
        cells = [_cell(row.get(key)) for key in used]
        table.add_row(*([_mark(place)] if marked else []), *cells)
    return table


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.2f}" if value < 1_000 else f"{value:,.0f}"
    return str(value)


def _mark(place: int) -> str:
    return _MARKS[place] if place < len(_MARKS) else "*"


def _draw(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    """Requests at once over what they cost: price where all have one, else GPUs."""
    key = "cost_per_hour" if all("cost_per_hour" in row for row in rows) else "gpus"
    across = [float(row[key]) for row in rows]
    up = [float(row["requests"]) for row in rows]
    if len(rows) < 2:
        return
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for place, (x, y) in enumerate(zip(across, up, strict=True)):
        column = round((_WIDTH - 1) * _share(x, across))
        row = _HEIGHT - 1 - round((_HEIGHT - 1) * _share(y, up))
        # A place that is taken keeps the cheaper option's mark.
        if grid[row][column] == " ":
            grid[row][column] = _mark(place)
    console.print()
    label = "cost per hour" if key == "cost_per_hour" else "GPUs"
    for number, cells in enumerate(grid):
        edge = {0: max(up), _HEIGHT - 1: min(up)}.get(number)
        print_line(console, f"{'' if edge is None else f'{edge:,.0f}':>9} |{''.join(cells)}")
    print_line(console, f"{'requests':>9} +{'-' * _WIDTH}")
    ends = f"{min(across):g}".ljust(_WIDTH // 2) + f"{max(across):g}".rjust(_WIDTH // 2)
    print_line(console, f"{'':>11}{ends} {label}")


def _share(value: float, values: Sequence[float]) -> float:
    low, high = min(values), max(values)
    return 0.5 if low == high else (value - low) / (high - low)
