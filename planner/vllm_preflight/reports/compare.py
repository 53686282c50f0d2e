"""From compared cards to compare_hardware's answer: one table, one sentence, one command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vllm_preflight.contract.compare import (
    CompareReport,
    CompareRequest,
    ExcludedReport,
    OptionReport,
)
from vllm_preflight.contract.costs import CostReport
from vllm_preflight.contract.verdict import Verdict
from vllm_preflight.hardware.market import offered_gpus
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.comparison import Comparison, Row
from vllm_preflight.recommend.lines import serve_lines
from vllm_preflight.reports.costs import Costing
from vllm_preflight.reports.verdict import plan_verdict


def compare_report(
    request: CompareRequest,
    model: Model,
    cards: int,
    comparison: Comparison,
    costing: Costing,
    warnings: Sequence[str],
) -> CompareReport:
    """Everything that was found of `cards` kinds of GPU, rounded for reading."""
    rows, misses, limit = comparison.rows, comparison.misses, request.limit
    best = rows[0] if rows else None
    cost = None if best is None else costing.report(best.choice, best.quote)
    lengths = {"options": len(rows), "excluded": len(misses)}
    return CompareReport(
        verdict=_verdict(request, cards, comparison),
        model=model.id,
        optimise=request.optimise,
        best=None if best is None else _option(best, costing, by_load=True),
        serve_command=None
        if best is None
        else serve_lines(best.request, best.checkpoint.model, best.choice)[0],
        currency=None if costing.prices is None else costing.prices.currency,
        costs=[] if cost is None else cost.sentences,
        options=[_option(row, costing) for row in rows[:limit]],
        excluded=[
            ExcludedReport(gpu=miss.gpu, gpus=miss.gpus, reason=miss.reason)
            for miss in misses[:limit]
        ],
        has_more=[f"{name}: {number}" for name, number in lengths.items() if number > limit],
        warnings=[*warnings, *costing.warnings([(row.choice, row.quote) for row in rows[:limit]])],
        next_steps=_next_steps(best, costing),
    )


def describe(row: Row) -> str:
    """An option in a few words: "2 × H100 SXM5 80GB (TP2, FP8 …)"."""
    choice = row.choice
    traits = [choice.layout.text] if choice.gpus > 1 else []
    traits.append(row.checkpoint.label)
    return f"{choice.gpus} × {row.gpu.name} ({', '.join(traits)})"


def _verdict(request: CompareRequest, cards: int, comparison: Comparison) -> Verdict:
    rows = comparison.rows
    if not rows and not any(miss.known for miss in comparison.misses):
        said = next((miss.reason for miss in comparison.misses), "no GPU was judged.")
        return Verdict(outcome="not_modelled", sentence=f"not modelled: {said}")
    if not rows:
        tokens = request.max_model_len or request.prompt_tokens + request.gen_tokens
        several = "s" * (request.concurrency != 1)
        return Verdict(
            outcome="does_not_start",
            sentence=f"none of {cards} kinds of GPU carries {request.concurrency:,} "
            f"request{several} of {tokens:,} tokens with at most {request.max_gpus} of them",
        )
    best = rows[0]
    found = plan_verdict(best.choice)
    more = f"; {len(rows)} of {cards} kinds of GPU do"
    if len(rows) > 1:
        more += f", next {describe(rows[1])}"
    return found.model_copy(update={"sentence": f"{describe(best)} {found.sentence}{more}"})


def _option(row: Row, costing: Costing, *, by_load: bool = False) -> OptionReport:
    choice = row.choice
    speed = None if row.speed is None else row.speed.speed
    nodes = choice.hardware.nodes
    tokens_per_s = None if speed is None else speed.output_tokens_per_s
    cost = costing.report(choice, row.quote)
    return OptionReport(
        gpu=row.gpu.name,
        gpus=choice.gpus,
        layout=choice.layout.text,
        checkpoint=row.checkpoint.model.id,
        precision=row.checkpoint.label,
        quantization=None if row.checkpoint.quantization == "auto" else row.checkpoint.quantization,
        requests_at_once=choice.held,
        max_model_len=choice.startup.launch.max_model_len,
        output_tokens_per_s=None if tokens_per_s is None else round(tokens_per_s, 1),
        latency_ms=None if speed is None else round(speed.latency_ms),
        nodes=nodes if nodes > 1 else None,
        **({} if cost is None else _costs(cost, by_load=by_load)),
        offered=row.gpu.name in offered_gpus(),
        risk=" ".join(choice.startup.late_warnings) or None,
    )


def _costs(cost: CostReport, *, by_load: bool) -> dict[str, Any]:
    """An option's costs by its own field names; the curve for the best one alone."""
    return {
        "cost_per_hour": cost.per_hour,
        "price": cost.price,
        "cost_per_million_tokens": cost.per_million_tokens,
        "cost_by_load": cost.by_load if by_load else None,
        "cost_per_million_tokens_at_load": cost.per_million_tokens_at_load,
        "cost_per_month": cost.per_month,
        "break_even_requests_per_s": cost.break_even_requests_per_s,
    }


def _next_steps(best: Row | None, costing: Costing) -> list[str]:
    if best is None:
        return ["Allow more GPUs (max_gpus), or ask for fewer or shorter requests."]
    steps: list[str] = []
    if costing.prices is None:
        steps.append("Give prices to see what each option costs.")
    return steps
