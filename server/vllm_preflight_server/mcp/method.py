"""The method page: formulas and sources as the engine states them, and measured accuracy.

Nothing here is written by hand: the formulas are the terms of one worked example, and
the accuracy is what `benchmarks/accuracy.py` measured and wrote beside this module.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path

from vllm_preflight import __version__
from vllm_preflight.contract.answer import TermReport
from vllm_preflight.contract.plan import PlanRequest

# Plain attention in bfloat16 on one common GPU: every term there is, and no special case.
_EXAMPLE = PlanRequest(model="Qwen/Qwen3-8B", gpu="H100", gpus=1, concurrency=16)
ACCURACY_FILE = Path(__file__).with_name("accuracy.md")

_BASES = """\
- exact: read from the checkpoint, the driver or the request
- derived: arithmetic on exact facts
- fitted: a coefficient from measured start-ups
- measured: printed by a run
- assumed: a convention or a default"""


@cache
def method_page() -> str:
    """The page as Markdown: what is computed, how, from which source, and how well."""
    # The engine is loaded by the first question, not by the start of the server.
    from vllm_preflight.models.sources import load_model
    from vllm_preflight.questions.plan import plan_deployment

    plan = plan_deployment(_EXAMPLE, model=load_model(_EXAMPLE.model, source="catalog"))
    startup = plan.startup.terms if plan.startup is not None else None
    parts = [
        f"# How vllm-preflight {__version__} computes its answers",
        "Every figure is a term with its formula, basis and source. These are the terms of one "
        f"example: {_EXAMPLE.model} on one {plan.hardware.gpu} for {_EXAMPLE.concurrency} "
        f"requests. Any other answer shows its own with detail=full.\n\n{_BASES}",
        f"## Sizing (plan_deployment)\n\n{_table(plan.terms or ())}",
        f"## Start-up (predict_startup)\n\n{_table(startup or ())}",
        "## Measured accuracy\n\n" + _accuracy(),
    ]
    return "\n\n".join(parts) + "\n"


def _table(terms: Iterable[TermReport]) -> str:
    rows = [(term.name, term.formula, _value(term), term.basis, term.source) for term in terms]
    lines = ["| term | formula | value | basis | source |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _value(term: TermReport) -> str:
    if term.gib is not None:
        return f"{term.gib:g} GiB"
    return "" if term.value is None else f"{term.value} {term.unit or ''}".strip()


def _accuracy() -> str:
    if not ACCURACY_FILE.is_file():
        return "This build carries no measurements."
    # The page's own title would be a second one here.
    lines = ACCURACY_FILE.read_text(encoding="utf-8").splitlines()
    body = lines[1:] if lines and lines[0].startswith("# ") else lines
    return "\n".join("#" + line if line.startswith("#") else line for line in body).strip()
