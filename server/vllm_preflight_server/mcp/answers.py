"""What answers each tool: one call of the engine, loaded by the first question."""

from __future__ import annotations

from vllm_preflight.artifacts.request import ArtifactsReport, GenerateRequest
from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.find import FindReport, FindRequest
from vllm_preflight.contract.hardware import DetectReport, DetectRequest
from vllm_preflight.contract.overhead import OverheadReport, OverheadRequest
from vllm_preflight_server.mcp.arguments import (
    CompareArguments,
    ExplainArguments,
    InspectArguments,
    PlanArguments,
    StartupArguments,
)
from vllm_preflight_server.mcp.question import Progress


def answer_detect(request: DetectRequest, progress: Progress) -> DetectReport:
    """This machine's GPUs, or a cluster's."""
    from vllm_preflight.hardware.report import detection_answer

    del progress
    return detection_answer(request)


def answer_overhead(request: OverheadRequest, progress: Progress) -> OverheadReport:
    """The overhead formula's value."""
    from vllm_preflight.questions.overhead import overhead_report

    return overhead_report(request, progress=progress)


def answer_plan(request: PlanArguments, progress: Progress) -> Report:
    """A plan for the workload."""
    from vllm_preflight.questions.plan import plan_deployment

    full = request.detail == "full"
    whole = full or request.chart != "none"
    return plan_deployment(request, explain=full, whole=whole, progress=progress)


def picture_of_plan(request: PlanArguments, plan: Report) -> bytes | None:
    """The plan as PNG, where one was asked for."""
    if request.chart == "none":
        return None
    from vllm_preflight_server.pages.drawing import draw_png

    return draw_png(plan.to_json_dict())


def answer_generate(request: GenerateRequest, progress: Progress) -> ArtifactsReport:
    """The texts of a plan's files."""
    from vllm_preflight.artifacts.profile import plan_of
    from vllm_preflight.questions.generate import generate_artifacts

    return generate_artifacts(plan_of(request), request.kinds, progress=progress)


def answer_compare(request: CompareArguments, progress: Progress) -> Report:
    """Many GPUs side by side."""
    from vllm_preflight.questions.compare import compare_hardware

    return compare_hardware(request, progress=progress)


def answer_find(request: FindRequest, progress: Progress) -> FindReport:
    """The catalogue's models on the GPUs."""
    from vllm_preflight.questions.find_models import find_models

    return find_models(request, progress=progress)


def answer_startup(request: StartupArguments, progress: Progress) -> Report:
    """What vLLM will do."""
    if request.manifest is not None:
        from vllm_preflight.questions.manifest import predict_manifest

        given = request.model_dump(
            include=request.model_fields_set - {"manifest", "detail"}, exclude_none=True
        )
        return predict_manifest(request.manifest, given, progress=progress)
    from vllm_preflight.questions.vary import predict_varied

    return predict_varied(request, whole=request.detail == "full", progress=progress)


def answer_inspect(request: InspectArguments, progress: Progress) -> Report:
    """What the model is made of."""
    from vllm_preflight.reports.model import inspect_model

    return inspect_model(request, progress=progress)


def answer_explain(request: ExplainArguments, progress: Progress) -> Report:
    """What a log says."""
    from vllm_preflight.questions.explain import explain_startup_log

    overrides = request.model_dump(exclude={"log", "detail"}, exclude_none=True)
    return explain_startup_log(request.log, overrides=overrides, progress=progress)
