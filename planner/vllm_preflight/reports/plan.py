"""From a judged choice to plan_deployment's answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.plan import (
    Artifacts,
    PlanRequest,
    PlanResponse,
    VLLMConfig,
)
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.contract.verdict import Verdict
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.model import Model
from vllm_preflight.performance.estimate import Performance
from vllm_preflight.performance.pooling import Pooling
from vllm_preflight.performance.replica import Missing
from vllm_preflight.recommend.arguments import flags_of_family
from vllm_preflight.recommend.choose import Choice
from vllm_preflight.recommend.comparison import quote_of
from vllm_preflight.recommend.family_flags import FamilyFlags
from vllm_preflight.recommend.lines import serve_lines
from vllm_preflight.recommend.quotes import Quote
from vllm_preflight.reports.costs import Costing
from vllm_preflight.reports.feasibility import feasibility
from vllm_preflight.reports.model import hardware_report, model_report
from vllm_preflight.reports.performance import performance_report, pooling_report, target_sentence
from vllm_preflight.reports.startup import startup_report
from vllm_preflight.reports.verdict import plan_verdict

_ASKED = "as asked"
_NO_PRICES = Costing()


def plan_response(
    request: PlanRequest,
    model: Model,
    choice: Choice,
    arguments: Mapping[str, Any],
    remedies: Sequence[Remedy] = (),
    alternatives: Sequence[Remedy] = (),
    costing: Costing = _NO_PRICES,
    *,
    whole: bool = True,
) -> PlanResponse:
    """Everything the plan found, rounded for reading; `whole` with terms and curves.

    `arguments` are what the command gives beside the model.
    """
    hardware, startup = choice.hardware, choice.startup
    verdict = plan_verdict(choice)
    report, terms = feasibility(request, model, choice)
    family = flags_of_family(request, model, choice)
    speed = choice.speed
    artifacts = _artifacts(request, model, choice, verdict)
    quote = None if artifacts.serve_command is None else quote_of(choice, costing.prices)
    return PlanResponse(
        verdict=verdict,
        model=model_report(model, startup.launch, hardware.capability),
        hardware=hardware_report(hardware, startup.launch),
        feasibility=report,
        config=_config(request, model, choice, arguments, family),
        startup=startup_report(startup, model, whole=whole),
        performance=performance_report(
            speed, streaming=request.streaming, seed=request.simulate, whole=whole
        )
        if isinstance(speed, Performance) and _tells_speed(choice, verdict)
        else None,
        pooling=pooling_report(choice.texts)
        if isinstance(choice.texts, Pooling) and verdict.good
        else None,
        artifacts=artifacts,
        cost=costing.report(choice, quote),
        remedies=list(remedies) or None,
        alternatives=list(alternatives) or None,
        terms=report_terms(terms()) if whole else None,
        warnings=[
            *_warnings(choice, model, verdict),
            *family.warnings,
            *_price_warnings(choice, costing, quote, artifacts),
        ],
        next_steps=[
            *_next_steps(request, choice, verdict, remedies),
            *(family.steps if verdict.good else ()),
        ],
    )


def _tells_speed(choice: Choice, verdict: Verdict) -> bool:
    """Whether it is served, or may be on a platform whose memory is not modelled."""
    if verdict.good:
        return True
    return verdict.outcome == "not_modelled" and not platform_of(choice.hardware.gpu).modelled


def _artifacts(request: PlanRequest, model: Model, choice: Choice, verdict: Verdict) -> Artifacts:
    """The command; none for what does not start for sure, or for a supposed checkpoint."""
    if not verdict.good or model.supposed:
        return Artifacts()
    lines = serve_lines(request, model, choice)
    return Artifacts(serve_command=lines[0], node_commands=list(lines) if len(lines) > 1 else None)


def _config(
    request: PlanRequest,
    model: Model,
    choice: Choice,
    arguments: Mapping[str, Any],
    family: FamilyFlags,
) -> VLLMConfig:
    """The values in effect, each with its reason: asked for, chosen, or vLLM's default."""
    launch = choice.startup.launch
    effective = {
        name: getattr(launch, name)
        for name in (
            "tensor_parallel_size",
            "pipeline_parallel_size",
            "data_parallel_size",
            "max_model_len",
            "gpu_memory_utilization",
            "max_num_seqs",
            "max_num_batched_tokens",
        )
    }
    given = {
        name: value
        for name, value in arguments.items()
        if name in VLLMConfig.model_fields and name not in effective
    }
    return VLLMConfig(
        model=model.id,
        **effective,
        **given,
        explanations=_reasons(request, choice, arguments, launch) | dict(family.reasons),
    )


