"""What each command does: read its options, ask the engine, print, choose the exit code."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vllm_preflight.errors import InvalidRequest, PreflightError, UnsupportedArchitecture
from vllm_preflight.models.config_files import parse_json_object
from vllm_preflight.reports import Report
from vllm_preflight.requests import (
    DetectRequest,
    ExplainRequest,
    InspectRequest,
    OverheadRequest,
    PlanRequest,
    StartupRequest,
    validate_request,
)
from vllm_preflight_server import display
from vllm_preflight_server.options import (
    Parser,
    add_output_options,
    add_profile_option,
    add_report_options,
    command_parser,
    request_fields,
    split_command,
)
from vllm_preflight_server.page import check_report_path, write_report
from vllm_preflight_server.streams import discard_output, is_unicode

# As much as a log tool call takes.
_LARGEST_LOG = 20_000_000


def run(command: str, arguments: Sequence[str]) -> int:
    """Run `command`; returns the exit code. User errors are printed as one sentence."""
    try:
        return _COMMANDS[command](arguments)
    except PreflightError as error:
        if "--json" in arguments:
            problem = {"code": error.code, "message": error.message, "hint": error.hint}
            print(json.dumps({"error": problem}, indent=2))
        else:
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _plan(arguments: Sequence[str]) -> int:
    parser = command_parser("plan", PlanRequest, positional="model")
    add_profile_option(parser)
    add_output_options(parser, explain=True)
    add_report_options(parser)
    parsed = parser.parse(arguments)
    report = _report_path(parsed)
    fields = request_fields(parsed, PlanRequest, "model")
    from vllm_preflight.plan import plan_deployment

    if parsed.profile is None:
        plan = plan_deployment(
            validate_request(PlanRequest, fields), explain=parsed.explain, progress=_progress
        )
    else:
        from vllm_preflight_server.generating import asked_plan

        asked = asked_plan(parsed, fields)
        plan = plan_deployment(
            asked.request, hardware=asked.hardware, explain=parsed.explain, progress=_progress
        )
    _write(report, plan, parsed.force)
    _print(plan, parsed.json, parsed.explain, display.show_plan)
    starts = plan.startup is None or plan.startup.starts
    return 0 if plan.feasibility.fits and starts else 1


def _generate(arguments: Sequence[str]) -> int:
    from vllm_preflight_server.generating import generate

    return generate(arguments, _progress)


def _check(arguments: Sequence[str]) -> int:
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
    report = _report_path(parsed)
    fields = request_fields(parsed, StartupRequest, "model")
    if command:
        # One word after -- is a whole quoted line; several are a line already split.
        fields["command"] = command[0] if len(command) == 1 else shlex.join(command)
    request = validate_request(StartupRequest, fields)
    from vllm_preflight.predict import predict_startup

    answer = predict_startup(request, progress=_progress)
    _write(report, answer, parsed.force)
    _print(answer, parsed.json, parsed.explain, display.show_startup)
    failure = answer.startup.failure
    if failure is not None and failure.kind == "unsupported":
        return UnsupportedArchitecture.exit_code
    return 0 if answer.startup.starts else 1


def _compare(arguments: Sequence[str]) -> int:
    from vllm_preflight_server.comparing import compare

    return compare(arguments, _progress)


def _explain(arguments: Sequence[str]) -> int:
    parser = command_parser("explain", ExplainRequest, positional="log")
    add_output_options(parser, explain=True)
    parsed = parser.parse(arguments)
    fields = request_fields(parsed, ExplainRequest, "log")
    if "log" in fields:
        fields["log"] = _log_text(fields["log"])
    request = validate_request(ExplainRequest, fields)
    from vllm_preflight.explain import explain_startup_log

    overrides = request.model_dump(exclude={"log"}, exclude_none=True)
    answer = explain_startup_log(request.log, overrides=overrides, progress=_progress)
    _print(answer, parsed.json, parsed.explain, display.show_report)
    return 0


def _log_text(source: str) -> str:
    """The text of a log file, or of standard input for "-"; undecodable bytes replaced."""
    try:
        if source == "-":
            with open(sys.stdin.fileno(), "rb", closefd=False) as stream:
                data = stream.read(_LARGEST_LOG + 1)
        else:
            with open(source, "rb") as stream:
                data = stream.read(_LARGEST_LOG + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidRequest(
            f"The log {source} cannot be read: {reason}.",
            "Give the path of a log file, or - for standard input.",
        ) from error
    if len(data) > _LARGEST_LOG:
        raise InvalidRequest(
            f"The log is larger than {_LARGEST_LOG // 10**6} MB.",
            "Give the part from vLLM's first line to the failure.",
        )
    return data.decode("utf-8", errors="replace")


def _inspect(arguments: Sequence[str]) -> int:
    parser = command_parser("inspect", InspectRequest, positional="model")
    add_output_options(parser, explain=True)
    parsed = parser.parse(arguments)
    request = validate_request(InspectRequest, request_fields(parsed, InspectRequest, "model"))
    from vllm_preflight.inspection import inspect_model

    answer = inspect_model(request, progress=_progress)
    _print(answer, parsed.json, parsed.explain, display.show_report)
    return 0


def _detect(arguments: Sequence[str]) -> int:
    parser = command_parser("detect", DetectRequest)
    add_output_options(parser)
    parsed = parser.parse(arguments)
    request = validate_request(DetectRequest, request_fields(parsed, DetectRequest))
    from vllm_preflight.hardware.report import detection_answer

    answer = detection_answer(request)
    _print(answer, parsed.json, True, display.show_report)
    return 0 if answer.gpus or answer.nodes else 4


def _overhead(arguments: Sequence[str]) -> int:
    parser = command_parser("overhead", OverheadRequest)
    add_output_options(parser)
    parsed = parser.parse(arguments)
    request = validate_request(OverheadRequest, request_fields(parsed, OverheadRequest))
    from vllm_preflight.sizing import overhead_report

    _print(overhead_report(request, progress=_progress), parsed.json, True, display.show_report)
    return 0


def _call(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="vllm-preflight call",
        description="Run one tool through an MCP client in this process and print its answer.",
    )
    parser.add_argument("tool", help="the tool's name, such as plan_deployment")
    parser.add_argument("arguments", nargs="?", default="{}", help="its arguments as JSON")
    parsed = parser.parse(arguments)
    values = parse_json_object(
        parsed.arguments.encode(errors="replace"),
        "The second argument",
        'Write a JSON object such as {"model": "Qwen/Qwen3-8B", "gpu": "H100"}, in single quotes.',
    )
    from vllm_preflight_server.call import call_tool

    answer = call_tool(parsed.tool, values)
    if answer.problem is not None:
        print(f"error: {answer.problem}", file=sys.stderr)
        return 2
    print(json.dumps(answer.structured, indent=2, ensure_ascii=not is_unicode()))
    return 0


def _serve(arguments: Sequence[str]) -> int:
    from vllm_preflight_server.serve import serve

    return serve(arguments)


def _report_path(parsed: argparse.Namespace) -> Path | None:
    """Where --report shall go, refused before the work when it cannot."""
    if "report" not in parsed:
        return None
    path = Path(parsed.report)
    check_report_path(path, force=parsed.force)
    return path


def _write(path: Path | None, answer: Report, force: bool) -> None:
    if path is not None:
        write_report(path, answer.to_json_dict(), force=force)
        print(f"report: {path}", file=sys.stderr)


def _print(
    report: Report, as_json: bool, full: bool, show: Callable[[Mapping[str, Any]], None]
) -> None:
    answer = (report if full else report.concise()).to_json_dict()
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=not is_unicode()))
        return
    try:
        show(answer)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader (head, less) has what it wants; the exit code is still the answer's.
        discard_output()


def _progress(message: str) -> None:
    print(message, file=sys.stderr)


_COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "plan": _plan,
    "generate": _generate,
    "check": _check,
    "compare": _compare,
    "explain": _explain,
    "inspect": _inspect,
    "detect": _detect,
    "overhead": _overhead,
    "call": _call,
    "serve": _serve,
}
