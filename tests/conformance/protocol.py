"""Fixtures of the conformance suite: notices, capabilities, headers, schemas, reconnection."""

from __future__ import annotations

import warnings
from typing import Annotated, Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.tools import Tool
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.types import (
    EmptyResult,
    JSONRPCMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)
from pydantic import Field

_MISSING_CAPABILITY = -32021

_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


class MemoryEvents(EventStore):
    """Events of this process's streams, for clients that come back."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        """Keep one event; its number is its id."""
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        """Send what the stream of `last_event_id` got since."""
        place = int(last_event_id) if last_event_id.isdigit() else 0
        if not 1 <= place <= len(self._events):
            return None
        stream, _ = self._events[place - 1]
        for number, (other, message) in enumerate(self._events[place:], place + 1):
            if other == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def add_tools(server: MCPServer) -> None:
    """Tools whose way of answering is what is tested."""

    @server.tool(description="Sends three log messages.", structured_output=False)
    async def test_tool_with_logging(ctx: Context) -> str:
        await _log(
            ctx, "Tool execution started", "Tool processing data", "Tool execution completed"
        )
        return "Three messages were logged."

    @server.tool(description="Logs once.", structured_output=False)
    async def test_logging_tool(ctx: Context) -> str:
        await _log(ctx, "One message")
        return "One message was logged."

    @server.tool(description="Needs a client that samples.", structured_output=False)
    def test_missing_capability(ctx: Context) -> str:
        can = ctx.client_capabilities
        if can is None or can.sampling is None:
            raise MCPError(
                code=_MISSING_CAPABILITY,
                message="This tool needs the client capability sampling.",
                data={"requiredCapabilities": {"sampling": {}}},
            )
        return "The client declares sampling."

    @server.tool(description="Answers on a stream.", structured_output=False)
    async def test_streaming_elicitation(ctx: Context) -> str:
        await ctx.report_progress(1, 1)
        return "Nothing was asked on the stream."

    @server.tool(description="Says that the tools changed.", structured_output=False)
    async def test_trigger_tool_change(ctx: Context) -> str:
        await ctx.notify_tools_changed()
        return "Said."

    @server.tool(description="Says that the prompts changed.", structured_output=False)
    async def test_trigger_prompt_change(ctx: Context) -> str:
        await ctx.notify_prompts_changed()
        return "Said."

    @server.tool(description="Takes an argument that a header mirrors.", structured_output=False)
    def test_x_mcp_header(
        region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})] = "",
    ) -> str:
        return f"The region is {region}."

    @server.tool(description="Closes its stream before it answers.", structured_output=False)
    async def test_reconnection(ctx: Context) -> str:
        await ctx.close_sse_stream()
        await anyio.sleep(0.2)
        return "The client came back."

    _ = (
        test_tool_with_logging,
        test_logging_tool,
        test_missing_capability,
        test_streaming_elicitation,
        test_trigger_tool_change,
        test_trigger_prompt_change,
        test_x_mcp_header,
        test_reconnection,
    )


async def _log(ctx: Context, *messages: str) -> None:
    with warnings.catch_warnings():
        # Logging is deprecated since 2026-07-28 and required before.
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        for message in messages:
            await ctx.info(message)  # pyright: ignore[reportDeprecated]
            await anyio.sleep(0.05)


def schema_tool() -> Tool:
    """A tool with a literal JSON Schema 2020-12, which no signature expresses."""

    def json_schema_2020_12_tool() -> str:
        return "The schema is what matters."

    tool = Tool.from_function(
        json_schema_2020_12_tool,
        description="Tool with JSON Schema 2020-12 features",
        structured_output=False,
    )
    return tool.model_copy(update={"parameters": _SCHEMA})


def add_handlers(server: MCPServer) -> None:
    """Methods of the handshake era that the SDK's server has no public hook for."""
    low_level = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]

    async def accept(ctx: ServerRequestContext[Any, Any], params: object) -> EmptyResult:
        del ctx, params
        return EmptyResult()

    low_level.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
    low_level.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)
    low_level.add_request_handler("logging/setLevel", SetLevelRequestParams, accept)
