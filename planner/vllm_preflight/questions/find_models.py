"""find_models: which models of the catalogue run on these GPUs."""

from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.contract.find import FindReport, FindRequest
from vllm_preflight.hardware.select import Hardware, select_hardware
from vllm_preflight.recommend.discovery import discover
from vllm_preflight.reports.find import find_report


def find_models(
    request: FindRequest,
    *,
    hardware: Hardware | None = None,
    progress: Callable[[str], None] | None = None,
) -> FindReport:
    """Every model that starts for sure on the GPUs, in the best precision that carries.

    An open number of GPUs means one. `hardware` saves reading it again.

    Raises:
        PreflightError: a value or GPU problem, in a sentence.
    """
    hardware = hardware or select_hardware(request)
    return find_report(request, hardware, discover(request, hardware, progress))
