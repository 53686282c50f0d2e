"""What can be asked of artefacts, and the answer."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from vllm_preflight.contract.answer import Report
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import JsonText
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
# Enough to start it and to plan it again, in an answer that stays short.
USUAL_KINDS: tuple[ArtifactKind, ...] = ("serve", "profile")


def _names(value: object) -> object:
    """Names joined by commas as the list they are."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    return value


class GenerateRequest(PlanRequest, frozen=True):
    """Which files run this plan? Fields go before `arguments`, those before `profile`."""

    model: Annotated[str, Field(max_length=500)] = Field(
        default="", description="Unless profile names it."
    )
    arguments: JsonText | None = Field(
        default=None,
        description='Further arguments as JSON: {"kv_cache_dtype": "fp8"}.',
    )
    profile: JsonText | None = Field(default=None, description="Its text, instead of fields.")
    kinds: Annotated[tuple[ArtifactKind, ...], BeforeValidator(_names)] = Field(
        default=USUAL_KINDS,
        max_length=len(ALL_KINDS),
        description="Which files.",
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
