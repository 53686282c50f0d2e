"""What a deployment costs: how prices are given, and what comes of them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.request import JsonText, RequestModel


class PriceInput(RequestModel, frozen=True):
    """Whose prices, for which load, against which API; without prices no cost is said."""

    prices: JsonText | None = Field(
        default=None,
        description='list: built-in; or {"currency": "USD", "date": "2026-11-01", "gpu_hour": '
        '{"H100": 2.4}}.',
    )
    provider: Annotated[str, Field(max_length=500)] = Field(
        default="", description="Of the built-in prices only these: aws,lambda."
    )
    daily_load: Annotated[str, Field(max_length=500)] | None = Field(
        default=None,
        description="Requests/s: 2, or by rented hours: 9h@4,15h@0.2.",
    )
    api_price: Annotated[str, Field(max_length=60)] | None = Field(
        default=None,
        description="Per million tokens, prompt/generated: 0.15/0.6.",
    )


class CostPoint(Report):
    """What generated tokens cost where so many requests arrive; idle GPUs cost as much."""

    requests_per_s: float = Field(description="Requests that arrive, over all GPUs.")
    cost_per_million_tokens: float = Field(description="Of generated tokens.")


class CostReport(Report):
    """What a plan's GPUs cost."""

    currency: str = Field(description="Of every figure here.")
    per_hour: float = Field(description="Of all GPUs, busy or idle.")
    price: str = Field(description="Whose price: provider, offer, region, its day and age.")
    per_million_tokens: float | None = Field(
        default=None, description="Of generated tokens, at the workload's concurrency or rate."
    )
    by_load: list[CostPoint] | None = Field(
        default=None, description="From a tenth of what it serves to nearly all."
    )
    per_million_tokens_at_load: float | None = Field(
        default=None, description="Of generated tokens, at the daily load."
    )
    per_month: float | None = Field(default=None, description="Of the daily load's rented hours.")
    break_even_requests_per_s: float | None = Field(
        default=None, description="From how many on, over the rented hours, the API costs more."
    )
    sentences: list[str] = Field(description="The same in words, each figure with what it is of.")
