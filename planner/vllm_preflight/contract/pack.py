"""Do these servers share one GPU, and with which utilisations? The question and its answer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.request import RequestModel
from vllm_preflight.contract.verdict import Verdict

Line = Annotated[str, Field(min_length=1, max_length=100_000)]
Tokens = Annotated[int, Field(ge=0, le=100_000_000)]


class PackRequest(RequestModel, frozen=True):
    """Do these vLLM servers share one GPU, and what does each start with?"""

    launches: Annotated[list[Line], Field(min_length=2, max_length=16)] = Field(
        description="vllm serve lines in the order they start; never executed."
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] = Field(
        default="auto", description="The GPU they share, or a MIG slice of one."
    )
    vram_gb: Annotated[float, Field(gt=0, le=10_000)] | None = Field(
        default=None, description="GiB that CUDA shows, if not as the catalogue says."
    )
    vllm_version: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="vLLM release. Default: as the lines say, or the newest known."
    )
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None,
        description="Requests at once that each server holds. Default: one of its full length.",
    )
    prompt_tokens: Tokens = Field(default=512, description="Prompt tokens of such a request.")
    gen_tokens: Tokens = Field(default=256, description="Output tokens of such a request.")


class PackedServer(Report):
    """One of the servers; memory of the GPU."""

    model: str = Field(description="Model id or folder.")
    verdict: Verdict = Field(description="What becomes of it after those before it.")
    gpu_memory_utilization: float = Field(description="Its share of the whole GPU.")
    free_before_gib: float = Field(description="Free when it looks, those before it running.")
    requested_gib: float = Field(description="What it asks for, and has to be free.")
    beside_gib: float = Field(
        description="What it holds beside its share: CUDA context, workspaces, uncharged graphs."
    )
    kv_cache_gib: float = Field(description="KV cache.")
    kv_cache_tokens: int | None = Field(default=None, description="'GPU KV cache size'.")
    kv_cache_memory_bytes: int | None = Field(
        default=None,
        description="The cache at the low end of its interval: with it as "
        "--kv-cache-memory-bytes nothing hangs on what the others do meanwhile.",
    )
    max_concurrency: float | None = Field(default=None, description="'Maximum concurrency'.")
    held: int | None = Field(
        default=None, description="Requests of the workload that it holds at once."
    )
    command: str | None = Field(
        default=None, description="Its line with its share; absent where it does not start."
    )


class PackReport(Report):
    """All servers, whether they share the GPU, and what is left of it."""

    verdict: Verdict = Field(description="What becomes of all of them together.")
    gpu: str = Field(description="The GPU.")
    visible_gib: float = Field(description="What CUDA shows of it.")
    left_gib: float = Field(description="What is nobody's; negative when it is too small.")
    servers: list[PackedServer] = Field(description="In the order they start.")
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list[str], description="What to do next.")
