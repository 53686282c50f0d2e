"""The compare command: the best option of each card, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight_server.cli.options import add_output_options, command_parser, request_fields
from vllm_preflight_server.cli.output import progress
from vllm_preflight_server.cli.prices import PRICES_HELP, by_load, with_price_file
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


def compare(arguments: Sequence[str]) -> int:
    """Compare, print, and say by the exit code whether anything does."""
    parser = command_parser(
        "compare",
        CompareRequest,
        positional="model",
        epilog=PRICES_HELP,
    )
    add_output_options(parser)
    parsed = parser.parse(arguments)
    fields = request_fields(parsed, CompareRequest, "model")
    request = validate_request(CompareRequest, with_price_file(fields))
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
    points = by_load(answer.get("best", {}).get("cost_by_load", []))
    print_section(console, "Cost of a million tokens by load", points)
    print_section(console, "Run", [answer["serve_command"]] if "serve_command" in answer else [])
    excluded = [f"{row['gpus']} × {row['gpu']}: {row['reason']}" for row in answer["excluded"]]
    print_section(console, "What does not do", excluded[:_EXCLUDED])
    more = answer.get("has_more", [])
    print_section(console, "More with --limit", more)
    print_section(console, "Warnings", answer.get("warnings", []))
    print_section(console, "Next", answer.get("next_steps", []))


def _in_seconds(row: Answer) -> Answer:
    """A row with the time of a whole request in the unit of its column."""
    return {**row, "latency_ms": row["latency_ms"] / 1e3} if "latency_ms" in row else row
