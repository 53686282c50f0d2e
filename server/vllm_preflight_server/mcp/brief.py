"""Concise answers: of each section what decides, in the names the whole answer has.

A tool answers with its whole report for `detail: full`; by default with what is here:
the verdict and its reason, one GPU's figures, the command, and what helps where the
workload is not carried. An answer of many parts makes `room` for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.check import StartupReport
from vllm_preflight.contract.compare import CompareReport, CompareRequest
from vllm_preflight.contract.costs import CostReport
from vllm_preflight.contract.explain import LogExplanationReport
from vllm_preflight.contract.find import FindReport, FindRequest
from vllm_preflight.contract.hardware import HardwareReport
from vllm_preflight.contract.inspect import InspectReport
from vllm_preflight.contract.performance import PerfEstimate
from vllm_preflight.contract.plan import (
    TARGET,
    PlanRequest,
    PlanResponse,
    VLLMConfig,
)
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.contract.vary import VariedLaunch, VariedResponse
from vllm_preflight_server.mcp.room import MOST_OF_A_CHECK, MOST_OF_A_PLAN, within

Answer = dict[str, Any]

# Rows of each list, where the question does not say how many.
_OPTIONS, _EXCLUDED, _MODELS = 5, 3, 6
_CHANGES, _FIXES = 2, 3
# What each of these is when nobody says so; the whole answer shows them.
_USUAL = {
    "pipeline_parallel_size": 1,
    "data_parallel_size": 1,
    "nodes": 1,
    "quantization": "none",
    "layout": "one GPU",
    "cuda_graph_charged": True,
}
_MODEL = ("model", "revision", "quantization")
_HARDWARE = ("gpu", "gpus", "nodes", "visible_gib_per_gpu")
_FEASIBILITY = (
    "fits",
    "oom_risk",
    "context_tokens",
    "concurrency",
    "max_concurrency_at_context",
    "max_context_at_concurrency",
    "decided_by",
)
# What only a launch that starts has.
_WHEN_STARTED = frozenset({"max_concurrency_at_context", "max_context_at_concurrency"})
_STARTUP = (
    "vllm_version",
    "starts",
    "weights_gib",
    "activation_peak_gib",
    "non_torch_gib",
    "cuda_graph_gib",
    "cuda_graph_charged",
    "available_kv_cache_gib",
    "kv_cache_tokens",
    "max_concurrency",
)
# What vLLM prints of the cache of a launch that starts.
_PRINTED = frozenset({"kv_cache_tokens", "max_concurrency", "estimated_max_model_len"})
_SPEED = (
    "prompt_tokens",
    "gen_tokens",
    "concurrency",
    "ttft_ms",
    "tpot_ms",
    "latency_ms",
    "output_tokens_per_s",
)
_SPEED_INTERVALS = ("output_tokens_per_s",)
_NOT_OF_CONFIG = frozenset({"model", "explanations", "max_num_batched_tokens"})
_GOODPUT = ("percentile", "reached", "missed", "max_requests_per_s")
_TAILS = ("ttft_ms", "tpot_ms", "latency_ms")
_ASKED_OF_SPEED = ("target", "benchmark", "simulation")
_OPTION = (
    "gpu",
    "gpus",
    "layout",
    "precision",
    "requests_at_once",
    "max_model_len",
    "output_tokens_per_s",
    "latency_ms",
    "cost_per_hour",
    "price",
    "cost_per_million_tokens",
    "cost_per_million_tokens_at_load",
    "cost_per_month",
    "break_even_requests_per_s",
    "risk",
)
_FOUND = ("model", "params_b", "weights", "gpus", "requests_at_once", "max_model_len")
_VARIED = ("outcome", "kv_cache_tokens", "max_concurrency")
_MAKE_UP = (
    "model",
    "origin",
    "architecture",
    "params_total",
    "checkpoint_bytes",
    "dtype",
    "quantization",
    "max_position",
    "layers",
    "experts",
    "kv_bytes_per_token",
)


def brief_plan(request: PlanRequest, plan: PlanResponse) -> Answer:
    """plan_deployment's answer."""
    startup, speed, remedies = plan.startup, plan.performance, plan.remedies or []
    sections: list[Report | None] = [plan.feasibility, speed]
    told = {} if startup is None else _startup(startup)
    if "failure" in told and told["failure"]["message"].lower() in plan.verdict.sentence.lower():
        del told["failure"]["message"]
    fit = _pick(plan.feasibility, _FEASIBILITY)
    if not plan.verdict.good:
        fit = {name: value for name, value in fit.items() if name not in _WHEN_STARTED}
    if (plan.feasibility.headroom_gib or 0) < 0:
        fit |= _pick(plan.feasibility, ("headroom_gib",))
    answer = _said(
        {
            "verdict": plan.verdict.to_json_dict(),
            "model": _unusual(_pick(plan.model, _MODEL)),
            "hardware": _hardware(plan.hardware),
            "feasibility": fit,
            "config": _config(plan.config),
            "startup": told,
            "performance": {} if speed is None else _speed(speed),
            "artifacts": _commands(plan),
            "cost": {} if plan.cost is None else _cost(request, plan.cost),
            "remedies": _changes(request, remedies),
            "alternatives": _changes(request, plan.alternatives or []),
            "warnings": _warnings(startup, plan.warnings, sections),
            "next_steps": [step for step in plan.next_steps if not _is_said(step, plan)],
        },
        always=("artifacts",),
    )
    return within(answer, MOST_OF_A_PLAN)


