"""The Agent Skill: as a file of the package, as a resource, and over skills/list and skills/get."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import Request, RequestParams, Result

from vllm_preflight_server.cli.main import COMMANDS
from vllm_preflight_server.mcp.app import build_server
from vllm_preflight_server.mcp.extensions import SKILL_URI, frontmatter, skill_text
from vllm_preflight_server.mcp.tools import TOOLS


class Params(RequestParams):
    """What a skills request carries."""

    uri: str | None = None


class Skills(Result):
    """What comes back."""

    skills: list[dict[str, Any]] | None = None
    skill: dict[str, Any] | None = None


def request(method: str, uri: str | None = None) -> Skills:
    async def session() -> Skills:
        async with Client(build_server()) as client:
            asked = Request[Params, str](method=method, params=Params(uri=uri))
            return await client.session.send_request(asked, Skills)

    return anyio.run(session)


def read(uri: str) -> str:
    async def session() -> str:
        async with Client(build_server()) as client:
            (content,) = (await client.read_resource(uri)).contents
            return content.model_dump()["text"]

    return anyio.run(session)


def test_the_list_and_the_file_agree() -> None:
    (entry,) = request("skills/list").skills or []
    assert request("skills/get", SKILL_URI).skill == entry
    data = read(entry["uri"]).encode()
    (file,) = entry["resources"]
    assert file["size"] == len(data)
    assert file["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert entry["frontmatter"] == frontmatter(data.decode())


def test_an_unknown_skill_is_refused() -> None:
    async def session() -> None:
        async with Client(build_server()) as client:
            asked = Request[Params, str](method="skills/get", params=Params(uri="skill://x"))
            with pytest.raises(MCPError, match="There is no skill 'skill://x'") as refused:
                await client.session.send_request(asked, Skills)
            assert refused.value.error.code == -32602

    anyio.run(session)


def test_frontmatter_follows_the_agent_skills_rules() -> None:
    front = frontmatter(skill_text())
    assert front["name"] == "vllm-preflight"
    assert 50 < len(front["description"]) <= 1024
    assert len(skill_text().splitlines()) < 500


def test_it_names_only_what_there_is() -> None:
    words = set(re.findall(r"`([a-z]+_[a-z_]+)`", skill_text()))
    tools = {spec.name for spec in TOOLS}
    assert {"plan_deployment", "predict_startup", "explain_startup_log"} <= words
    fields = {name for spec in TOOLS for name in spec.request.model_fields}
    answers = {
        "available_kv_cache_gib",
        "kv_cache_tokens",
        "max_concurrency",
        "requests_by_length",
        "weights_gib",
    }
    assert words <= tools | fields | answers
    commands = set(re.findall(r"`vllm-preflight ([a-z]+) ", skill_text()))
    assert commands <= set(COMMANDS) and {"plan", "check", "explain"} <= commands
