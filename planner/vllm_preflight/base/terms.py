"""A term: one number of an answer, with how it came about.

Every answer is a list of terms; tables, JSON, sentences and charts are views of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Basis = Literal["exact", "derived", "fitted", "measured", "assumed"]


@dataclass(frozen=True, slots=True)
class Term:
    """One figure with its formula, its basis and its source.

    `bytes` is set for memory; `value` and `unit` for anything else (tokens, blocks).
    `basis`: exact (read from the checkpoint or the driver), derived (arithmetic on
    exact facts), fitted (a coefficient from measurements), measured (printed by a
    run), assumed (a convention or a default).
    """

    name: str
    formula: str
    basis: Basis
    source: str
    bytes: int | None = None
    value: float | int | None = None
    unit: str = ""
