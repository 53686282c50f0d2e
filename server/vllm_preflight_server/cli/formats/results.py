"""What every format says of a server: how bad it is, where, and in which words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from vllm_preflight.contract.manifest import ManifestResponse, ServerReport

Level = Literal["error", "warning", "note"]

# Rules by their id, with the sentence that describes them.
RULES = {
    "does-not-start": "vLLM would not start with these arguments on these GPUs.",
    "refused": "vLLM, or the number of GPUs, refuses this launch before anything is loaded.",
    "borderline": "The launch may or may not start.",
    "not-modelled": "The launch is not understood here, so nothing is predicted.",
    "not-answered": "The server could not be read whole.",
    "finding": "Something that does not add up or deserves a look.",
}


@dataclass(frozen=True)
class Result:
    """One thing to say of a place in a file."""

    rule: str
    level: Level
    file: str
    line: int
    name: str
    text: str


def results(response: ManifestResponse) -> Iterator[Result]:
    """What is wrong or worth a look, server by server; nothing for a server that starts."""
    for row in response.servers:
        yield from _of_row(row)


def _of_row(row: ServerReport) -> Iterator[Result]:
    if row.error is not None:
        text = f"{row.error.message} {row.error.hint}".strip()
        yield Result("not-answered", "error", row.file, row.line, row.name, text)
    elif row.verdict is not None and not row.good:
        rule = row.verdict.outcome.replace("_", "-")
        level: Level = "note" if rule == "not-modelled" or row.stopped else "error"
        line = row.decides or row.line
        yield Result(rule, level, row.file, line, row.name, _sentence(row))
    for finding in row.findings:
        yield Result("finding", "warning", row.file, row.line, row.name, finding)


def _sentence(row: ServerReport) -> str:
    """The verdict with what would help."""
    told = row.verdict.sentence if row.verdict is not None else ""
    failure = next((a.startup.failure for a in row.answers if a.startup.failure), None)
    helps = failure.remedies[:2] if failure is not None else []
    return f"{told.rstrip('.')}. Starts with {' or '.join(helps)}." if helps else told


def exit_code(response: ManifestResponse) -> int:
    """1 where a server would not start, else what keeps one from an answer, else 0."""
    codes = [_code(row) for row in response.servers]
    return 1 if 1 in codes else max(codes, default=0)


_CODES = {
    "unknown_model": 3,
    "unsupported_architecture": 3,
    "hub_unavailable": 3,
    "unknown_gpu": 4,
    "no_gpu_detected": 4,
}


def _code(row: ServerReport) -> int:
    if row.error is not None:
        return _CODES.get(row.error.code, 2)
    if row.stopped:
        return 0
    if row.verdict is not None and row.verdict.outcome == "not_modelled":
        return 3
    return 0 if row.good else 1
