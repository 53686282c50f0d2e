"""compute_overhead's answer: the formula's value with its parts."""

from __future__ import annotations

from vllm_preflight.memory.overhead import overhead_terms
from vllm_preflight.reports import OverheadReport, report_terms
from vllm_preflight.requests import OverheadRequest
from vllm_preflight.units import bytes_to_gib, gib_to_bytes


def overhead_report(request: OverheadRequest) -> OverheadReport:
    """The overhead of one tensor-parallel group, in bytes and GiB, with its terms."""
    terms = overhead_terms(
        gib_to_bytes(request.vram_total_gib), request.tensor_parallel_size, request.overhead_gb
    )
    total = sum(term.bytes or 0 for term in terms)
    return OverheadReport(
        overhead_bytes=total,
        overhead_gib=bytes_to_gib(total, 4),
        method="formula" if request.overhead_gb is None else "fixed",
        terms=report_terms(terms),
    )
