"""An estimate of speed as the answer people and tools read."""

from __future__ import annotations

from vllm_preflight.base.terms import Term
from vllm_preflight.contract.answer import report_terms
from vllm_preflight.contract.performance import (
    Benchmark,
    Goodput,
    LatencyTarget,
    LoadPoint,
    Percentiles,
    PerfEstimate,
    PoolingEstimate,
    Simulation,
    SpeedPoint,
    Tails,
)
from vllm_preflight.contract.plan import TARGET
from vllm_preflight.performance.arrivals.quantiles import Quantiles
from vllm_preflight.performance.arrivals.simulation import Simulated
from vllm_preflight.performance.arrivals.tails import Tails as Seen
from vllm_preflight.performance.coefficients import Metric
from vllm_preflight.performance.estimate import Performance, Speed
from vllm_preflight.performance.kernels.facts import Format, Operation
from vllm_preflight.performance.machine import Machine
from vllm_preflight.performance.pooling import Pooling
from vllm_preflight.performance.workload import Workload

# Figures that are another one times a constant, and so have its interval.
_LIKE: dict[str, Metric] = {
    "ttft_ms": "ttft_ms",
    "tpot_ms": "tpot_ms",
    "itl_ms": "tpot_ms",
    "output_tokens_per_s": "output_tokens_per_s",
    "total_tokens_per_s": "output_tokens_per_s",
    "requests_per_s": "output_tokens_per_s",
}
_NO_POOLING_RUN = (
    "No measured run embeds or scores: texts are reckoned as prompts of generating models."
)
# The parts of a decoding step: field, what takes the time, the fitted factor on it.
_PARTS: tuple[tuple[str, str, str], ...] = (
    ("dense", "weights outside experts, read or multiplied, whichever is slower", "gemm"),
    ("experts", "experts the batch visits, read or multiplied", "experts"),
    ("head", "output head", "gemm"),
    ("attention", "keys, values and states read", "decode"),
    ("communication", "all-reduces after mixers and feed-forward blocks", "reduce"),
    ("launches", "small kernels of each block, routing, sampling", "layer"),
    ("host", "scheduling and sampling that the GPU does not hide", "host_step"),
)


def performance_report(
    performance: Performance,
    *,
    streaming: bool = True,
    seed: int | None = None,
    whole: bool = True,
) -> PerfEstimate:
    """The estimate with its intervals, rounded for reading; `whole` with curves and terms.

    Without `streaming` nothing is seen before the whole answer, which a warning says. With
    a `seed` the requests are simulated, too.
    """
    speed = performance.speed
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
        target=_target(performance),
        goodput=_goodput(performance),
        tails=performance.tails and _tails(performance.tails),
        benchmark=_benchmark(performance),
        simulation=None if seed is None else _simulation(performance, seed),
        load=_load(performance) if whole and performance.tails else None,
        curve=[_point(point) for point in performance.curve()] if whole else None,
        terms=report_terms(performance_terms(performance)) if whole else None,
        warnings=warnings,
    )


def pooling_report(pooling: Pooling) -> PoolingEstimate:
    """The estimate for texts with its intervals, rounded for reading."""
    return PoolingEstimate(
        prompt_tokens=pooling.prompt_tokens,
        concurrency=_rounded(pooling.concurrency),
        texts_per_s=_rounded(pooling.texts_per_s),
        prompt_tokens_per_s=_rounded(pooling.texts_per_s * pooling.prompt_tokens),
        latency_ms=_rounded(pooling.latency_ms),
        interval={
            name: (_rounded(low), _rounded(high))
            for name, (low, high) in (
                ("texts_per_s", pooling.texts_interval),
                ("latency_ms", pooling.latency_interval),
            )
        },
        warnings=[_NO_POOLING_RUN],
    )


def _target(performance: Performance) -> LatencyTarget | None:
    target, wanted = performance.target, performance.workload.target_latency_ms
    if target is None or wanted is None:
        return None
    return LatencyTarget(
        latency_ms=wanted,
        reached=target.reached,
        max_concurrency=target.at_most,
        fastest_ms=_rounded(target.fastest_ms),
    )