def _reasons(
    request: PlanRequest, choice: Choice, arguments: Mapping[str, Any], launch: Launch
) -> dict[str, str]:
    """Why each argument is written, and that the main ones are vLLM's where they are not."""
    reasons: dict[str, str] = {}
    layout = _layout_reason(choice)
    for name in arguments:
        if name in choice.settings.reasons:
            reasons[name] = choice.settings.reasons[name]
        elif getattr(request, name, None) is not None:
            reasons[name] = _ASKED
        else:
            reasons[name] = layout
    further = choice.further.parsed
    for name in ("max_model_len", "max_num_seqs", "gpu_memory_utilization"):
        if name in further.fields or name in further.extra:
            reasons[name] = _ASKED
            continue
        value = getattr(launch, name)
        own = "the model's own" if name == "max_model_len" else "vLLM's default"
        reasons.setdefault(name, f"{own}, {value:,}; not written")
    return reasons


def _layout_reason(choice: Choice) -> str:
    layout, there = choice.layout, choice.hardware.gpus
    if layout.expert_parallel and layout.replicas > 1:
        return "each replica keeps its own requests' cache, and all share the experts"
    if layout.replicas > 1 and layout.replica_gpus == 1:
        return "the model fits one GPU: replicas serve more requests than splitting it"
    if layout.gpus == there:
        return f"of the layouts of {there} GPUs the one that serves the workload best"
    if there is None and choice.carries:
        return "the fewest GPUs that carry the workload"
    return "of the layouts tried the one that serves the workload best"


def _warnings(choice: Choice, model: Model, verdict: Verdict) -> list[str]:
    hardware, startup, speed = choice.hardware, choice.startup, choice.speed
    found = [*hardware.notes, *model.notes, *startup.launch.warnings]
    if choice.demand.assumed:
        found.append(f"Assumed, since not given: {', '.join(choice.demand.assumed)}.")
    if not isinstance(speed, Performance):
        missing = speed if choice.texts is None else choice.texts
        if _tells_speed(choice, verdict) and isinstance(missing, Missing):
            found.append(missing.message)
        return found
    target = target_sentence(speed, f"{choice.gpus} × {hardware.gpu.name}")
    if target and speed.target and not speed.target.reached:
        found.append(target)
    return found


def _price_warnings(
    choice: Choice, costing: Costing, quote: Quote | None, artifacts: Artifacts
) -> list[str]:
    if costing.prices is None:
        return []
    if artifacts.serve_command is None:
        return ["Without a command to run, no cost is said."]
    return [
        *costing.unpriced([choice.hardware.gpu.name], choice.hardware.instance),
        *costing.warnings([(choice, quote)]),
    ]


def _left(remedy: str) -> str:
    """What a failure proposes, as far as it leads: flags were tried, the rest was not."""
    if remedy.endswith("."):
        return remedy
    if remedy.startswith("--"):
        return f"vLLM would take {remedy}, but nothing that starts comes of it on these GPUs."
    return f"vLLM would take {remedy}; plan or check whether that fits."


def _next_steps(
    request: PlanRequest, choice: Choice, verdict: Verdict, remedies: Sequence[Remedy]
) -> list[str]:
    steps: list[str] = []
    there, speed = choice.hardware.gpus or choice.gpus, choice.speed
    if choice.gpus < there:
        steps.append(
            f"{there} GPUs are there and {choice.gpus} used: no layout of more serves this "
            "workload better."
        )
    if not verdict.good:
        failure = choice.startup.failure
        if remedies:
            steps.append(f"{remedies[0].change}: {remedies[0].effect}.")
        elif failure is not None and failure.remedies:
            steps += map(_left, failure.remedies)
        elif verdict.outcome == "does_not_start":
            steps.append("Nothing that was tried makes it start; take a smaller model.")
        return steps
    if isinstance(speed, Performance) and speed.target and speed.target.reached:
        where = f"{choice.gpus} × {choice.hardware.gpu.name}"
        sentence = target_sentence(speed, where)
        steps += [sentence] if sentence else []
    return steps
