"""An estimate of speed as the answer people and tools read."""

from __future__ import annotations

from vllm_preflight.base.terms import Term
from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.performance import LatencyTarget, PerfEstimate, SpeedPoint
from vllm_preflight.performance.coefficients import Metric
from vllm_preflight.performance.estimate import Performance, Speed
from vllm_preflight.performance.machine import Machine

# Figures that are another one times a constant, and so have its interval.
_LIKE: dict[str, Metric] = {
    "ttft_ms": "ttft_ms",
    "tpot_ms": "tpot_ms",
    "itl_ms": "tpot_ms",
    "output_tokens_per_s": "output_tokens_per_s",
    "total_tokens_per_s": "output_tokens_per_s",
    "requests_per_s": "output_tokens_per_s",
}
# The parts of a decoding step: field, what takes the time, coefficients that scale it.
_PARTS: tuple[tuple[str, str, str], ...] = (
    ("dense", "weights outside experts, read or multiplied, whichever is slower", "bandwidth"),
    ("experts", "experts the batch visits, read or multiplied", "bandwidth_experts"),
    ("head", "output head", "bandwidth"),
    ("attention", "keys, values and states read", "bandwidth_cache"),
    ("communication", "two all-reduces a layer", "link"),
    ("launches", "small kernels and gaps, per layer", "layer"),
    ("host", "scheduling and sampling that the GPU does not hide", "host_step"),
)


def performance_report(performance: Performance, *, streaming: bool = True) -> PerfEstimate:
    """The estimate with its intervals, its curve and its terms, rounded for reading.

    Without `streaming` nothing is seen before the whole answer, which a warning says.
    """
    speed, target = performance.speed, performance.target
    warnings = list(performance.warnings)
    if not streaming:
        warnings.append(
            f"Without streaming a user sees nothing before the whole answer, about "
            f"{speed.latency_ms:,.0f} ms after asking; ttft_ms is the server's."
        )
    bounds = performance.intervals
    scaled: dict[str, tuple[float, float]] = {}
    for name, metric in _LIKE.items():
        base = getattr(speed, metric)
        low, high = (getattr(speed, name) * bound / base for bound in bounds[metric])
        scaled[name] = (_rounded(low), _rounded(high))
    slow, fast = bounds["tpot_ms"][::-1]
    scaled["output_tokens_per_s_per_request"] = (_rounded(1e3 / slow), _rounded(1e3 / fast))
    return PerfEstimate(
        prompt_tokens=performance.workload.prompt_tokens,
        gen_tokens=performance.workload.gen_tokens,
        concurrency=_rounded(speed.concurrency),
        running=_rounded(speed.running),
        ttft_ms=_rounded(speed.ttft_ms),
        tpot_ms=_rounded(speed.tpot_ms),
        itl_ms=_rounded(speed.itl_ms),
        latency_ms=_rounded(speed.latency_ms),
        output_tokens_per_s=_rounded(speed.output_tokens_per_s),
        total_tokens_per_s=_rounded(speed.total_tokens_per_s),
        requests_per_s=_rounded(speed.requests_per_s),
        output_tokens_per_s_per_request=_rounded(speed.output_tokens_per_s_per_request),
        interval=scaled,
        target=target
        and LatencyTarget(
            latency_ms=target.latency_ms,
            reached=target.reached,
            max_concurrency=target.at_most,
            fastest_ms=_rounded(target.fastest_ms),
        ),
        curve=[_point(point) for point in performance.curve()],
        terms=report_terms(performance_terms(performance)),
        warnings=warnings,
    )


def target_sentence(performance: Performance, where: str) -> str | None:
    """What the target latency comes to on `where`; None without a target."""
    target = performance.target
    if target is None:
        return None
    wanted = f"The target of {target.latency_ms:,.0f} ms for a whole request"
    if target.at_most is None:
        return (
            f"{wanted} is not reached on {where}: a request alone takes about "
            f"{target.fastest_ms:,.0f} ms."
        )
    if target.reached:
        return f"{wanted} is reached on {where}, with up to {target.at_most:,} requests in flight."
    return (
        f"{wanted} is missed on {where} with {performance.speed.concurrency:,.0f} requests in "
        f"flight ({performance.speed.latency_ms:,.0f} ms); it is reached with up to "
        f"{target.at_most:,}."
    )


