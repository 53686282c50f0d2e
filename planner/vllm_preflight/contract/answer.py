"""The base of every answer, and the terms that every figure in one comes from.

Fields say their unit (`_gib`, `_bytes`, `_tokens`). Optional fields are left out when
there is nothing to say, never null.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from vllm_preflight.base.terms import Basis, Term
from vllm_preflight.base.text import clean_values
from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.contract.text import as_html, as_markdown


class Report(BaseModel):
    """Base of all answers: closed, and serialised without empty optional fields."""

    model_config = ConfigDict(extra="forbid")

    def to_json_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values with clean texts, empty optional fields left out."""
        return clean_values(self.model_dump(mode="json", exclude_none=True))

    def to_text(self) -> str:
        """The answer as short Markdown, every figure with its name."""
        return as_markdown(self.to_json_dict())

    def _repr_html_(self) -> str:
        """The answer as a notebook shows it."""
        return as_html(self.concise().to_json_dict())

    def concise(self) -> Self:
        """The answer without the terms behind its figures, at any depth."""
        changes: dict[str, Any] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if name == "terms":
                changes[name] = None
            elif isinstance(value, Report):
                changes[name] = value.concise()
        return self.model_copy(update=changes)


class TermReport(Report):
    """One number of an answer and where it comes from."""

    name: str = Field(description="What the figure is.")
    formula: str = Field(description="How it was computed.")
    basis: Basis = Field(description="exact, derived, fitted, measured or assumed.")
    source: str = Field(description="Where formula or figure come from.")
    bytes: int | None = Field(default=None, description="Memory in bytes.")
    gib: float | None = Field(default=None, description="The same in GiB.")
    value: float | int | None = Field(default=None, description="A figure that is no memory.")
    unit: str | None = Field(default=None, description="Unit of value.")


def report_terms(terms: Iterable[Term]) -> list[TermReport]:
    """Terms as they appear in an answer."""
    return [
        TermReport(
            name=term.name,
            formula=term.formula,
            basis=term.basis,
            source=term.source,
            bytes=term.bytes,
            gib=None if term.bytes is None else bytes_to_gib(term.bytes, 3),
            value=term.value,
            unit=term.unit or None,
        )
        for term in terms
    ]
