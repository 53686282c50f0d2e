"""How often we compute what vLLM 0.33 itself computes: KV plans, weights, refusals.

    python benchmarks/oracle.py [--shared PATH] [--all]

Without --shared it grades the committed set, with it the whole file. Exit status 1
below the gate: KV plans equal on 99 % of rows; weights within 0.5 % on 98 % and within
2 % on all; every launch that vLLM refuses refused with its reason (only the whole file
has those).
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.oracle_kv import KvGrade, grade_kv  # noqa: E402
from benchmarks.oracle_refusals import RefusalGrade, grade_refusals  # noqa: E402
from benchmarks.oracle_rows import Row, compact_rows, refused_rows, shared_rows  # noqa: E402
from benchmarks.oracle_weights import (  # noqa: E402
    WeightGrade,
    distinct_weights,
    grade_weights,
)

KV_GATE = 0.99
WEIGHT_GATES = ((0.005, 0.98), (0.02, 1.0))
_EXAMPLES = 3
# What vLLM falls back to for a config that names no class: a model without an output head.
_NO_CLASS = "TransformersEmbeddingModel"


def per_family(rows: Iterable[tuple[str, bool]]) -> None:
    """Print how many rows of each architecture agree."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for family, agrees in rows:
        counts[family][0] += agrees
        counts[family][1] += 1
    for family, (good, total) in sorted(counts.items()):
        print(f"  {family:42} {good:5} of {total:5}  {good / total:7.2%}")


def causes(name: str, found: Iterable[tuple[str, Row]], show_all: bool) -> None:
    """Print what differs, grouped by cause, with a few rows each."""
    by_cause: dict[str, list[Row]] = defaultdict(list)
    for cause, row in found:
        by_cause[cause].append(row)
    for cause, rows in sorted(by_cause.items(), key=lambda item: -len(item[1])):
        print(f"  {name}: {len(rows)} rows, {cause}")
        for row in rows if show_all else rows[:_EXAMPLES]:
            print(
                f"    {row['model']} on {row['gpu']} tp {row['tp']} pp {row['pp']} ep {row['ep']}, "
                f"KV {row['kv_cache_dtype']}, block {row['requested_block_size']}, "
                f"length {row['max_model_len']}"
            )


def report_kv(grades: list[KvGrade], show_all: bool) -> bool:
    """Print the agreement of KV plans; whether it passes the gate."""
    graded = [grade for grade in grades if not grade.skipped]
    good = sum(grade.agrees for grade in graded)
    share = good / len(graded) if graded else 0.0
    print(f"KV plans: {good} of {len(graded)} rows equal, {share:.2%} (gate {KV_GATE:.0%})")
    per_family((grade.row["architecture"], grade.agrees) for grade in graded)
    causes("skipped", ((grade.skipped, grade.row) for grade in grades if grade.skipped), show_all)
    different = [grade for grade in graded if not grade.agrees]
    causes(
        "differs",
        ((" ".join(sorted(grade.differences)), grade.row) for grade in different),
        show_all,
    )
    resolved = [(" ".join(grade.resolved), grade.row) for grade in graded if grade.resolved]
    causes("resolved otherwise", resolved, show_all)
    for name, count in Counter(n for g in different for n in g.differences).most_common():
        example = next(grade for grade in different if name in grade.differences)
        print(
            f"  {name} differs on {count} rows, first (ours, vLLM's): {example.differences[name]}"
        )
    return share >= KV_GATE


def report_weights(grades: list[WeightGrade], show_all: bool) -> bool:
    """Print the agreement of weights per rank; whether it passes the gates."""
    apart = sum(grade.family == _NO_CLASS for grade in grades)
    if apart:
        print(f"Weights of {apart} rows are left out: their config names no model class.")
    grades = [grade for grade in grades if grade.family != _NO_CLASS]
    errors = [(grade, grade.error) for grade in grades if grade.error is not None]
    passed = bool(errors)
    for limit, gate in WEIGHT_GATES:
        good = sum(error <= limit for _, error in errors)
        share = good / len(errors) if errors else 0.0
        passed = passed and share >= gate
        print(
            f"Weights within {limit:.1%}: {good} of {len(errors)} rows, {share:.2%} "
            f"(gate {gate:.0%})"
        )
    per_family((grade.family, error <= WEIGHT_GATES[0][0]) for grade, error in errors)
    skipped = Counter(grade.cause for grade in grades if grade.error is None)
    for cause, count in skipped.most_common():
        print(f"  skipped: {count} rows, {cause}")
    outside = [(grade, error) for grade, error in errors if error > WEIGHT_GATES[0][0]]
    worst: dict[str, tuple[WeightGrade, float]] = {}
    for grade, error in sorted(outside, key=lambda item: -item[1]):
        worst.setdefault(f"{grade.model} {len(worst)}" if show_all else grade.model, (grade, error))
    for grade, error in worst.values():
        print(f"  {error:7.2%} off: {grade.model} tp {grade.tp} pp {grade.pp}, {grade.quant}")
    return passed


def report_refusals(grades: list[RefusalGrade], show_all: bool) -> bool:
    """Print how many of vLLM's refusals are ours too; whether all are."""
    graded = [grade for grade in grades if not grade.skipped]
    good = sum(grade.agrees for grade in graded)
    print(f"Refusals: {good} of {len(graded)} launches refused for vLLM's reason (gate 100%)")
    for cause, count in Counter(grade.skipped for grade in grades if grade.skipped).most_common():
        print(f"  skipped: {count} launches, {cause}")
    different = [grade for grade in graded if not grade.agrees]
    for grade in different if show_all else different[:_EXAMPLES]:
        ours = "; ".join(grade.ours) or "nothing"
        print(f"  {grade.row['model']} tp {grade.row['tp']}: {grade.theirs}; ours: {ours}")
    return not different


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--shared", type=Path, help="folder with data/vllm_oracle.jsonl")
    parser.add_argument("--all", action="store_true", help="list every row that differs")
    arguments = parser.parse_args()
    rows = shared_rows(arguments.shared) if arguments.shared else compact_rows()
    kv_passed = report_kv(grade_kv(rows), arguments.all)
    weights_passed = report_weights(grade_weights(distinct_weights(rows)), arguments.all)
    refusals_passed = True
    if arguments.shared:
        refused = grade_refusals(refused_rows(arguments.shared))
        refusals_passed = report_refusals(refused, arguments.all)
    return 0 if kv_passed and weights_passed and refusals_passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