def performance_terms(performance: Performance) -> list[Term]:
    """Every number behind the estimate with its formula, basis and source."""
    facts, coefficients = performance.facts, performance.coefficients
    workload, machine = performance.workload, facts.machine
    parts = performance.decode
    running = max(performance.speed.running / performance.replicas, 1.0)
    terms = [
        Term(
            name=f"decode_step_{name}",
            value=_rounded(getattr(parts, name) * 1e3),
            unit="ms",
            formula=f"{what}; batch of {running:.4g}, {workload.mean_context:.0f} tokens each",
            basis="fitted",
            source=coefficients.evidence(coefficient),
        )
        for name, what, coefficient in _PARTS
        if getattr(parts, name)
    ]
    terms += [
        _rate("memory_bandwidth", machine.bandwidth / 1e9, "GB/s", "bandwidth", performance),
        _rate("compute_16_bit", machine.flops16 / 1e12, "TFLOPS", "compute", performance),
        Term(
            name="most_running",
            value=_rounded(performance.most_running),
            unit="requests",
            formula="least of max_num_seqs, what the KV cache holds at the mean length, and "
            "what max_num_batched_tokens can start beside those that decode",
            basis="derived",
            source="vLLM v1/core/sched/scheduler.py",
        ),
        Term(
            name="prefix_hit_rate",
            value=workload.prefix_hit_rate,
            unit="share of the prompt",
            formula="as given; 0 unless said otherwise",
            basis="assumed",
            source="no prompt shares a prefix with another",
        ),
    ]
    if performance.acceptance is not None:
        terms.append(
            Term(
                name="draft_acceptance",
                value=performance.acceptance,
                unit="probability per drafted token",
                formula="(1 − a^(k+1)) / (1 − a) tokens a step with k drafted",
                basis="assumed",
                source="usual for the drafting method; hangs on the text",
            )
        )
    return [*terms, *_links(machine, performance), *_intervals(performance)]


def _rate(name: str, value: float, unit: str, coefficient: str, performance: Performance) -> Term:
    share = performance.coefficients.value(coefficient, performance.facts.machine.gpu_class)
    return Term(
        name=name,
        value=_rounded(value * share),
        unit=unit,
        formula=f"{value:,.0f} {unit} of the data sheet × {share:.3g}",
        basis="fitted",
        source=performance.coefficients.evidence(coefficient),
    )


def _links(machine: Machine, performance: Performance) -> list[Term]:
    if machine.link.kind == "none":
        return []
    return [
        Term(
            name="link",
            value=_rounded(machine.link.gb_s),
            unit="GB/s one way per GPU",
            formula=f"{machine.link.kind} between the GPUs of a group",
            basis="assumed" if machine.link.kind == "network" else "derived",
            source=performance.coefficients.evidence("link"),
        )
    ]


def _intervals(performance: Performance) -> list[Term]:
    return [
        Term(
            name=f"held_out_error_{metric}",
            value=spread.median_error,
            unit="median relative error",
            formula=f"{spread.samples} figures of {spread.sources} sources, each estimated "
            "without its source",
            basis="measured",
            source="docs/serving_accuracy.md",
        )
        for metric, spread in performance.coefficients.spreads.items()
    ]


def _point(speed: Speed) -> SpeedPoint:
    return SpeedPoint(
        concurrency=_rounded(speed.concurrency),
        ttft_ms=_rounded(speed.ttft_ms),
        tpot_ms=_rounded(speed.tpot_ms),
        output_tokens_per_s=_rounded(speed.output_tokens_per_s),
        latency_ms=_rounded(speed.latency_ms),
    )


def _rounded(value: float) -> float:
    """Three significant digits, as many as an estimate has; whole from a thousand on."""
    return float(f"{value:.3g}") if abs(value) < 1000 else float(round(value, -1))
