"""The find command: which models of the catalogue run on these GPUs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from vllm_preflight.contract.find import FindRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight_server.cli.options import add_output_options, command_parser, request_fields
from vllm_preflight_server.cli.output import progress
from vllm_preflight_server.cli.streams import is_unicode
from vllm_preflight_server.cli.terminal import Answer, open_console, print_section, print_title

_COLUMNS = {
    "model": "model",
    "params_b": "billion",
    "weights": "weights",
    "gpus": "GPUs",
    "requests_at_once": "at once",
    "max_model_len": "longest",
    "output_tokens_per_s": "tokens/s",
}


def find(arguments: Sequence[str]) -> int:
    """Judge the catalogue, print, and say by the exit code whether anything runs."""
    parser = command_parser("find", FindRequest)
    add_output_options(parser)
    parsed = parser.parse(arguments)
    request = validate_request(FindRequest, request_fields(parsed, FindRequest))
    from vllm_preflight.questions.find_models import find_models

    report = find_models(request, progress=progress)
    answer = report.to_json_dict()
    if parsed.json:
        print(json.dumps(answer, indent=2, ensure_ascii=not is_unicode()))
    else:
        show_found(answer)
    return 0 if report.models else 1


def show_found(answer: Answer) -> None:
    """How many models run, the largest of them, and the command of the largest."""
    console = open_console()
    carried, judged = answer["carried"], answer["judged"]
    where = f"{answer['gpus']} × {answer['gpu']}"
    print_title(
        console, carried > 0, f"{carried} models start on {where}; asked for {answer['requests']}."
    )
    console.print(f"{judged} of the catalogue were small enough to be judged.")
    rows: list[Mapping[str, Any]] = answer["models"]
    if not rows:
        return
    console.print()
    console.print(_table(rows))
    print_section(console, f"Run {rows[0]['model']}", [rows[0]["serve_command"]])
    more = carried - len(rows)
    print_section(console, "More with --limit", [f"{more} smaller models"] if more else [])
    print_section(console, "Warnings", answer.get("warnings", []))


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for key, name in _COLUMNS.items():
        number = isinstance(rows[0].get(key), int | float)
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(key)) for key in _COLUMNS))
    return table


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value or "")
