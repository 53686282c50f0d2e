"""The check command, and a predicted start-up in a terminal."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import InvalidRequest, UnsupportedArchitecture
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.text import scalar
from vllm_preflight.contract.vary import VariedRequest
from vllm_preflight_server.cli.manifests import add_manifest_options, check_files
from vllm_preflight_server.cli.options import (
    add_output_options,
    add_report_options,
    command_parser,
    request_fields,
    split_command,
)
from vllm_preflight_server.cli.output import print_answer, progress, report_path, write_page
from vllm_preflight_server.cli.terminal import (
    Answer,
    open_console,
    print_memory,
    print_rows,
    print_section,
    print_tail,
    print_verdict,
)

_VARIED = {
    "varied": "varied",
    "outcome": "outcome",
    "start_probability": "probability",
    "available_kv_cache_gib": "KV cache GiB",
    "kv_cache_tokens": "KV tokens",
    "max_concurrency": "concurrency",
}


def check(arguments: Sequence[str]) -> int:
    """Simulate a launch, print it, and say by the exit code whether it starts."""
    own, command = split_command(arguments)
    parser = command_parser(
        "check",
        VariedRequest,
        positional="model",
        epilog="Everything after -- is the vLLM command to check; it is never executed.",
    )
    add_output_options(parser, explain=True)
    add_report_options(parser)
    add_manifest_options(parser)
    parsed = parser.parse(own)
    report = report_path(parsed)
    fields = request_fields(parsed, VariedRequest, "model")
    if "files" in parsed:
        _refuse_beside_files(parsed, command)
        return check_files(parsed, fields)
    if command:
        # One word after -- is a whole quoted line; several are a line already split.
        fields["command"] = command[0] if len(command) == 1 else shlex.join(command)
    elif " " in (line := str(fields.get("model") or "").strip()) and not Path(line).exists():
        # A whole line, quoted, without -- before it.
        fields["command"] = fields.pop("model")
    request = validate_request(VariedRequest, fields)
    from vllm_preflight.questions.vary import predict_varied

    whole = parsed.explain or report is not None
    answer = predict_varied(request, whole=whole, progress=progress)
    write_page(report, answer, parsed.force)
    print_answer(answer, parsed.json, parsed.explain, show_startup)
    if answer.verdict.outcome == "not_modelled":
        return UnsupportedArchitecture.exit_code
    return 0 if answer.verdict.good else 1


def _refuse_beside_files(parsed: argparse.Namespace, command: Sequence[str] | None) -> None:
    for given, what in ((command, "A command after --"), ("report" in parsed, "--report")):
        if given:
            raise InvalidRequest(f"{what} and -f go not together.", "Ask for one of them.")


def _line(remedy: Answer) -> str:
    """The whole line, with what it gives up as the shell's own comment."""
    costs = remedy.get("gives_up")
    return remedy["command"] if costs is None else f"{remedy['command']}  # costs {costs}"


def show_startup(answer: Answer) -> None:
    """A predicted start-up: verdict, one GPU's memory, what would help, the launch."""
    console = open_console()
    startup = answer["startup"]
    name = answer["model"]["model"] if "model" in answer else answer["arguments"].get("model", "")
    print_verdict(console, answer, name)
    print_memory(console, answer)
    remedies = answer.get("remedies", [])
    print_section(console, "Starts with", [_line(remedy) for remedy in remedies])
    if not remedies:
        # What is no flag, such as another release, or what is not known.
        open_point = answer["verdict"]["outcome"] == "not_modelled"
        title = "What would settle it" if open_point else "vLLM would take"
        print_section(console, title, startup.get("failure", {}).get("remedies", []))
    launches = answer.get("launches", [])
    if launches:
        print_rows(console, _VARIED, [{**row, "varied": _values(row)} for row in launches])
        told = [f"{_values(row)}: {text}" for row in launches for text in row.get("moved", [])[:1]]
        print_section(console, "What moved most from the first row", told)
    if answer["verdict"]["outcome"] == "starts":
        print_section(console, "Command", [answer["command"]] if "command" in answer else [])
    defaulted = set(answer.get("defaulted", []))
    settings = [
        f"{key} {scalar(value)}{' (vLLM default)' if key in defaulted else ''}"
        for key, value in answer["arguments"].items()
    ]
    print_section(console, "Arguments", settings)
    print_tail(console, answer)


def _values(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in row["values"].items())
