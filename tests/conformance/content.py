"""Fixtures of the conformance suite: contents of tools, resources and prompts."""

from __future__ import annotations

import base64
import json
import struct
import zlib

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    AudioContent,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# One red pixel, and a WAV of one silent sample.
PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\x00\xff\x00\x00"))
    + _chunk(b"IEND", b"")
)
WAV = (
    b"RIFF"
    + struct.pack("<I", 38)
    + b"WAVEfmt "
    + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    + b"data"
    + struct.pack("<Ih", 2, 0)
)
_IMAGE = ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")


def _text(text: str) -> TextContent:
    return TextContent(type="text", text=text)


def _resource(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(
        type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    )


def add_tools(server: MCPServer) -> None:
    """Tools that return each kind of content, an error, progress."""
    results: dict[str, tuple[str, list[ContentBlock]]] = {
        "test_simple_text": (
            "Returns one text.",
            [_text("This is a simple text response for testing.")],
        ),
        "test_image_content": ("Returns one image.", [_IMAGE]),
        "test_audio_content": (
            "Returns one sound.",
            [
                AudioContent(
                    type="audio", data=base64.b64encode(WAV).decode(), mime_type="audio/wav"
                )
            ],
        ),
        "test_embedded_resource": (
            "Returns one embedded resource.",
            [
                _resource(
                    "test://embedded-resource",
                    "text/plain",
                    "This is an embedded resource content.",
                )
            ],
        ),
        "test_multiple_content_types": (
            "Returns a text, an image and a resource.",
            [
                _text("Multiple content types test:"),
                _IMAGE,
                _resource(
                    "test://mixed-content-resource",
                    "application/json",
                    json.dumps({"test": "data", "value": 123}),
                ),
            ],
        ),
    }
    for name, (description, content) in results.items():
        server.add_tool(_returning(content), name=name, description=description)

    @server.tool(description="Always fails.", structured_output=False)
    def test_error_handling() -> str:
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(description="Reports progress three times.", structured_output=False)
    async def test_tool_with_progress(ctx: Context) -> str:
        for progress in (0, 50, 100):
            await ctx.report_progress(progress, 100)
            await anyio.sleep(0.05)
        return "Progress was reported."

    _ = (test_error_handling, test_tool_with_progress)


def _returning(content: list[ContentBlock]):
    def answer() -> CallToolResult:
        return CallToolResult(content=content)

    return answer


def add_resources(server: MCPServer) -> None:
    """A text, a picture and a template."""

    @server.resource("test://static-text", description="A text.", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="A picture.", mime_type="image/png")
    def static_binary() -> bytes:
        return PNG

    @server.resource("test://watched-resource", description="A text.", mime_type="text/plain")
    def watched() -> str:
        return "This resource can be subscribed to."

    @server.resource(
        "test://template/{id}/data", description="A template.", mime_type="application/json"
    )
    def template(id: str) -> str:
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    _ = (static_text, static_binary, watched, template)


def add_prompts(server: MCPServer) -> None:
    """Prompts with and without arguments, with a resource, with an image."""

    @server.prompt(description="One text.")
    def test_simple_prompt() -> str:
        return "This is a simple prompt for testing."

    @server.prompt(description="A text with two arguments.")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="An embedded resource and a text.")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:
        resource = _resource(resourceUri, "text/plain", "Embedded resource content for testing.")
        return [
            UserMessage(resource),
            UserMessage("Please process the embedded resource above."),
        ]

    @server.prompt(description="An image and a text.")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(_IMAGE), UserMessage("Please analyze the image above.")]

    _ = (
        test_simple_prompt,
        test_prompt_with_arguments,
        test_prompt_with_embedded_resource,
        test_prompt_with_image,
    )
