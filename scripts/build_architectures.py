"""Write docs/architectures.md: every class of vLLM 0.33's registry and how it is understood.

python scripts/build_architectures.py
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.architectures import Verdict, cases, shares, verdict  # noqa: E402

PATH = ROOT / "docs" / "architectures.md"
_EVIDENCE = {
    "real": "a checkpoint's config",
    "transformers": "defaults of the config class in transformers 5.20",
    "vLLM": "defaults of the config class in vLLM 0.33",
    "probe": "a made-up shape of the keys the class reads",
}
_INTRODUCTION = """# Architectures

Every class of vLLM 0.33's model registry but its drafts: whether its config is understood, and by
what evidence. *Measured* means that vLLM's own class was built on PyTorch's meta device as rank 0
of 1, 2, 4 and 8 tensor-parallel ranks (where its heads divide) and that the bytes of its parameters
and buffers, and the caches its layers ask for, are ours: weights within the error shown, caches
equal. Most classes could be checked against the defaults of their config class or a made-up shape
only; a checkpoint may set keys that those do not. Written by `scripts/build_architectures.py` from
`benchmarks/data/architecture_cases.jsonl`; `python benchmarks/architectures.py` grades it.
"""


def document() -> str:
    """The page."""
    verdicts = [verdict(case) for case in cases()]
    measured = [one for one in verdicts if one.errors]
    lines = [_INTRODUCTION, "| category | classes | understood |", "|---|---|---|"]
    for category, (good, total) in shares(verdicts).items():
        lines.append(f"| {category} | {total} | {good} ({good / total:.1%}) |")
    equal = sum(one.agrees for one in measured)
    lines.append(f"\n{equal} of {len(measured)} measured classes agree.")
    for category in shares(verdicts):
        lines += [
            f"\n## {category.capitalize()}\n",
            "| class | config | evidence |",
            "|---|---|---|",
        ]
        lines += [_row(one) for one in verdicts if one.case.category == category]
    return "\n".join(lines) + "\n"


def _row(one: Verdict) -> str:
    name = f"`{one.case.name}`"
    if one.refused:
        return f"| {name} | – | refused: {one.refused.rstrip('.')} |"
    return f"| {name} | {_source(one.case.source)} | {_evidence(one)} |"


def _source(source: str) -> str:
    kind, _, rest = source.partition(" ")
    detail = rest.removesuffix("+").strip()
    changed = ", some keys set" if rest.endswith("+") else ""
    return f"{_EVIDENCE[kind]}{f' ({detail})' if detail else ''}{changed}"


def _evidence(one: Verdict) -> str:
    if not one.errors:
        return "read, not measured"
    worst = max(abs(error) for error in one.errors.values())
    sizes = ", ".join(str(size) for size in one.errors)
    caches = ", caches equal" if one.case.caches else ""
    return f"measured at TP {sizes}: weights within {worst:.3%}{caches}"


def main(arguments: Sequence[str] | None = None) -> int:
    del arguments
    PATH.write_text(document(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
