"""The compare command: the best option of each card, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vllm_preflight.base.documents import parse_yaml
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.models.config_files import read_bounded
from vllm_preflight.recommend.prices import LIST, NONE
from vllm_preflight_server.cli.options import add_output_options, command_parser, request_fields
from vllm_preflight_server.cli.output import progress
from vllm_preflight_server.cli.streams import is_unicode
from vllm_preflight_server.cli.terminal import (
    Answer,
    open_console,
    print_rows,
    print_section,
    print_title,
)

_COLUMNS = {
    "gpus": "GPUs",
    "gpu": "of",
    "layout": "layout",
    "precision": "weights",
    "checkpoint": "checkpoint",
    "requests_at_once": "at once",
    "max_model_len": "longest",
    "output_tokens_per_s": "tokens/s",
    "latency_ms": "s/request",
    "cost_per_hour": "cost/h",
    "cost_per_million_tokens": "cost/M tokens",
    "cost_per_month": "cost/month",
}
# What a terminal of usual width has no room for; --json and a pipe have all of it.
_WIDE = 200
_WIDE_COLUMNS = frozenset({"checkpoint"})
# A screen has room for so many reasons.
_EXCLUDED = 4
_LARGEST_PRICES = 1_000_000


def compare(arguments: Sequence[str]) -> int:
    """Compare, print, and say by the exit code whether anything does."""
    parser = command_parser(
        "compare",
        CompareRequest,
        positional="model",
        epilog="--prices takes a file (JSON or YAML) or the JSON itself: currency, date, and "
        "gpu_hour with the price of one GPU for one hour by name; list for the built-in list "
        "prices on demand, each with its day; none.",
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
        print(json.dumps(answer, indent=2, ensure_ascii=not is_unicode()))
    else:
        show_comparison(answer)
    return 0 if report.best is not None else 1


def show_comparison(answer: Answer) -> None:
    """The verdict, the best option of each card, and the command of the best."""
    console = open_console()
    print_title(console, "best" in answer, answer["verdict"]["sentence"])
    if answer["options"]:
        shown = {
            key: title
            for key, title in _COLUMNS.items()
            if console.width >= _WIDE or key not in _WIDE_COLUMNS
        }
        print_rows(console, shown, [_in_seconds(row) for row in answer["options"]])
    print_section(console, "Cost", answer.get("costs", []))
    print_section(console, "Cost of a million tokens by load", _by_load(answer.get("best", {})))
    print_section(console, "Run", [answer["serve_command"]] if "serve_command" in answer else [])
    excluded = [f"{row['gpus']} × {row['gpu']}: {row['reason']}" for row in answer["excluded"]]
    print_section(console, "What does not do", excluded[:_EXCLUDED])
    more = answer.get("has_more", [])
    print_section(console, "More with --limit", more)
    print_section(console, "Warnings", answer.get("warnings", []))
    print_section(console, "Next", answer.get("next_steps", []))


def _by_load(best: Answer) -> list[str]:
    """The best option's cost over the requests that arrive, in one line; none without prices."""
    points = best.get("cost_by_load", [])
    if not points:
        return []
    pairs = [
        f"{point['cost_per_million_tokens']:,.2f} at {point['requests_per_s']:,.3g}/s"
        for point in points
    ]
    return [", ".join(pairs)]


def _prices(text: str) -> str:
    """The JSON of a price list given as such or as the name of a file; a word as it is."""
    if text.lstrip().startswith("{") or text.lower() in (LIST, NONE):
        return text
    data = read_bounded(Path(text), _LARGEST_PRICES)
    if len(data) > _LARGEST_PRICES:
        raise InvalidRequest(f"{text} is too large for a list of prices.", "Give another file.")
    try:
        # JSON is YAML, too.
        parsed = parse_yaml(data.decode("utf-8"))
    except ValueError:
        raise InvalidRequest(
            f"{text} is neither JSON nor YAML.", "See examples/prices.example.json."
        ) from None
    return json.dumps(parsed, default=str)


def _in_seconds(row: Answer) -> Answer:
    """A row with the time of a whole request in the unit of its column."""
    return {**row, "latency_ms": row["latency_ms"] / 1e3} if "latency_ms" in row else row
