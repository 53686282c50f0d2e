"""Measured serving runs, as fitting and grading read them.

`data/serving_cases.jsonl` starts with a line that says what each field means; each line
after it is one run. `scripts/build_serving_cases.py` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

PATH = Path(__file__).parent / "data/serving_cases.jsonl"

# What the header line says of each field.
FIELDS: Mapping[str, str] = {
    "id": "unique name of the run",
    "source": "page or thread; split by this when fitting, never by line",
    "date": "day of the run or of its report (ISO 8601)",
    "engine": "vllm, or vllm likely where the source does not name the engine; absent: another",
    "version": "vLLM release whose defaults apply",
    "version_basis": "stated by the source, or the release of the date",
    "model": "catalogue id; absent when not catalogued or in doubt",
    "model_as_written": "the model as the source names it",
    "quantization": "what --quantization makes of the catalogued checkpoint, where it differs",
    "gpu": "catalogue name; absent when in doubt",
    "gpu_as_written": "the GPU as the source names it",
    "args": "vLLM arguments, by flag name",
    "input_len": "mean prompt tokens",
    "output_len": "mean generated tokens",
    "arrival": "closed: as many in flight as concurrency says; burst: all at once; rate",
    "concurrency": "requests in flight (closed, burst)",
    "request_rate": "requests per second (rate)",
    "requests": "requests of the run",
    "lengths": "fixed, drawn evenly from a range, or sampled from conversations, so that the "
    "longest run long after",
    "prefix_hit_rate": "share of prompt tokens in the prefix cache, by how the harness works",
    "observed": "ttft_ms and tpot_ms (medians where given), output_tokens_per_s of all requests",
    "derived": "which of them were computed from other printed figures, and how",
    "ttft_statistic": "median where the time to first token is one; absent: a mean, or not said",
    "ttft_queueing": "true where the time to first token is mostly time in the queue",
    "fit_only": "why the run is not graded although it is fitted",
    "excluded": "why the run is neither fitted nor graded",
}

Arrival = Literal["closed", "burst", "rate"]


@dataclass(frozen=True, slots=True)
class ServingCase:
    """One measured run; the fields are explained in `FIELDS`."""

    id: str
    source: str
    model_as_written: str
    gpu_as_written: str
    observed: Mapping[str, float]
    date: str | None = None
    engine: str | None = None
    version: str | None = None
    version_basis: str | None = None
    model: str | None = None
    quantization: str | None = None
    gpu: str | None = None
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    input_len: float | None = None
    output_len: float | None = None
    arrival: Arrival | None = None
    concurrency: int | None = None
    request_rate: float | None = None
    requests: int | None = None
    lengths: Literal["fixed", "range", "sampled"] = "fixed"
    prefix_hit_rate: float = 0.0
    derived: Mapping[str, str] = field(default_factory=dict[str, str])
    ttft_statistic: Literal["median"] | None = None
    ttft_queueing: bool = False
    fit_only: str | None = None
    excluded: str | None = None

    @property
    def repository(self) -> str:
        """Who measured: the source up to its repository."""
        host, _, path = self.source.removeprefix("https://").partition("/")
        return "/".join([host, *path.split("/")[:2]])


def load_serving_cases(path: Path = PATH) -> list[ServingCase]:
    """All runs, the excluded ones among them, in the order of the file."""
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    return [ServingCase(**json.loads(line)) for line in lines]


def date_of_cases(path: Path = PATH) -> str:
    """The day the file was written (ISO 8601)."""
    header, _, _ = path.read_text(encoding="utf-8").partition("\n")
    return str(json.loads(header)["date"])
