"""The check command, and a predicted start-up in a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import validate_request
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
    print_section,
    print_tail,
    print_verdict,
)
from vllm_preflight_server.mcp.text import scalar


def check(arguments: Sequence[str]) -> int:
    """Simulate a launch, print it, and say by the exit code whether it starts."""
    own, command = split_command(arguments)
    parser = command_parser(
        "check",
        StartupRequest,
        positional="model",
        epilog="Everything after -- is the vLLM command to check; it is never executed.",
    )
    add_output_options(parser, explain=True)
    add_report_options(parser)
    parsed = parser.parse(own)
    report = report_path(parsed)
    fields = request_fields(parsed, StartupRequest, "model")
    if command:
        # One word after -- is a whole quoted line; several are a line already split.
        fields["command"] = command[0] if len(command) == 1 else shlex.join(command)
    request = validate_request(StartupRequest, fields)
    from vllm_preflight.questions.check import predict_startup

    answer = predict_startup(request, progress=progress)
    write_page(report, answer, parsed.force)
    print_answer(answer, parsed.json, parsed.explain, show_startup)
    if answer.verdict.outcome == "not_modelled":
        return UnsupportedArchitecture.exit_code
    return 0 if answer.verdict.good else 1


def show_startup(answer: Answer) -> None:
    """A predicted start-up: verdict, one GPU's memory, what would help, the launch."""
    console = open_console()
    startup = answer["startup"]
    name = answer["model"]["model"] if "model" in answer else answer["arguments"].get("model", "")
    print_verdict(console, answer, name)
    print_memory(console, answer)
    remedies = startup.get("failure", {}).get("remedies", []) or answer.get("remedies", [])
    print_section(console, "Starts with", remedies)
    print_section(console, "Command", [answer["command"]] if "command" in answer else [])
    defaulted = set(answer.get("defaulted", []))
    settings = [
        f"{key} {scalar(value)}{' (vLLM default)' if key in defaulted else ''}"
        for key, value in answer["arguments"].items()
    ]
    print_section(console, "Arguments", settings)
    print_tail(console, answer)