def _goodput(performance: Performance) -> Goodput | None:
    target, load = performance.target, performance.workload
    if target is None or not (load.target_ttft_ms or load.target_tpot_ms or load.target_percentile):
        return None
    served = target.max_requests_per_s
    return Goodput(
        percentile=load.target_percentile,
        reached=target.reached,
        missed=list(target.missed),
        max_concurrency=target.at_most,
        max_requests_per_s=None if served is None else _rounded(served),
    )


def _percentiles(found: Quantiles) -> Percentiles:
    return Percentiles(
        p50=_rounded(found.p50 * 1e3), p95=_rounded(found.p95 * 1e3), p99=_rounded(found.p99 * 1e3)
    )


def _tails(found: Seen | Simulated) -> Tails:
    return Tails(
        ttft_ms=_percentiles(found.ttft),
        tpot_ms=_percentiles(found.tpot),
        latency_ms=_percentiles(found.latency),
    )


def _benchmark(performance: Performance) -> Benchmark | None:
    found, load = performance.printed, performance.workload
    if found is None or load.waves is None:
        return None
    tokens = found.requests_per_s * performance.replicas * load.gen_tokens
    return Benchmark(
        waves=_rounded(load.waves),
        ttft_ms=_rounded(found.ttft * 1e3),
        tpot_ms=_rounded(found.tpot * 1e3),
        output_tokens_per_s=_rounded(tokens),
    )


def _simulation(performance: Performance, seed: int) -> Simulation:
    found = performance.simulated(seed)
    return Simulation(
        seed=seed,
        requests=found.finished,
        tails=_tails(found),
        ttft_ms=_rounded(found.mean_ttft * 1e3),
        tpot_ms=_rounded(found.mean_tpot * 1e3),
        requests_per_s=_rounded(found.requests_per_s * performance.replicas),
        preemptions=found.preemptions,
    )


def _load(performance: Performance) -> list[LoadPoint]:
    return [
        LoadPoint(
            requests_per_s=_rounded(point.requests_per_s),
            output_tokens_per_s=_rounded(point.output_tokens_per_s),
            ttft_p95_ms=_rounded(point.seen.ttft.p95 * 1e3),
            tpot_p95_ms=_rounded(point.seen.tpot.p95 * 1e3),
            latency_p95_ms=_rounded(point.seen.latency.p95 * 1e3),
            gpu_hours_per_million_tokens=_rounded(point.gpu_hours),
        )
        for point in performance.load()
    ]


def target_sentence(performance: Performance, where: str) -> str | None:
    """What the wanted times come to on `where`; None without any."""
    target, load = performance.target, performance.workload
    if target is None:
        return None
    wanted = _wanted(load)
    if target.at_most is None:
        return (
            f"{wanted} is not reached on {where}: a request alone takes about "
            f"{_times(load, performance.at(1.0))}."
        )
    rate = f" ({target.max_requests_per_s:,.3g} requests per second)"
    if load.target_percentile is None:
        rate = ""
    if target.reached:
        return (
            f"{wanted} is reached on {where}, with up to {target.at_most:,} requests in "
            f"flight{rate}."
        )
    return (
        f"{wanted} is missed on {where} with {performance.speed.concurrency:,.0f} requests in "
        f"flight (on average {_times(load, performance.speed)}); it is reached with up to "
        f"{target.at_most:,}{rate}."
    )


def _times(load: Workload, speed: Speed) -> str:
    """What comes of the wanted times, in the words in which they are wanted."""
    pairs = (
        (load.target_latency_ms, speed.latency_ms, "for a whole request"),
        (load.target_ttft_ms, speed.ttft_ms, "to the first token"),
        (load.target_tpot_ms, speed.tpot_ms, "per later token"),
    )
    return " and ".join(
        f"{_plain(_rounded(found))} ms {what}"
        for wanted, found, what in pairs
        if wanted is not None
    )


