"""What clients read of the tools: portable schemas, complete descriptions, few bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mcp.types import CallToolResult, Tool
from tests.server.conftest import Era

from vllm_preflight_server.mcp.app import build_server
from vllm_preflight_server.mcp.tools import TOOLS

NAMES = [spec.name for spec in TOOLS]
# Sent with every conversation: what one tool and all of them may take, in bytes.
TOOL_BYTES = 3_000
ALL_BYTES = 14_000


def test_both_eras_list_the_same_tools_in_the_same_order(era: Era) -> None:
    async def session() -> list[Tool]:
        async with Client(build_server(), mode=era) as client:
            return (await client.list_tools()).tools

    assert [tool.name for tool in anyio.run(session)] == NAMES


@pytest.mark.design("5: schemas are flat and closed, optional rather than nullable")
@pytest.mark.parametrize("name", NAMES)
def test_input_schemas_are_flat_and_closed(tools: Mapping[str, Tool], name: str) -> None:
    schema = tools[name].input_schema
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    for field, member in cast(Mapping[str, Any], schema["properties"]).items():
        assert member["type"] in {"string", "integer", "number", "boolean", "array"}, field
        assert len(member["description"]) >= 10, field
        if member["type"] in {"integer", "number"} and "enum" not in member:
            assert "minimum" in member or "exclusiveMinimum" in member, field


@pytest.mark.design("5: schemas are flat and closed, optional rather than nullable")
@pytest.mark.parametrize("name", NAMES)
def test_no_schema_has_what_clients_refuse(tools: Mapping[str, Tool], name: str) -> None:
    tool = tools[name]
    for schema in (tool.input_schema, tool.output_schema):
        assert schema is not None and schema["type"] == "object"
        assert not {"anyOf", "oneOf", "allOf", "not"} & set(schema)
        for node in _nodes(schema):
            assert not {"$ref", "$defs", "title", "prefixItems"} & set(node)
            assert node.get("type") != "null"
            assert not isinstance(node.get("type"), list)
            assert {"type": "null"} not in node.get("anyOf", [])
            assert node.get("type") != "array" or "items" in node


@pytest.mark.parametrize("name", NAMES)
def test_optional_arguments_state_a_default_or_need_none(
    tools: Mapping[str, Tool], name: str
) -> None:
    spec = next(spec for spec in TOOLS if spec.name == name)
    schema = tools[name].input_schema
    for field in schema["properties"]:
        info = spec.request.model_fields[field]
        member = schema["properties"][field]
        assert (field in schema.get("required", [])) == info.is_required()
        if not info.is_required() and info.default not in (None, ""):
            assert member["default"] == json.loads(json.dumps(info.default))


@pytest.mark.design("5: the published schema holds the arguments people ask with")
def test_a_launchs_rarer_fields_are_taken_but_not_published(tools: Mapping[str, Tool]) -> None:
    published = tools["predict_startup"].input_schema["properties"]
    assert {"command", "vllm_args", "max_model_len", "calibration"} <= set(published)
    assert "block_size" not in published

    async def ask() -> CallToolResult:
        arguments = {"model": "Qwen/Qwen3-8B", "gpu": "H100-80GB", "block_size": 32}
        async with Client(build_server()) as client:
            return await client.call_tool("predict_startup", arguments)

    assert not anyio.run(ask).is_error


@pytest.mark.design("5: all four annotations are set")
@pytest.mark.parametrize("name", NAMES)
def test_tools_say_when_to_use_them_and_that_they_only_read(
    tools: Mapping[str, Tool], name: str
) -> None:
    tool = tools[name]
    assert tool.description is not None and tool.annotations is not None
    assert tool.title and tool.title != name
    assert 150 < len(tool.description) < 900
    assert "Use it" in tool.description
    hints = tool.annotations
    assert hints.read_only_hint is True and hints.destructive_hint is False
    assert hints.idempotent_hint is True and hints.open_world_hint is not None


@pytest.mark.design("5: tool definitions stay small")
def test_definitions_stay_small(tools: Mapping[str, Tool]) -> None:
    sizes = {
        name: len(tool.model_dump_json(by_alias=True, exclude_none=True).encode())
        for name, tool in tools.items()
    }
    assert max(sizes.values()) <= TOOL_BYTES, sizes
    assert sum(sizes.values()) <= ALL_BYTES, sizes


def _nodes(node: object) -> Iterator[Mapping[str, Any]]:
    """Every schema inside a schema; properties are names, not keywords."""
    if isinstance(node, list):
        for item in cast(list[object], node):
            yield from _nodes(item)
    elif isinstance(node, Mapping):
        members = cast(Mapping[str, Any], node)
        yield members
        for key, value in members.items():
            if key == "properties":
                for item in cast(Mapping[str, object], value).values():
                    yield from _nodes(item)
            elif key not in ("default", "enum"):
                yield from _nodes(value)