def brief_startup(request: object, answer: VariedResponse) -> Answer:
    """predict_startup's answer."""
    del request
    given = {
        name: value
        for name, value in answer.arguments.items()
        if name not in answer.defaulted and value not in (1, False)
    }
    limits = ("max_model_len", "gpu_memory_utilization", "max_num_seqs", "max_num_batched_tokens")
    given |= {name: answer.arguments[name] for name in limits if name in answer.arguments}
    given.pop("model", None)
    startup = {
        **_startup(answer.startup),
        **_pick(answer.startup, ("estimated_max_model_len",)),
    }
    if not answer.verdict.good:
        # vLLM's sentence has them, or prints none.
        startup = {name: value for name, value in startup.items() if name not in _PRINTED}
    if answer.remedies and "failure" in startup:
        # Each is there as a call.
        startup["failure"].pop("remedies", None)
    told = _said(
        {
            "verdict": answer.verdict.to_json_dict(),
            "model": {} if answer.model is None else _unusual(_pick(answer.model, _MODEL)),
            "hardware": _hardware(answer.hardware),
            "arguments": given,
            "startup": startup,
            "launches": [_launch(row) for row in answer.launches or []],
            "servers": [row.to_json_dict() for row in answer.servers or []],
            "command": answer.command,
            "remedies": _calls(answer),
            "warnings": _warnings(answer.startup, answer.warnings, []),
            "next_steps": answer.next_steps,
        },
        always=("arguments",),
    )
    return told if answer.launches or answer.servers else within(told, MOST_OF_A_CHECK)


def brief_comparison(request: CompareRequest, report: CompareReport) -> Answer:
    """compare_hardware's answer: its first rows, where the question does not say how many."""
    options, excluded = report.options, report.excluded
    there = {"options": len(options), "excluded": len(excluded)}
    # Where the report itself was cut, it says how many there are.
    there |= {name: int(number) for name, number in (at.split(": ") for at in report.has_more)}
    if "limit" not in request.model_fields_set:
        options, excluded = options[:_OPTIONS], excluded[:_EXCLUDED]
    shown = {"options": len(options), "excluded": len(excluded)}
    cut = [
        f"{name}: {shown[name]} of {number} shown; limit shows more"
        for name, number in there.items()
        if shown[name] < number
    ]
    same = len({option.precision for option in options}) == 1 and len(options) > 1
    names = [name for name in _OPTION if not (same and name == "precision")]
    return _said(
        {
            "verdict": report.verdict.to_json_dict(),
            "model": report.model,
            "optimise": report.optimise,
            "best": {} if report.best is None else _unusual(_pick(report.best, names)),
            "precision": options[0].precision if same else None,
            "serve_command": report.serve_command,
            "costs": report.costs,
            "options": [_unusual(_pick(option, names)) for option in options],
            "excluded": [row.to_json_dict() for row in excluded],
            "has_more": cut,
            "warnings": report.warnings,
            "next_steps": report.next_steps,
        },
        always=("options", "excluded"),
    )


