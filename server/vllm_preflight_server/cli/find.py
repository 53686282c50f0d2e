"""The find command: which models of the catalogue run on these GPUs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vllm_preflight.contract.find import FindRequest
from vllm_preflight.contract.request import validate_request
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
    rows: list[Answer] = answer["models"]
    if not rows:
        return
    print_rows(console, _COLUMNS, rows)
    print_section(console, f"Run {rows[0]['model']}", [rows[0]["serve_command"]])
    more = carried - len(rows)
    print_section(console, "More with --limit", [f"{more} smaller models"] if more else [])
    print_section(console, "Warnings", answer.get("warnings", []))
