"""What can be asked of artefacts, and the answer."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.request import Count, JsonText, RequestModel, Tokens
from vllm_preflight.contract.verdict import Verdict

ArtifactKind = Literal[
    "serve",
    "env",
    "docker",
    "compose",
    "systemd",
    "model-cache",
    "kubernetes",
    "leaderworkerset",
    "rayservice",
    "helm",
    "llm-d",
    "kserve",
    "llminferenceservice",
    "servicemonitor",
    "hpa",
    "bench",
    "bench-job",
    "profile",
    "readme",
]
ALL_KINDS: tuple[ArtifactKind, ...] = get_args(ArtifactKind)
# Enough to start it, to test it and to plan it again, in an answer that stays short.
USUAL_KINDS: tuple[ArtifactKind, ...] = ("serve", "compose", "profile")


class GenerateRequest(RequestModel, frozen=True):
    """Which files run this plan? Fields go before `arguments`, those before `profile`."""

    model: Annotated[str, Field(min_length=1, max_length=500)] | None = Field(
        default=None, description="Hugging Face id, catalogue id or local folder."
    )
    gpu: Annotated[str, Field(min_length=1, max_length=120)] | None = Field(
        default=None, description="GPU name, such as H100; auto: this machine's."
    )
    gpus: Count | None = Field(default=None, description="GPUs in all. Default: as needed.")
    nodes: Count | None = Field(default=None, description="Machines they are in. Default 1.")
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Requests in flight at once. Default 1."
    )
    prompt_tokens: Tokens | None = Field(default=None, description="Per request. Default 512.")
    gen_tokens: Tokens | None = Field(default=None, description="Per request. Default 256.")
    max_model_len: Tokens | None = Field(
        default=None, description="Longest request in tokens, prompt and output."
    )
    vllm_version: Annotated[str, Field(max_length=60)] | None = Field(
        default=None, description="Release to write for, such as 0.19.0. Default: the newest known."
    )
    arguments: JsonText | None = Field(
        default=None,
        description='Further arguments of plan_deployment as JSON: {"kv_cache_dtype": "fp8"}.',
    )
    profile: JsonText | None = Field(
        default=None, description="Text of a profile, instead of fields."
    )
    kinds: tuple[ArtifactKind, ...] = Field(
        default=USUAL_KINDS,
        max_length=len(ALL_KINDS),
        description="Which files; leaderworkerset, rayservice: several machines.",
    )


class ArtifactsReport(Report):
    """generate_artifacts' answer."""

    verdict: Verdict = Field(description="The plan's verdict in one sentence.")
    serve_command: str = Field(description="The vllm serve line all files run.")
    files: dict[str, str] = Field(description="Texts by file name.")
    skipped: dict[str, str] = Field(
        default_factory=dict[str, str], description="Kinds that do not apply, and why."
    )
    warnings: list[str] = Field(default_factory=list[str], description="What to look out for.")
    next_steps: list[str] = Field(default_factory=list[str], description="What to do next.")
