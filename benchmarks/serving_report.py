"""The benchmark of estimated speed as a page: errors against targets and simpler rules."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from benchmarks.serving_causes import cause_of
from benchmarks.serving_fit import Residual, gpu_of, model_of

from vllm_preflight.performance.coefficients import Metric, Spread

CLOSE = 0.30
_NAMES: Mapping[Metric, str] = {
    "output_tokens_per_s": "output throughput",
    "tpot_ms": "time per output token",
    "ttft_ms": "time to first token",
}


@dataclass(frozen=True)
class Held:
    """Held-out residuals with the interval each was given, which has not seen it either."""

    residuals: tuple[Residual, ...]
    spreads: Mapping[str, Mapping[Metric, Spread]]

    def inside(self, item: Residual) -> bool:
        """Whether the measured figure lies in the 80 % interval."""
        spread = self.spreads[item.run.case.source][item.metric]
        low, high = spread.bounds(item.estimate, item.run.gpu_class)
        return low <= item.estimate * math.exp(item.value) <= high


@dataclass(frozen=True)
class Graded:
    """All that the page shows; `stated` is the part whose engine and lengths are stated."""

    by_source: Held
    by_gpu: tuple[Residual, ...]
    by_model: tuple[Residual, ...]
    by_repository: tuple[Residual, ...]
    seen: tuple[Residual, ...]
    without_hits: tuple[Residual, ...]
    rules: Mapping[str, tuple[Residual, ...]]
    left_out: Mapping[str, str]


def error(item: Residual) -> float:
    """Estimated / measured − 1."""
    return math.expm1(-item.value)


def graded(items: Sequence[Residual]) -> list[Residual]:
    """Those that count: not the ones that are only fitted."""
    return [item for item in items if not item.run.case.fit_only]


def stated(items: Sequence[Residual]) -> list[Residual]:
    """Those whose source names vLLM as the engine."""
    return [item for item in graded(items) if item.run.case.engine == "vllm"]


def of(items: Sequence[Residual], metric: Metric) -> list[Residual]:
    """Those of one metric."""
    return [item for item in items if item.metric == metric]


def median_error(items: Sequence[Residual]) -> float | None:
    """The median size of the relative error."""
    return median(abs(error(item)) for item in items) if items else None


def share_close(items: Sequence[Residual]) -> float | None:
    """The share with an error of at most 30 %."""
    return mean(abs(error(item)) <= CLOSE for item in items) if items else None


def coverage(held: Held, items: Sequence[Residual]) -> float | None:
    """The share inside the 80 % interval."""
    return mean(held.inside(item) for item in items) if items else None


def known(items: Sequence[Residual]) -> list[Residual]:
    """Those whose harness is known: how many requests it sent, where many are in flight."""
    return [item for item in items if item.run.case.requests or item.run.case.arrival != "closed"]


def _median_of(metric: Metric, *, harness_known: bool = False) -> Callable[[Held], float | None]:
    def read(held: Held) -> float | None:
        items = of(stated(held.residuals), metric)
        return median_error(known(items) if harness_known else items)

    return read


def _coverage_of(metric: Metric) -> Callable[[Held], float | None]:
    return lambda held: coverage(held, of(stated(held.residuals), metric))


# Name, reading, sign, bound.
Target = tuple[str, Callable[[Held], float | None], str, float]
TARGETS: tuple[Target, ...] = (
    ("output throughput, median error", _median_of("output_tokens_per_s"), "≤", 0.12),
    ("time per output token, median error", _median_of("tpot_ms"), "≤", 0.12),
    (
        "time to first token, harness known, median error",
        _median_of("ttft_ms", harness_known=True),
        "≤",
        0.22,
    ),
    (
        "all figures, harness known, within 30 %",
        lambda held: share_close(known(stated(held.residuals))),
        "≥",
        0.85,
    ),
    *(
        (f"80 % interval of the {name}, figures inside, {words}", _coverage_of(metric), sign, bound)
        for metric, name in _NAMES.items()
        for words, sign, bound in (("at least", "≥", 0.75), ("at most", "≤", 0.90))
    ),
)


def met(held: Held) -> dict[str, bool]:
    """Which targets the held-out residuals reach."""
    found = ((name, read(held), sign, bound) for name, read, sign, bound in TARGETS)
    return {
        name: value is not None and (value <= bound if sign == "≤" else value >= bound)
        for name, value, sign, bound in found
    }


def report(result: Graded) -> str:
    """The whole page, in Markdown."""
    held = result.by_source
    lines = [
        "# Accuracy of estimated speed",
        "",
        "Written by `python benchmarks/serving_accuracy.py`.",
        "",
        "Estimated against measured figures of real serving runs "
        "(`benchmarks/data/serving_cases.jsonl`). Every figure is held out: a run is estimated "
        "with coefficients and intervals fitted without its whole source (page or thread). "
        "Errors are estimated / measured − 1. Throughput is of generated tokens, all requests "
        "together. Times that are mostly time in a queue are not compared, nor is the "
        "throughput of a given request rate, which is that rate.",
        "",
        "What holding out cannot take back: the formulas and the priors "
        "(`benchmarks/data/serving_priors.json`) were written with these runs in view, and a "
        "few terms (the server's time per request, how alike tokens choose experts, the cost of "
        "drafting) were added because runs asked for them. Figures of new runs will be worse "
        "than these; how much, only new runs can say. Of some sources the engine is not named "
        "but likely vLLM; they are fitted, and graded apart from the targets.",
        "",
        "## Targets",
        "",
        "Runs whose source names vLLM, with model, GPU, lengths and concurrency known.",
        "",
        *_targets(held),
        "",
        "## Held-out errors",
        "",
        "Cells: median error; within 30 %; figures.",
        "",
        *_summary(
            [
                ("vLLM named, by source", stated(held.residuals)),
                ("with likely vLLM, by source", graded(held.residuals)),
                ("the same, harness known", known(stated(held.residuals))),
                ("vLLM named, by repository", stated(result.by_repository)),
                ("vLLM named, by GPU", stated(result.by_gpu)),
                ("vLLM named, by model", stated(result.by_model)),
                ("vLLM named, as shipped (seen)", stated(result.seen)),
            ]
        ),
        "",
        "The harness is known where the number of requests sent is; elsewhere ten times those in "
        "flight are assumed. By repository, everything one organisation measured is held out at "
        "once; by GPU every run of a card, whose kernels are known all the same; by model every "
        "run of a model in any precision. The last row "
        "is fitted on what it is graded on: the gap to the first is what fitting gains.",
        "",
        "Harnesses send their first prompt once before they measure, and random prompts of one "
        "seed begin alike, so part of some prompts is found in the prefix cache. The runs carry "
        "that share by the harness's rules. Without it the time to first token of "
        f"{len(of(graded(result.without_hits), 'ttft_ms'))} figures has a median error of "
        f"{_percent(median_error(of(graded(result.without_hits), 'ttft_ms')))} instead of "
        f"{_percent(median_error(of(graded(held.residuals), 'ttft_ms')))}.",
        "",
        "## Simpler rules on the same runs",
        "",
        *_summary(
            [
                ("this model, held out", stated(held.residuals)),
                *((name, stated(items)) for name, items in result.rules.items()),
            ]
        ),
        "",
        "The measured kernels alone, with factors of 1 and overheads guessed before any run, do as "
        "well in throughput and time per token: what fitting adds is the time to first token. A "
        "fit counts every source nearly alike, while these medians count every figure.",
        "",
        "## 80 % interval",
        "",
        *_coverage(held),
        "",
        *_groups("By class of GPU", held.residuals, lambda item: item.run.gpu_class),
        *_groups("By GPU, its own runs held out", result.by_gpu, gpu_name),
        *_groups("By model family", held.residuals, lambda item: item.run.family),
        *_groups("By model, its own runs held out", result.by_model, model_name),
        *_groups("By source", held.residuals, lambda item: item.run.case.source),
        "## Misses by more than 30 %",
        "",
        *_causes(held),
        "",
        "## The runs that are missed",
        "",
        *_runs(held),
        "",
        "## Not graded",
        "",
        *_left_out(result),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}".replace("%", " %")


def _targets(held: Held) -> list[str]:
    reached = met(held)
    return [
        "| figure | target | held out | |",
        "|---|---|---|---|",
        *(
            f"| {name} | {sign} {bound:.0%} | {_percent(read(held))} | "
            f"{'met' if reached[name] else '**missed**'} |".replace("%|", " %|")
            for name, read, sign, bound in TARGETS
        ),
    ]


def _cell(items: Sequence[Residual]) -> str:
    if not items:
        return "–"
    return f"{_percent(median_error(items))}; {_percent(share_close(items))}; {len(items)}"


def _table(first: str, rows: Sequence[tuple[str, Sequence[Residual]]]) -> list[str]:
    order: tuple[Metric, ...] = tuple(_NAMES)
    return [
        f"| {first} | {' | '.join(_NAMES.values())} |",
        "|---" * (len(order) + 1) + "|",
        *(
            f"| {name} | {' | '.join(_cell(of(items, metric)) for metric in order)} |"
            for name, items in rows
        ),
    ]


def _summary(rows: Sequence[tuple[str, Sequence[Residual]]]) -> list[str]:
    return _table("", rows)


def gpu_name(item: Residual) -> str:
    """The card of a run."""
    return gpu_of(item.run)


def model_name(item: Residual) -> str:
    """The model of a run, whatever its precision."""
    return model_of(item.run)


def _groups(title: str, residuals: Sequence[Residual], key: Callable[[Residual], str]) -> list[str]:
    items = graded(residuals)
    groups = sorted({key(item) for item in items})
    rows = [(group, [item for item in items if key(item) == group]) for group in groups]
    return [f"## {title}", "", *_table(title.removeprefix("By "), rows), ""]


def _coverage(held: Held) -> list[str]:
    items = stated(held.residuals)
    lines = ["| figure | inside | figures |", "|---|---|---|"]
    for metric, name in _NAMES.items():
        found = of(items, metric)
        lines.append(f"| {name} | {_percent(coverage(held, found))} | {len(found)} |")
    lines.append(f"| all | {_percent(coverage(held, items))} | {len(items)} |")
    return lines


def _causes(held: Held) -> list[str]:
    misses = [item for item in graded(held.residuals) if abs(error(item)) > CLOSE]
    causes = {item.run.case.id: cause_of(item.run) for item in misses}
    grouped = Counter(causes.values())
    lines = [f"{len(misses)} figures of {len(causes)} runs.", ""]
    for cause, number in sorted(grouped.items(), key=lambda pair: (-pair[1], pair[0])):
        lines.append(f"- {cause}: {number} run{'s' * (number > 1)}")
    return lines


def _runs(held: Held) -> list[str]:
    lines = [
        "| run | GPU | lengths | in flight | throughput | per token, ms | first token, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    runs = {
        item.run.case.id: item.run for item in graded(held.residuals) if abs(error(item)) > CLOSE
    }
    found = {(item.run.case.id, item.metric): item for item in held.residuals}
    for name, run in runs.items():
        case = run.case
        flight = f"{case.concurrency:,}" if case.concurrency else f"{case.request_rate:g}/s"
        cells = [_measured(found.get((name, metric))) for metric in _NAMES]
        lines.append(
            f"| `{name}` | {_gpus(case.args)} × {case.gpu} | "
            f"{case.input_len:.0f} + {case.output_len:.0f} | {flight} | {' | '.join(cells)} |"
        )
    return lines


def _gpus(args: Mapping[str, Any]) -> int:
    sizes = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")
    return math.prod(args.get(size, 1) for size in sizes)


def _measured(item: Residual | None) -> str:
    if item is None:
        return "–"
    value = item.run.case.observed[item.metric]
    return f"{value:,.4g} ({error(item):+.0%})".replace("%", " %")


def _left_out(result: Graded) -> list[str]:
    reasons = Counter(result.left_out.values())
    only = {item.run.case.id: item.run.case.fit_only for item in result.by_source.residuals}
    reasons += Counter(f"{why}; fitted all the same" for why in only.values() if why)
    return [f"- {reason}: {number}" for reason, number in reasons.most_common()]
