"""MCP over stdin and stdout, with bounds: lines, requests in flight, and answers to bad lines.

The SDK's transport (mcp 2.3) reads as fast as a client writes, whether its answers are read or
not, and says nothing to a line that is no message. Here a line has a limit, reading pauses
while enough is being answered, and every line that cannot be taken is answered: with its id
where it has one, else with the null that JSON-RPC asks for.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, BinaryIO, cast

import anyio
import anyio.to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter

from vllm_preflight.base.text import presentable

# One message, here and over HTTP: text a person or a model wrote, or a log.
MOST_MESSAGE_BYTES = 4 * 1024 * 1024
# What is being answered at a time; more waits in the pipe.
MOST_IN_FLIGHT, MOST_BYTES_IN_FLIGHT = 64, 64 * 1024 * 1024
# Beyond every call's limit: whatever was not answered by then never will be.
_GIVEN_UP_S = 60.0
_ANSWER = re.compile(
    r'\{"jsonrpc":"2\.0","id":("(?:[^"\\]|\\.){0,400}"|-?\d{1,30}),"(?:result|error)"'
)
_ID = re.compile(rb'"id"\s{0,9}:\s{0,9}("(?:[^"\\]|\\.){0,200}"|-?\d{1,30})(?=\s{0,9}[,}])')
# Where an id stands in a line that is not read whole.
_SEARCHED = 65_536


async def serve_streams(server: MCPServer) -> None:
    """Serve on stdin and stdout until the input ends."""
    reader, writer = _private(0, "rb"), _private(1, "wb")
    wire = _Wire(reader, writer)
    # Only these members of a file are used of either.
    files = cast(Any, wire), cast(Any, wire)
    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    async with stdio_server(*files) as (received, sent):
        await lowlevel.run(received, sent, lowlevel.create_initialization_options())
    # Only here: after a failure a thread may still wait in a read, and hold the file.
    reader.close()
    writer.close()


class _Wire:
    """Lines in and out, and what is in flight between them."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer
        self._in_flight: dict[str, int] = {}
        self._answered = anyio.Event()
        self._writing = anyio.Lock()

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines that are messages, in order; the others are answered."""
        while line := await self._line():
            text = await self._accepted(line)
            if text is not None:
                await self._wait_above(MOST_IN_FLIGHT, MOST_BYTES_IN_FLIGHT)
                yield text
        # What was asked is answered before the end.
        await self._wait_above(0, 0)

    async def write(self, text: str) -> None:
        """Write one line, and count the request it answers no more."""
        await self._send(text.encode("utf-8", errors="backslashreplace"))
        if found := _ANSWER.match(text):
            self._forget(found[1])

    async def flush(self) -> None:
        """Nothing is left: each line is written at once."""

    async def _line(self) -> bytes:
        """The next line; of one above the limit its start and its end. Empty at the end."""
        line = await anyio.to_thread.run_sync(
            self._reader.readline, MOST_MESSAGE_BYTES + 1, abandon_on_cancel=True
        )
        rest = line
        while len(rest) > MOST_MESSAGE_BYTES and not rest.endswith(b"\n"):
            rest = await anyio.to_thread.run_sync(
                self._reader.readline, MOST_MESSAGE_BYTES + 1, abandon_on_cancel=True
            )
        return line if rest is line else line + rest[-_SEARCHED:]

    async def _accepted(self, line: bytes) -> str | None:
        """The line's text when it is a message; None after it was answered or is empty."""
        if not line.strip():
            return None
        if len(line) > MOST_MESSAGE_BYTES:
            found = [*_ID.findall(line[:_SEARCHED])[:1], *_ID.findall(line[-_SEARCHED:])[-1:]]
            number = json.loads(found[0]) if found else None
            await self._refuse(
                INVALID_REQUEST,
                f"A message has at most {MOST_MESSAGE_BYTES >> 20} MiB. Of a log, give the part "
                "from vLLM's first line to the failure.",
                number,
            )
            return None
        try:
            text = line.decode("utf-8")
            value = cast(object, json.loads(text))
        except (ValueError, RecursionError) as error:
            reason = str(error).partition(":")[0] or type(error).__name__
            await self._refuse(PARSE_ERROR, f"The line is no JSON: {reason}.", None)
            return None
        try:
            # The SDK takes what has an id of another kind for a notice, and answers nothing.
            if _has_odd_id(value):
                raise ValueError
            jsonrpc_message_adapter.validate_json(text, by_name=False)
        except ValueError:
            await self._refuse(INVALID_REQUEST, _why_no_message(value), _id_of(value))
            return None
        self._note(cast(dict[str, Any], value), len(line))
        return text

    def _note(self, message: dict[str, Any], size: int) -> None:
        """Count a request; one that is cancelled is not answered."""
        number, method = message.get("id"), message.get("method")
        if number is not None and method is not None:
            self._in_flight[json.dumps(number)] = size
        elif method == "notifications/cancelled":
            params = cast(dict[str, object], message.get("params") or {})
            self._forget(json.dumps(params.get("requestId")))

    def _forget(self, number: str) -> None:
        if self._in_flight.pop(number, None) is not None:
            self._answered.set()

    async def _wait_above(self, requests: int, size: int) -> None:
        """Wait until at most so many requests of so many bytes are being answered."""
        while len(self._in_flight) > requests or sum(self._in_flight.values()) > size:
            self._answered = anyio.Event()
            with anyio.move_on_after(_GIVEN_UP_S) as waiting:
                await self._answered.wait()
            if waiting.cancelled_caught:
                self._in_flight.clear()

    async def _refuse(self, code: int, message: str, number: object) -> None:
        error = {"code": code, "message": presentable(message)}
        answer = {"jsonrpc": "2.0", "id": number, "error": error}
        await self._send(json.dumps(answer).encode() + b"\n")

    async def _send(self, data: bytes) -> None:
        async with self._writing:
            await anyio.to_thread.run_sync(self._write_now, data)

    def _write_now(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            self._writer.flush()
        except OSError:
            # Nobody reads any more, and there is nobody else to serve.
            with suppress(OSError):
                print("vllm-preflight: the client closed the output.", file=sys.stderr)
            os._exit(0)


def _why_no_message(value: object) -> str:
    if isinstance(value, list):
        return "Batches are not part of this protocol: send one message a line."
    if not isinstance(value, dict):
        return "A message is a JSON object."
    message = cast(dict[str, Any], value)
    if message.get("jsonrpc") != "2.0":
        return 'A message has "jsonrpc": "2.0".'
    return "A request has a text as method, an object as params, and a text or whole number as id."


def _has_odd_id(value: object) -> bool:
    return isinstance(value, dict) and "id" in value and _id_of(cast(object, value)) is None


def _id_of(value: object) -> object:
    number = cast(dict[str, object], value).get("id") if isinstance(value, dict) else None
    return number if type(number) is int or isinstance(number, str) else None


def _private(number: int, mode: str) -> BinaryIO:
    """A standard stream for the wire alone: what else reads or prints has another."""
    stream = cast(BinaryIO, os.fdopen(os.dup(number), mode))
    if number == 0:
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
    else:
        os.dup2(2, 1)
    return stream
