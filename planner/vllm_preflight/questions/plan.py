"""plan_deployment: from a question to a checked plan, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.plan import (
    PlanRequest,
    PlanResponse,
    Tradeoff,
    VLLMConfig,
)
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.launch.further import with_further
from vllm_preflight.memory.startup import Startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.overrides import override_config, override_parameters
from vllm_preflight.models.served import load_served
from vllm_preflight.recommend.arguments import written_arguments
from vllm_preflight.recommend.choose import Choice, choose
from vllm_preflight.recommend.demand import demand_of, fit_workload, with_runner
from vllm_preflight.recommend.launches import Bench
from vllm_preflight.recommend.remedies import find_alternatives, find_remedies
from vllm_preflight.recommend.tradeoffs import weigh_settings
from vllm_preflight.recommend.what_if import planned_checkpoint
from vllm_preflight.reports.costs import Costing, read_costing
from vllm_preflight.reports.plan import plan_response

Progress = Callable[[str], None]
_MORE = "plan with more GPUs, or with that as request_rate"


@dataclass(frozen=True)
class Plan:
    """A plan as the engine knows it: what was asked, of which model, and what was chosen.

    `request` has the lengths and the concurrency that were planned for, `hardware` the GPUs
    as they were asked for; `arguments` are those of `vllm serve` beside the model, `costing`
    the prices and the load to be paid for.
    """

    request: PlanRequest
    model: Model
    hardware: Hardware
    choice: Choice
    arguments: Mapping[str, Any]
    costing: Costing


def plan_deployment(
    request: PlanRequest,
    *,
    model: Model | None = None,
    hardware: Hardware | None = None,
    explain: bool = False,
    whole: bool = True,
    progress: Progress | None = None,
) -> PlanResponse:
    """Choose layout and settings for the workload, and say what vLLM would do with them.

    `model` and `hardware` save reading them again when the caller has them. A workload
    that is not carried is an answer: what becomes of it, and which changes help. `whole`
    says every term and curve behind it, too; `explain` also weighs each setting against its
    neighbours, which takes as long again.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    plan = make_plan(request, model, hardware, progress)
    return answer_plan(plan, explain=explain, whole=whole)


def answer_plan(plan: Plan, *, explain: bool = False, whole: bool = True) -> PlanResponse:
    """The plan as it is answered, with remedies where the workload is not carried."""
    request, model, choice = plan.request, plan.model, plan.choice
    remedies = [] if choice.carries else find_remedies(model, request, choice, plan.hardware)
    response = plan_response(
        request,
        model,
        choice,
        plan.arguments,
        remedies,
        find_alternatives(model, request, choice, plan.hardware),
        plan.costing,
        whole=whole,
    )
    if explain and response.verdict.good:
        response = response.model_copy(update={"tradeoffs": _weigh(plan, response.config)})
    return response


def make_plan(
    request: PlanRequest,
    model: Model | None = None,
    hardware: Hardware | None = None,
    progress: Progress | None = None,
) -> Plan:
    """The choice for the request, before anything is written of it.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    costing = read_costing(request, _MORE)
    hardware = hardware or select_hardware(request)
    model = model or load_served(request.model, revision=request.revision, progress=progress)
    model = override_parameters(model, request.params_b)
    model, request = planned_checkpoint(model, request)
    request, further = with_further(request, model.id)
    model = override_config(model, further.parsed.config_overrides)
    model = with_runner(model, further.parsed.extra.get("runner"))
    fitted = fit_workload(model, request)
    choice = choose(model, hardware, fitted, demand_of(model, fitted))
    if choice.demand.rate is not None:
        fitted = fitted.model_copy(update={"concurrency": choice.demand.concurrency})
    arguments = written_arguments(fitted, model, choice)
    return Plan(fitted, model, hardware, choice, arguments, costing)


def _weigh(plan: Plan, config: VLLMConfig) -> list[Tradeoff] | None:
    """What each setting of a plan that starts costs, and what the next better choice needs."""
    request, further = with_further(plan.request, plan.model.id)
    bench = Bench(plan.model, plan.choice.hardware, request, further)

    def attempt(changes: Mapping[str, Any]) -> Startup | None:
        check_stop()
        fields = {**plan.choice.settings.fields, **changes}
        try:
            return bench.simulate(plan.choice.layout, fields)
        except PreflightError:
            return None

    longest = plan.model.architecture.max_position
    return weigh_settings(plan.request, config, plan.choice.startup, longest, attempt) or None
