"""The arguments of each tool: the question's own, and how long the answer is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.explain import ExplainRequest
from vllm_preflight.contract.inspect import InspectRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import RequestModel


class DetailInput(RequestModel, frozen=True):
    """How long the answer is."""

    detail: Literal["concise", "full"] = Field(
        default="concise",
        description="full adds each term with its source.",
    )


class ChartInput(RequestModel, frozen=True):
    """Whether the answer comes with a picture."""

    chart: Literal["none", "png"] = Field(
        default="none",
        description="png: also a picture.",
    )


class PlanArguments(PlanRequest, DetailInput, ChartInput, frozen=True):
    """plan_deployment's arguments."""


class CompareArguments(CompareRequest, DetailInput, frozen=True):
    """compare_hardware's arguments."""


class StartupArguments(StartupRequest, DetailInput, frozen=True):
    """predict_startup's arguments."""


class InspectArguments(InspectRequest, DetailInput, frozen=True):
    """inspect_model's arguments."""


class ExplainArguments(ExplainRequest, DetailInput, frozen=True):
    """explain_startup_log's arguments."""
