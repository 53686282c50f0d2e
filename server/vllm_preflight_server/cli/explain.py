"""The explain command: a log from a file or standard input."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.explain import MOST_LOG_CHARACTERS, ExplainRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight_server.cli.options import (
    add_output_options,
    command_parser,
    request_fields,
    split_command,
)
from vllm_preflight_server.cli.output import print_answer, progress
from vllm_preflight_server.cli.terminal import show_report

_LEFT_OUT = b"\n"


def explain(arguments: Sequence[str]) -> int:
    """Explain a log and print what was found."""
    own, command = split_command(arguments)
    parser = command_parser(
        "explain",
        ExplainRequest,
        positional="log",
        epilog="With --url, the command that the server was started with may follow after --.",
    )
    parser.add_argument(
        "--url",
        metavar="http://HOST:8000",
        help="a running vLLM server instead of a log: its /metrics, /version and /v1/models",
    )
    parser.add_argument("--tensor-parallel-size", "-tp", metavar="N", help="of a server of --url")
    add_output_options(parser, explain=True)
    parsed = parser.parse(own)
    fields = request_fields(parsed, ExplainRequest, "log")
    if "url" in parsed:
        return _explain_running(parsed, fields, command)
    if command or "tensor_parallel_size" in parsed:
        raise InvalidRequest(
            "A command or --tensor-parallel-size is given without --url.",
            "Give --url http://HOST:8000, or a log alone.",
        )
    if "log" in fields:
        fields["log"] = _log_text(fields["log"])
    request = validate_request(ExplainRequest, fields)
    from vllm_preflight.questions.explain import explain_startup_log

    overrides = request.model_dump(exclude={"log"}, exclude_none=True)
    answer = explain_startup_log(request.log, overrides=overrides, progress=progress)
    print_answer(answer, parsed.json, parsed.explain, show_report)
    return 0


def _explain_running(
    parsed: argparse.Namespace, fields: dict[str, Any], command: Sequence[str] | None
) -> int:
    """Ask a running server, and print what it says beside what was to be expected."""
    if "log" in fields:
        raise InvalidRequest("A log and --url go not together.", "Ask for one of them.")
    if "tensor_parallel_size" in parsed:
        fields["tensor_parallel_size"] = parsed.tensor_parallel_size
    if command:
        fields["command"] = command[0] if len(command) == 1 else shlex.join(command)
    from vllm_preflight.questions.running import explain_running

    answer = explain_running(parsed.url, overrides=fields, progress=progress)
    print_answer(answer, parsed.json, parsed.explain, show_report)
    return 0


def _log_text(source: str) -> str:
    """The text of a log file, or of standard input for "-"; undecodable bytes replaced.

    A start-up shows at the beginning and at the end of a log, so of a long one the middle is
    left out.
    """
    try:
        if source == "-":
            with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
                data = _both_ends(stream)
        else:
            with open(source, "rb") as stream:
                data = _both_ends(stream)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidRequest(
            f"The log {source} cannot be read: {reason}.",
            "Give the path of a log file, or - for standard input.",
        ) from error
    return data.decode("utf-8", errors="replace")[-MOST_LOG_CHARACTERS:]


def _both_ends(stream: BinaryIO) -> bytes:
    """The first and the last bytes of a stream, as many as a question takes."""
    half = MOST_LOG_CHARACTERS // 2 - len(_LEFT_OUT)
    first, last = stream.read(half), b""
    skipped = False
    while part := stream.read(half):
        skipped = skipped or len(last) + len(part) > half
        last = (last + part)[-half:]
    if not skipped:
        return first + last
    print("The log is very long; its middle was not read.", file=sys.stderr)
    return first + _LEFT_OUT + last