def _wanted(load: Workload) -> str:
    """The wanted times, as the subject of a sentence."""
    pairs = (
        (load.target_latency_ms, "for a whole request"),
        (load.target_ttft_ms, "to the first token"),
        (load.target_tpot_ms, "per later token"),
    )
    parts = [f"{_plain(value)} ms {what}" for value, what in pairs if value is not None]
    of = f" for {load.target_percentile} % of requests" if load.target_percentile else ""
    return f"{TARGET}{' and '.join(parts)}{of}"


def _plain(milliseconds: float) -> str:
    """A wanted time with its digits, however long it is."""
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:g}"


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
        _rate("memory_bandwidth", machine.bandwidth / 1e9, "GB/s"),
        _rate("compute_16_bit", machine.flops16 / 1e12, "TFLOPS"),
        *_kernel_terms(performance),
        *_factor_terms(performance),
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
            value=_rounded(facts.workload.prefix_hit_rate),
            unit="share of the prompt",
            formula="as given, or of the system prompt and the turns, in whole blocks; else 0",
            basis="assumed",
            source="the cache keeps a conversation until its next turn",
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
    return [
        *terms,
        *_links(machine, performance),
        *_percentiles_term(performance),
        *_intervals(performance),
    ]


def _rate(name: str, value: float, unit: str) -> Term:
    return Term(
        name=name,
        value=_rounded(value),
        unit=unit,
        formula="of the data sheet; kernels reach the shares of it below",
        basis="derived",
        source="GPU catalogue",
    )


def _kernel_terms(performance: Performance) -> list[Term]:
    """The measured kernels of the model's weights, and whose they are."""
    facts = performance.facts
    matrices = facts.work.matrices
    asked: list[tuple[Operation, Format]] = []
    asked.extend(("gemm", item.kind) for item in matrices.dense)
    asked.extend(("experts", item.kind) for item in matrices.experts)
    terms: dict[tuple[str, str], Term] = {}
    for operation, kind in asked:
        kernel = facts.borrowed.kernels.find(operation, kind, facts.launch.version)
        if kernel is None:
            continue
        terms[operation, kind] = Term(
            name=f"kernel_{operation}_{kind}",
            value=_rounded(kernel.memory),
            unit="share of the bandwidth",
            formula=f"{kernel.floor * 1e6:.3g} us + (bytes / bandwidth share, FLOPs / "
            f"{kernel.compute:.3g} of the {kernel.format} rate; p = {kernel.sharpness:.3g})",
            basis="measured" if facts.borrowed.own else "assumed",
            source=f"{facts.borrowed.sentence}, vLLM {kernel.release}; aiconfigurator-core 0.12.0",
        )
    return list(terms.values())


def _factor_terms(performance: Performance) -> list[Term]:
    """The factors on another vendor's kernels, each with the runs that it is fitted on."""
    facts = performance.facts
    if not facts.borrowed.foreign:
        return []
    return [
        Term(
            name=f"factor_{entry.name}",
            value=_rounded(entry.value),
            unit=f"times that of {facts.borrowed.kernels.card}",
            formula=f"of GPUs of the class {entry.gpu_class}: {entry.description}",
            basis="fitted",
            source=f"{entry.samples} runs: {', '.join(entry.sources)}",
        )
        for entry in performance.coefficients.factors_of(facts.machine.gpu_class)
    ]


def _percentiles_term(performance: Performance) -> list[Term]:
    """How the percentiles of an arrival rate were reckoned; none without a rate."""
    seen = performance.tails
    if seen is None:
        return []
    return [
        Term(
            name="percentiles",
            value=_rounded(seen.concurrency),
            unit="requests in flight in one replica",
            formula="by formula, not simulated: a birth and death process of those that decode, "
            "a queue of prompts served once a step, busy periods",
            basis="derived",
            source="98 in 100 within 10 % of a simulation of the scheduler, over random "
            "workloads of up to 80 % of what is served; least sure near all of it",
        )
    ]


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
            source=performance.coefficients.evidence(
                "link" if machine.link.kind == "network" else "reduce"
            ),
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