def brief_findings(request: FindRequest, report: FindReport) -> Answer:
    """find_models' answer: its first rows, where the question does not say how many."""
    rows = report.models if "limit" in request.model_fields_set else report.models[:_MODELS]
    more = report.carried - len(rows)
    return _said(
        {
            "gpu": report.gpu,
            "gpus": report.gpus,
            "requests": report.requests,
            "judged": report.judged,
            "carried": report.carried,
            "models": [_pick(row, _FOUND) for row in rows],
            "largest": {} if not rows else _pick(rows[0], ("model", "serve_command")),
            "has_more": [f"{more} smaller models; limit shows more"] if more else [],
            "warnings": report.warnings,
        },
        always=("models",),
    )


def brief_explanation(request: object, report: LogExplanationReport) -> Answer:
    """explain_startup_log's answer: of the comparison what the log prints."""
    del request
    told = report.concise().to_json_dict()
    if (failure := told.get("failure")) is not None:
        # The message has them.
        failure.pop("figures", None)
    told["comparison"] = [row for row in told["comparison"] if "logged" in row]
    return cast(Answer, _plain(_said(told, always=("comparison",))))


def brief_model(request: object, report: InspectReport) -> Answer:
    """inspect_model's answer."""
    del request
    return _said(
        {
            "model": _pick(report.model, _MAKE_UP),
            "parameters": report.parameters,
            "layer_groups": report.layer_groups,
            "warnings": report.warnings,
        },
        always=("layer_groups",),
    )


_DRAWN_OF_COST = (
    "currency",
    "per_million_tokens",
    "by_load",
    "per_million_tokens_at_load",
    "break_even_requests_per_s",
)


def page_figures(report: PlanResponse | VariedResponse) -> Answer:
    """What the page draws beside a brief answer; no model has to read it."""
    drawn: Answer = {}
    if report.startup is not None:
        names = (*_STARTUP, "max_model_len", "requests_by_length", "interval")
        drawn["startup"] = _pick(report.startup, names)
    if isinstance(report, PlanResponse) and report.performance is not None:
        names = ("running", "interval", "output_tokens_per_s_per_request")
        drawn["performance"] = _pick(report.performance, names)
    if isinstance(report, PlanResponse) and report.cost is not None:
        drawn["cost"] = _pick(report.cost, _DRAWN_OF_COST)
    return drawn


def _said(sections: Mapping[str, Any], always: Sequence[str] = ()) -> Answer:
    """The sections that say something, and those that every answer has."""
    return {
        name: value
        for name, value in sections.items()
        if name in always or value not in (None, [], {}, "")
    }


def _pick(report: Report, names: Iterable[str]) -> Answer:
    """Some fields of a report as JSON values; what is absent stays so."""
    values = ((name, getattr(report, name)) for name in names)
    return {name: _plain(value) for name, value in values if value is not None}


