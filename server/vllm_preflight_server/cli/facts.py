"""The commands that state facts: of a model, of this machine, of the overhead formula."""

from __future__ import annotations

from collections.abc import Sequence

from vllm_preflight.contract.hardware import DetectRequest
from vllm_preflight.contract.inspect import InspectRequest
from vllm_preflight.contract.overhead import OverheadRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight_server.cli.options import add_output_options, command_parser, request_fields
from vllm_preflight_server.cli.output import print_answer, progress
from vllm_preflight_server.cli.terminal import show_report


def inspect(arguments: Sequence[str]) -> int:
    """Print what a model is made of."""
    parser = command_parser("inspect", InspectRequest, positional="model")
    add_output_options(parser, explain=True)
    parsed = parser.parse(arguments)
    request = validate_request(InspectRequest, request_fields(parsed, InspectRequest, "model"))
    from vllm_preflight.reports.model import inspect_model

    answer = inspect_model(request, progress=progress)
    print_answer(answer, parsed.json, parsed.explain, show_report)
    return 0


def detect(arguments: Sequence[str]) -> int:
    """Print the GPUs of this machine or a cluster."""
    parser = command_parser("detect", DetectRequest)
    add_output_options(parser)
    parsed = parser.parse(arguments)
    request = validate_request(DetectRequest, request_fields(parsed, DetectRequest))
    from vllm_preflight.hardware.report import detection_answer

    answer = detection_answer(request)
    print_answer(answer, parsed.json, True, show_report)
    return 0 if answer.gpus or answer.nodes else 4


def overhead(arguments: Sequence[str]) -> int:
    """Print what the overhead formula gives."""
    parser = command_parser("overhead", OverheadRequest)
    add_output_options(parser)
    parsed = parser.parse(arguments)
    request = validate_request(OverheadRequest, request_fields(parsed, OverheadRequest))
    from vllm_preflight.questions.overhead import overhead_report

    print_answer(overhead_report(request, progress=progress), parsed.json, True, show_report)
    return 0
