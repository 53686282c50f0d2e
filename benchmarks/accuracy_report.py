"""The accuracy benchmark as a page: tables of grades, against targets and simpler rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import mean, median

from benchmarks.causes import CAUSES, SHADOW_CAUSES, UNSEEN
from benchmarks.grading import CLOSE, Grade, Summary, Verdict, reliability, summarise
from benchmarks.holdout import Benchmark
from benchmarks.shadow import compare_all, load_shadow_cases

from vllm_preflight.launch.versions import format_version, parse_version

Target = tuple[str, str, Callable[[Summary], float | None], str, float]
# What the project aims at, on cases whose source the fit has not seen.
TARGETS: tuple[Target, ...] = (
    ("KV-cache tokens, median error", "%", lambda item: item.tokens_median, "≤", 0.005),
    ("KV-cache tokens, mean error", "%", lambda item: item.tokens_mean, "≤", 0.02),
    ("KV-cache tokens within 5 %", "%", lambda item: item.tokens_close, "≥", 0.85),
    ("promised over 5 % too much", "%", lambda item: item.over_promised, "≤", 0.03),
    ("verdict right", "%", lambda item: item.verdicts_right, "≥", 0.97),
    ("activation peak, median error", "%", lambda item: item.activation_median, "≤", 0.02),
    ("non-torch memory, median error", "GiB", lambda item: item.non_torch_median, "≤", 0.15),
    ("80 % interval, cases inside, at least", "%", lambda item: item.coverage, "≥", 0.75),
    ("80 % interval, cases inside, at most", "%", lambda item: item.coverage, "≤", 0.90),
    ("80 % interval, sources inside, at least", "%", lambda item: item.source_coverage, "≥", 0.75),
    ("80 % interval, sources inside, at most", "%", lambda item: item.source_coverage, "≤", 0.90),
)
# The same for releases from 0.20 on, of which far fewer start-ups are known.
RECENT_TARGETS: tuple[Target, ...] = (
    ("KV-cache tokens, median error", "%", lambda item: item.tokens_median, "≤", 0.02),
    ("KV-cache tokens, mean error", "%", lambda item: item.tokens_mean, "≤", 0.06),
    ("KV-cache tokens within 5 %", "%", lambda item: item.tokens_close, "≥", 0.80),
)
RECENT = (0, 20, 0)
# Bands of releases that count memory alike: (name, first release).
BANDS = (
    ("0.08 to 0.19", (0, 8, 0)),
    ("0.20 to 0.24", (0, 20, 0)),
    ("0.25 to 0.28", (0, 25, 0)),
    ("0.29 and later", (0, 29, 0)),
)

_NAMES: dict[Verdict, str] = {
    "starts": "starts, and so predicted",
    "refused": "refused, and so predicted",
    "warned": "died after the cache was sized, predicted with a warning of that",
    "refused wrongly": "starts, predicted to be refused",
    "missed": "does not start, predicted to start without a warning",
}


def report(benchmark: Benchmark) -> str:
    """The whole page, in Markdown."""
    held = benchmark.held_out
    lines = [
        "# Accuracy",
        "",
        "Written by `python benchmarks/accuracy.py`; a test keeps it true.",
        "",
        "Predicted against printed figures of real vLLM start-ups "
        "(`benchmarks/data/startup_cases.jsonl`). Every figure in the first tables is held "
        "out: a case is predicted with coefficients fitted without its whole source "
        "(repository or thread), so nothing is graded on what it was fitted on. The campaign "
        "of 32 runs on one machine is one source. Settings that vLLM printed after resolving "
        "its defaults are taken as given. Errors of tokens and activation are relative.",
        "",
        "What holding out cannot take back: the formulas, and the priors a fit falls back on "
        "where no other source is left (`benchmarks/data/runtime_priors.json`), were written "
        "with these start-ups in view. Of releases from 0.29 on no start-up is among them: "
        "what is said of those rests on derivation alone (see there). A start-up counts as a "
        "first or a later one where its log or its surroundings say which; where neither does, "
        "the prediction is of a later one and its interval covers both.",
        "",
        "## Targets",
        "",
        *_targets(judged(benchmark), judged(benchmark, without_campaign=True)),
        "",
        "From 0.20 on:",
        "",
        *_recent_targets(summarise([item for item in held if item.version >= RECENT])),
        "",
        f"{len(held)} start-ups of {len({item.source for item in held})} sources.",
        "",
        "## Held-out accuracy",
        "",
        *_summary_table(
            [
                ("all, by source", held),
                ("without the campaign", [item for item in held if not _of_campaign(item)]),
                ("campaign, seen nothing of it", [item for item in held if _of_campaign(item)]),
                (
                    "campaign, by model family",
                    [item for item in benchmark.families if _of_campaign(item)],
                ),
                ("all, as shipped (seen)", benchmark.shipped),
            ]
        ),
        "",
        "The last row is fitted on the cases it is graded on: the gap to the first is what "
        "fitting gains.",
        "",
        "## How often the interval holds",
        "",
        "Start-ups of one machine err together: with its whole source held out, all 32 of the "
        "campaign are inside or none. So sources are counted with each source held out, and "
        "cases with each model family of a source held out, which may have seen others of that "
        "machine, as a user's prediction has. In both the width comes from residuals of what "
        "else was held out, never of what is graded.",
        "",
        *_coverage(benchmark),
        "",
        "## Simpler rules on the same cases",
        "",
        "The same weights and cache arithmetic, with a constant in place of the runtime model.",
        "",
        *_summary_table(
            [("this model, held out", held), *benchmark.baselines.items()], terms=False
        ),
        "",
        "## Verdicts",
        "",
        *_verdicts(held),
        "",
        "### How far to trust the probability of a start",
        "",
        "Held out as above; the probability that vLLM's checks pass, and how many passed them.",
        "",
        *_reliability(held),
        "",
        "## Derived, not fitted",
        "",
        "Activation and what the profile pass leaves allocated are tensors with shapes; nothing "
        "in them is fitted. Against vLLM's own `profile_run` on simulated tensors "
        "(`python benchmarks/shadow.py`, `benchmarks/data/shadow_cases.jsonl`), which for "
        "releases from 0.29 on is all there is:",
        "",
        *_shadow(),
        "",
        "## What no start-up shows",
        "",
        *(f"- {sentence}" for sentence in UNSEEN),
        "",
        *_groups("By release", held, _band),
        *_groups("By GPU", held, lambda item: item.inputs.gpu.name),
        *_groups("By model family", held, lambda item: item.family),
        "## Every case",
        "",
        *_cases(held),
        "",
        "## What is behind the largest misses",
        "",
        *_causes(held),
        "",
        "## Not graded",
        "",
        *_left_out(benchmark.left_out.values()),
    ]
    return "\n".join(lines).rstrip() + "\n"


def judged(benchmark: Benchmark, *, without_campaign: bool = False) -> Summary:
    """What the targets are of: sources held out, but for the interval's cases (see the page)."""
    by_source, by_family = (
        [item for item in grades if not (without_campaign and _of_campaign(item))]
        for grades in (benchmark.held_out, benchmark.families)
    )
    return replace(summarise(by_source), coverage=summarise(by_family).coverage)