def _plain(value: object) -> object:
    """A JSON value in few characters: whole numbers without a fraction."""
    if isinstance(value, Report):
        return _plain(value.to_json_dict())
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in cast(Mapping[str, object], value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast(Sequence[object], value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _hardware(report: HardwareReport) -> Answer:
    told = _unusual(_pick(report, _HARDWARE))
    if report.gpus_available not in (None, report.gpus):
        told["gpus_available"] = report.gpus_available
    return told


def _unusual(values: Answer) -> Answer:
    return {name: value for name, value in values.items() if _USUAL.get(name) != value}


def _config(config: VLLMConfig) -> Answer:
    """The arguments in effect, without the reason of each."""
    told = _unusual(config.to_json_dict())
    return {name: value for name, value in told.items() if name not in _NOT_OF_CONFIG}


def _startup(startup: StartupReport) -> Answer:
    told = _unusual(_pick(startup, _STARTUP))
    if (failure := startup.failure) is not None:
        told["failure"] = _said(failure.to_json_dict())
    return told


def _speed(speed: PerfEstimate) -> Answer:
    told = _pick(speed, _SPEED)
    if speed.concurrency - speed.running >= 1:
        told["running"] = _plain(speed.running)
    intervals = {name: _plain(speed.interval[name]) for name in _SPEED_INTERVALS}
    told |= {"interval": intervals, **_pick(speed, _ASKED_OF_SPEED)}
    if (goodput := speed.goodput) is not None:
        told["goodput"] = _said(_pick(goodput, _GOODPUT))
    if speed.tails is not None:
        told["p95"] = {name: _plain(getattr(speed.tails, name).p95) for name in _TAILS}
    return told


def _cost(request: PlanRequest, cost: CostReport) -> Answer:
    """The sentences, which say what was asked for; at a load of its own no other."""
    names = ("per_million_tokens",) if request.daily_load is None else ()
    return _pick(cost, (*names, "sentences"))


def _commands(plan: PlanResponse) -> Answer:
    """The command; for further machines what their line has instead of the first one's end."""
    lines = plan.artifacts.node_commands or []
    head = plan.artifacts.serve_command
    told = _said({"serve_command": head})
    if head is not None and len(lines) > 1:
        told["further_nodes"] = _endings(head.split(" "), [line.split(" ") for line in lines[1:]])
    return told


def _endings(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """What the lines have after the words that the head's begins with; ranks side by side."""
    same = 0
    while same < len(head) and all(line[same : same + 1] == [head[same]] for line in lines):
        same += 1
    endings = zip(*(line[same:] for line in lines), strict=True)
    words = " ".join(" / ".join(dict.fromkeys(words)) for words in endings)
    if same == 0:
        return words
    return f"the same with {words}" if same == len(head) else f"the same, ending in {words}"


def _changes(request: PlanRequest, changes: Sequence[Remedy]) -> list[Answer]:
    """What helps, as the call that proves it; the mildest first."""
    return [
        {
            "effect": item.effect.partition(", with ")[2] or item.effect,
            **({} if item.gives_up is None else {"gives_up": item.gives_up.partition(",")[0]}),
            "tool": item.tool,
            # A null takes back what was asked; there is nothing to take back of the rest.
            "set": {
                name: value
                for name, value in item.set.items()
                if value is not None or getattr(request, name, None) is not None
            },
        }
        for item in changes[:_CHANGES]
    ]


def _calls(answer: VariedResponse) -> list[Answer]:
    """What makes a launch start, as calls; what `command` says already is none."""
    return [
        {
            **({} if item.gives_up is None else {"gives_up": item.gives_up}),
            "tool": item.tool,
            "set": item.set,
        }
        for item in answer.remedies or []
        if item.set.get("command") != answer.command
    ][:_FIXES]


def _is_said(step: str, plan: PlanResponse) -> bool:
    """Whether a remedy or the speed's target says the same."""
    return step.startswith(TARGET) or any(
        step.startswith(f"{remedy.change}: ") for remedy in plan.remedies or []
    )


def _launch(row: VariedLaunch) -> Answer:
    told = {**row.values, **_pick(row, _VARIED)}
    if row.outcome == "borderline":
        told |= _pick(row, ("start_probability",))
    elif row.outcome in ("refused", "not_modelled"):
        told |= _pick(row, ("because",))
    return {**told, "moved": row.moved[0].partition(":")[0]} if row.moved else told


def _warnings(
    startup: Report | None, own: Sequence[str], sections: Sequence[Report | None]
) -> list[str]:
    """All warnings of an answer, each once: those of the start first."""
    first, *rest = (getattr(section, "warnings", []) for section in (startup, *sections))
    return list(dict.fromkeys([*first, *own, *(text for texts in rest for text in texts)]))
