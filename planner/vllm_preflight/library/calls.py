"""The questions as functions of keyword arguments, and their twins for event loops.

Arguments are those of the command line and the tools, checked by the same models; answers
are the same pydantic models, with `.to_text()` for people and `.to_json_dict()` for
programs. `progress` is called with a sentence now and then; setting `stop` ends the work
with `Stopped`. All functions may be called from several threads at once.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, TypeVar, Unpack

from vllm_preflight.artifacts.profile import plan_of
from vllm_preflight.artifacts.request import ArtifactsReport, GenerateRequest
from vllm_preflight.base.cancellation import Stopped, stoppable
from vllm_preflight.contract.compare import CompareReport, CompareRequest
from vllm_preflight.contract.diff import DiffReport, DiffRequest
from vllm_preflight.contract.explain import ExplainRequest, LogExplanationReport
from vllm_preflight.contract.find import FindReport, FindRequest
from vllm_preflight.contract.hardware import DetectReport, DetectRequest
from vllm_preflight.contract.inspect import InspectReport, InspectRequest
from vllm_preflight.contract.overhead import OverheadReport, OverheadRequest
from vllm_preflight.contract.pack import PackReport, PackRequest
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import RequestModel, validate_request
from vllm_preflight.contract.vary import VariedRequest, VariedResponse
from vllm_preflight.hardware.report import detection_answer
from vllm_preflight.library.arguments import (
    CompareArguments,
    DetectArguments,
    DiffArguments,
    ExplainArguments,
    FindArguments,
    GenerateArguments,
    InspectArguments,
    OverheadArguments,
    PackArguments,
    PlanArguments,
    VariedArguments,
)
from vllm_preflight.questions.compare import compare_hardware
from vllm_preflight.questions.diff import diff_releases
from vllm_preflight.questions.explain import explain_startup_log
from vllm_preflight.questions.find_models import find_models as find_models_for
from vllm_preflight.questions.generate import generate_artifacts
from vllm_preflight.questions.overhead import overhead_report
from vllm_preflight.questions.pack import pack_servers
from vllm_preflight.questions.plan import plan_deployment
from vllm_preflight.questions.vary import predict_varied
from vllm_preflight.reports.model import inspect_model

__all__ = [
    "Stopped",
    "check",
    "check_async",
    "compare",
    "compare_async",
    "detect",
    "diff",
    "diff_async",
    "explain",
    "explain_async",
    "find_models",
    "generate",
    "generate_async",
    "inspect",
    "inspect_async",
    "overhead",
    "overhead_async",
    "pack",
    "pack_async",
    "plan",
    "plan_async",
]

Progress = Callable[[str], None]
RequestT = TypeVar("RequestT", bound=RequestModel)
AnswerT = TypeVar("AnswerT")


def _ask(
    request_class: type[RequestT],
    arguments: Mapping[str, Any],
    stop: threading.Event | None,
    answer: Callable[[RequestT], AnswerT],
) -> AnswerT:
    request = validate_request(request_class, arguments)
    with stoppable(stop) if stop is not None else nullcontext():
        return answer(request)


async def _in_thread(call: Callable[[threading.Event], AnswerT]) -> AnswerT:
    """The answer, worked out in a thread; given up, the work stops at its next step."""
    import anyio

    stop = threading.Event()
    try:
        return await anyio.to_thread.run_sync(call, stop, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        stop.set()
        raise


def plan(
    *,
    explain: bool = False,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[PlanArguments],
) -> PlanResponse:
    """Layout, settings and command for a workload on GPUs, and what becomes of it.

    `explain` also weighs each setting against its neighbours, which takes as long again.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    answer = functools.partial(plan_deployment, explain=explain, progress=progress)
    return _ask(PlanRequest, arguments, stop, answer)


async def plan_async(
    *,
    explain: bool = False,
    progress: Progress | None = None,
    **arguments: Unpack[PlanArguments],
) -> PlanResponse:
    """`plan` beside an event loop; given up, it stops."""
    return await _in_thread(
        lambda stop: plan(explain=explain, progress=progress, stop=stop, **arguments)
    )


def check(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[VariedArguments],
) -> VariedResponse:
    """What vLLM does with exact arguments: fields, or a `command`; with `vary` also a row a launch.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    answer = functools.partial(predict_varied, progress=progress)
    return _ask(VariedRequest, arguments, stop, answer)


async def check_async(
    *, progress: Progress | None = None, **arguments: Unpack[VariedArguments]
) -> VariedResponse:
    """`check` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: check(progress=progress, stop=stop, **arguments))


