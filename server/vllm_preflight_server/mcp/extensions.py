"""Extensions of MCP: the app page (io.modelcontextprotocol/ui) and the skill (…/skills).

Clients without them lose nothing: the tools answer the same.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp.server.context import ServerRequestContext
from mcp.server.extension import Extension, MethodBinding, ResourceBinding
from mcp.server.mcpserver.resources import FunctionResource
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, PaginatedRequestParams, RequestParams

from vllm_preflight_server.pages.page import PAGE_URI, page_html

SKILL_URI = "skill://vllm-preflight/SKILL.md"
# A skill changes only with a release.
_CACHE = {"resultType": "complete", "ttlMs": 3_600_000, "cacheScope": "public"}


def app_page() -> Apps:
    """The page that shows plans and predictions, read when a host asks for it."""
    apps = Apps()
    apps.add_resource(
        FunctionResource(
            uri=PAGE_URI,
            name="plan",
            title="Memory and capacity of a plan",
            description="Shows an answer of plan_deployment or predict_startup: one GPU's memory, "
            "what fits, and why.",
            mime_type=APP_MIME_TYPE,
            fn=page_html,
        )
    )
    return apps


class SkillParams(RequestParams):
    """What skills/get is asked for."""

    uri: str


class Skills(Extension):
    """The Agent Skill that comes with the package, over skills/list and skills/get."""

    identifier = "io.modelcontextprotocol/skills"

    def resources(self) -> list[ResourceBinding]:
        """The skill's one file."""
        front = frontmatter(skill_text())
        return [
            ResourceBinding(
                FunctionResource(
                    uri=SKILL_URI,
                    name=front["name"],
                    title="How to use vLLM preflight",
                    description=front["description"],
                    mime_type="text/markdown",
                    fn=skill_text,
                )
            )
        ]

    def methods(self) -> list[MethodBinding]:
        """skills/list and skills/get."""
        return [
            MethodBinding("skills/list", PaginatedRequestParams, _list),
            MethodBinding("skills/get", SkillParams, _get),
        ]


@cache
def skill_text() -> str:
    """SKILL.md as it is served."""
    folder = files("vllm_preflight_server.mcp") / "skills" / "vllm-preflight"
    return (folder / "SKILL.md").read_text(encoding="utf-8")


def frontmatter(text: str) -> dict[str, str]:
    """The lines `key: value` between the first two rules."""
    lines = text.split("---\n", 2)[1].splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _entry() -> dict[str, Any]:
    data = skill_text().encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return {
        "uri": SKILL_URI,
        "frontmatter": frontmatter(skill_text()),
        "resources": [{"uri": SKILL_URI, "digest": digest, "size": len(data)}],
    }


async def _list(ctx: ServerRequestContext[Any, Any], params: PaginatedRequestParams) -> Any:
    del ctx, params
    return {**_CACHE, "skills": [_entry()]}


async def _get(ctx: ServerRequestContext[Any, Any], params: SkillParams) -> Any:
    del ctx
    if params.uri != SKILL_URI:
        raise MCPError(
            code=INVALID_PARAMS,
            message=f"There is no skill {params.uri[:80]!a}. This server has: {SKILL_URI}.",
        )
    return {**_CACHE, "skill": _entry()}