def _coverage(benchmark: Benchmark) -> list[str]:
    """The share of start-ups inside the 80 % interval, by band of releases."""
    lines = [
        "| vLLM | start-ups | inside | sources | inside |",
        "|---|---|---|---|---|",
    ]
    for name in (*(name for name, _ in BANDS), "all"):
        by_family, by_source = (
            [item for item in grades if item.inside is not None and name in (_band(item), "all")]
            for grades in (benchmark.families, benchmark.held_out)
        )
        if not by_family:
            continue
        lines.append(
            f"| {name} | {len(by_family)} | {_number(summarise(by_family).coverage, '%')} | "
            f"{len({item.source for item in by_source})} | "
            f"{_number(summarise(by_source).source_coverage, '%')} |"
        )
    return lines


def _of_campaign(item: Grade) -> bool:
    return item.inputs.case.id.startswith("campaign/")


def met(summary: Summary) -> dict[str, bool]:
    """Which targets a summary reaches."""
    return {
        name: value is not None and _reaches(value, sign, bound)
        for name, _, read, sign, bound in TARGETS
        for value in (read(summary),)
    }


def _targets(summary: Summary, without_campaign: Summary) -> list[str]:
    """What is aimed at and reached, also without the source that has most of the cases."""
    lines = ["| what | target | reached | | without the campaign | |", "|---|---|---|---|---|---|"]
    graded = [(item, met(item)) for item in (summary, without_campaign)]
    for name, unit, read, sign, bound in TARGETS:
        cells = [name, f"{sign} {_number(bound, unit)}"]
        for item, reached in graded:
            cells += [_number(read(item), unit), "met" if reached[name] else "missed"]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _summary_table(rows: Iterable[tuple[str, Sequence[Grade]]], *, terms: bool = True) -> list[str]:
    head = ["cases", "n", "tokens: n", "median", "mean", "max", "within 5 %", "> 5 % too much"]
    head += ["verdict right (n)", "available KV, GiB"]
    if terms:
        head += ["weights, GiB", "activation", "non-torch, GiB", "inside 80 %: cases", "sources"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, grades in rows:
        item = summarise(grades)
        cells = [
            name,
            str(item.cases),
            str(item.token_cases),
            _number(item.tokens_median, "%"),
            _number(item.tokens_mean, "%"),
            _number(item.tokens_max, "%"),
            _number(item.tokens_close, "%"),
            _number(item.over_promised, "%"),
            f"{_number(item.verdicts_right, '%')} ({item.verdicts})",
            _number(item.available_median, ""),
        ]
        if terms:
            cells += [
                _number(item.weights_median, ""),
                _number(item.activation_median, "%"),
                _number(item.non_torch_median, ""),
                _number(item.coverage, "%"),
                _number(item.source_coverage, "%"),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _groups(title: str, grades: Sequence[Grade], key: Callable[[Grade], str]) -> list[str]:
    names = sorted({key(item) for item in grades})
    rows = [(name, [item for item in grades if key(item) == name]) for name in names]
    return [f"## {title}", "", *_summary_table(rows), ""]


def _band(item: Grade) -> str:
    return [name for name, since in BANDS if item.version >= since][-1]


def _recent_targets(summary: Summary) -> list[str]:
    lines = ["| what | target | reached | |", "|---|---|---|---|"]
    for name, unit, read, sign, bound in RECENT_TARGETS:
        value = read(summary)
        reached = value is not None and _reaches(value, sign, bound)
        cells = [name, f"{sign} {_number(bound, unit)}", _number(value, unit)]
        lines.append("| " + " | ".join([*cells, "met" if reached else "missed"]) + " |")
    lines += ["", f"{summary.token_cases} start-ups with tokens."]
    return lines


def _reaches(value: float, sign: str, bound: float) -> bool:
    return value <= bound if sign == "≤" else value >= bound


def _reliability(grades: Sequence[Grade]) -> list[str]:
    lines = ["| predicted | cases | mean predicted | passed |", "|---|---|---|---|"]
    lines += [
        f"| {item.low:.2f} to {item.high:.2f} | {item.cases} | "
        f"{_number(item.predicted, '%')} | {_number(item.started, '%')} |"
        for item in reliability(grades)
    ]
    return lines


def _shadow() -> list[str]:
    found = compare_all(load_shadow_cases())
    head = ["vLLM", "runs", "within 2 % or 16 MiB", "peak, median error", "peak, largest"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    releases = sorted({item.case["version"] for item in found}, key=parse_version)
    for name in [*releases, "all"]:
        group = [item for item in found if name in (item.case["version"], "all")]
        errors = [abs(item.peak / item.case["peak"] - 1) for item in group]
        lines.append(
            f"| {name} | {len(group)} | {_number(mean(item.agrees for item in group), '%')} | "
            f"{_number(median(errors), '%')} | {_number(max(errors), '%')} |"
        )
    lines += ["", "What is outside, by cause:", ""]
    lines += [f"- {cause}" for cause in SHADOW_CAUSES]
    return lines


def _verdicts(grades: Sequence[Grade]) -> list[str]:
    counts = Counter(item.verdict for item in grades if item.verdict is not None)
    lines = ["| outcome | cases |", "|---|---|"]
    lines += [f"| {text} | {counts[name]} |" for name, text in _NAMES.items()]
    alarms = sum(item.verdict == "starts" and item.warned for item in grades)
    lines += ["", f"Warned of a late failure although it started: {alarms}."]
    return lines


def _cases(grades: Sequence[Grade]) -> list[str]:
    lines = [
        "Predicted − printed. `inside`: the printed available memory lies in the 80 % interval.",
        "",
        "| case | vLLM | GPU | tokens | weights, GiB | available, GiB | activation | "
        "non-torch, GiB | inside | verdict |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for item in grades:
        inside = "" if item.inside is None else ("yes" if item.inside else "no")
        ranks = item.inputs.launch.world_size
        lines.append(
            f"| {item.inputs.case.id} | {format_version(item.version)} | "
            f"{ranks} × {item.inputs.gpu.name} | {_signed(item.tokens, '%')} | "
            f"{_signed(item.weights, '')} | {_signed(item.available, '')} | "
            f"{_signed(item.activation, '%')} | {_signed(item.non_torch, '')} | {inside} | "
            f"{item.verdict or ''} |"
        )
    return lines


def _causes(grades: Sequence[Grade]) -> list[str]:
    lines: list[str] = []
    for item in sorted(grades, key=lambda grade: -abs(grade.tokens or 0)):
        missed = item.verdict in {"missed", "refused wrongly"}
        far = item.tokens is not None and abs(item.tokens) > CLOSE
        outside = item.inside is False
        if not (missed or far or outside):
            continue
        cause = CAUSES.get(item.inputs.case.id, "not understood yet")
        lines.append(f"- `{item.inputs.case.id}`: {cause}")
    return lines or ["None is off by more than 5 % or outside its interval."]


def _left_out(reasons: Iterable[str]) -> list[str]:
    counts = Counter(_kind(reason) for reason in reasons)
    lines = ["| why | start-ups |", "|---|---|"]
    lines += [
        f"| {reason} | {count} |"
        for reason, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    return lines


def _kind(reason: str) -> str:
    for part in ("names no version", "names no GPU and prints no total", "names no model"):
        if part in reason:
            return f"it {part}"
    return reason.partition(". ")[0]


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.1%}".replace("%", " %") if unit == "%" else f"{value:.2f} {unit}".strip()


def _signed(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:+.1%}".replace("%", " %") if unit == "%" else f"{value:+.2f}"
