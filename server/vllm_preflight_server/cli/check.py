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
    hardware_text,
    open_console,
    print_section,
    print_startup,
    print_tail,
    print_title,
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
    failure = answer.startup.failure
    if failure is not None and failure.kind == "not_modelled":
        return UnsupportedArchitecture.exit_code
    return 0 if answer.startup.starts else 1


def show_startup(answer: Answer) -> None:
    """A predicted start-up: verdict, memory of one GPU, what vLLM would print."""
    console = open_console()
    startup = answer["startup"]
    verdict = "starts" if startup["starts"] else "does not start"
    if startup.get("failure", {}).get("kind") == "not_modelled":
        verdict = "not understood"
    name = answer["model"]["model"] if "model" in answer else answer["arguments"].get("model", "")
    print_title(
        console, startup["starts"], f"{name} on {hardware_text(answer['hardware'])}: {verdict}"
    )
    console.print()
    print_startup(console, startup)
    print_section(console, "Command", [answer["command"]])
    defaulted = set(answer.get("defaulted", []))
    settings = [
        f"{key} {scalar(value)}{' (vLLM default)' if key in defaulted else ''}"
        for key, value in answer["arguments"].items()
    ]
    print_section(console, "Arguments", settings)
    print_tail(console, answer)