def compare(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[CompareArguments],
) -> CompareReport:
    """Which GPUs carry a workload, how many, with which layout.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    answer = functools.partial(compare_hardware, progress=progress)
    return _ask(CompareRequest, arguments, stop, answer)


async def compare_async(
    *, progress: Progress | None = None, **arguments: Unpack[CompareArguments]
) -> CompareReport:
    """`compare` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: compare(progress=progress, stop=stop, **arguments))


def diff(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[DiffArguments],
) -> DiffReport:
    """What changes for a launch between two releases of vLLM.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    answer = functools.partial(diff_releases, progress=progress)
    return _ask(DiffRequest, arguments, stop, answer)


async def diff_async(
    *, progress: Progress | None = None, **arguments: Unpack[DiffArguments]
) -> DiffReport:
    """`diff` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: diff(progress=progress, stop=stop, **arguments))


def pack(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[PackArguments],
) -> PackReport:
    """Shares of one GPU with which several servers start, one after the other.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    answer = functools.partial(pack_servers, progress=progress)
    return _ask(PackRequest, arguments, stop, answer)


async def pack_async(
    *, progress: Progress | None = None, **arguments: Unpack[PackArguments]
) -> PackReport:
    """`pack` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: pack(progress=progress, stop=stop, **arguments))


def inspect(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[InspectArguments],
) -> InspectReport:
    """What a model is made of, and where the facts come from.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    answer = functools.partial(inspect_model, progress=progress)
    return _ask(InspectRequest, arguments, stop, answer)


async def inspect_async(
    *, progress: Progress | None = None, **arguments: Unpack[InspectArguments]
) -> InspectReport:
    """`inspect` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: inspect(progress=progress, stop=stop, **arguments))


def overhead(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[OverheadArguments],
) -> OverheadReport:
    """The runtime overhead formula's value.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    answer = functools.partial(overhead_report, progress=progress)
    return _ask(OverheadRequest, arguments, stop, answer)


async def overhead_async(
    *, progress: Progress | None = None, **arguments: Unpack[OverheadArguments]
) -> OverheadReport:
    """`overhead` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: overhead(progress=progress, stop=stop, **arguments))


def find_models(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[FindArguments],
) -> FindReport:
    """Which models of the catalogue run on the GPUs; the Hub is not asked.

    Raises:
        PreflightError: a value or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """
    return _ask(FindRequest, arguments, stop, functools.partial(find_models_for, progress=progress))


def explain(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[ExplainArguments],
) -> LogExplanationReport:
    """What happened in a vLLM log, given as text: its figures beside the predicted ones.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
        Stopped: `stop` was set.
    """

    def answer(request: ExplainRequest) -> LogExplanationReport:
        overrides = request.model_dump(exclude={"log"}, exclude_none=True)
        return explain_startup_log(request.log, overrides=overrides, progress=progress)

    return _ask(ExplainRequest, arguments, stop, answer)


async def explain_async(
    *, progress: Progress | None = None, **arguments: Unpack[ExplainArguments]
) -> LogExplanationReport:
    """`explain` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: explain(progress=progress, stop=stop, **arguments))


def generate(
    *,
    progress: Progress | None = None,
    stop: threading.Event | None = None,
    **arguments: Unpack[GenerateArguments],
) -> ArtifactsReport:
    """The texts of the files that run a checked plan; nothing is written.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, or a plan that does not start.
        Stopped: `stop` was set.
    """

    def answer(request: GenerateRequest) -> ArtifactsReport:
        return generate_artifacts(plan_of(request), request.kinds, progress=progress)

    return _ask(GenerateRequest, arguments, stop, answer)


async def generate_async(
    *, progress: Progress | None = None, **arguments: Unpack[GenerateArguments]
) -> ArtifactsReport:
    """`generate` beside an event loop; given up, it stops."""
    return await _in_thread(lambda stop: generate(progress=progress, stop=stop, **arguments))


def detect(**arguments: Unpack[DetectArguments]) -> DetectReport:
    """The NVIDIA GPUs of this machine, or of a cluster; an empty list with the reason.

    Raises:
        PreflightError: a value, or a cluster that cannot be asked, in a sentence.
    """
    return detection_answer(validate_request(DetectRequest, arguments))
