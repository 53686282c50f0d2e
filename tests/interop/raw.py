"""JSON-RPC by hand, without any SDK: each revision over stdio and HTTP.

usage: raw.py URL COMMAND...   (the HTTP endpoint, - for none; the stdio server)
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
PLAN = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 4}
_META = "io.modelcontextprotocol/"

Message = dict[str, Any]
# Sends one message and returns the answer, None for a notice.
Exchange = Callable[[Message], Message | None]


class Stdio:
    """A server on pipes: one JSON message a line."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __call__(self, message: Message) -> Message | None:
        """Send, and wait for the answer with the same id."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        if "id" not in message:
            return None
        for line in self._process.stdout:
            answer = json.loads(line)
            if answer.get("id") == message["id"]:
                return answer
        raise AssertionError("the server left")

    def close(self) -> None:
        """End of input ends the server, cleanly and soon."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.stdout.read() == ""
        assert self._process.wait(5) == 0


def over_http(url: str, revision: str) -> Exchange:
    """POSTs to `url` with the headers that `revision` asks for."""

    def exchange(message: Message) -> Message | None:
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
        }
        if message["method"] != "initialize":
            headers["MCP-Protocol-Version"] = revision
        if revision == MODERN:
            headers["Mcp-Method"] = message["method"]
            if "name" in message.get("params", {}):
                headers["Mcp-Name"] = message["params"]["name"]
        request = urllib.request.Request(url, json.dumps(message).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            body = response.read().decode()
            kind = response.headers.get_content_type()
        if not body:
            return None
        if kind == "text/event-stream":
            events = [line[6:] for line in body.splitlines() if line.startswith("data: {")]
            return json.loads(events[-1])
        return json.loads(body)

    return exchange


def talk(exchange: Exchange, revision: str) -> None:
    """Meet, list tools, plan, and make two mistakes."""
    meta: Message = {f"{_META}protocolVersion": revision, f"{_META}clientCapabilities": {}}
    numbers = iter(range(1, 100))

    def ask(method: str, **params: Any) -> Message:
        message: Message = {"jsonrpc": "2.0", "id": next(numbers), "method": method}
        message["params"] = {**params, "_meta": meta} if revision == MODERN else params
        answer = exchange(message)
        assert answer is not None, message
        return answer

    if revision == MODERN:
        assert revision in ask("server/discover")["result"]["supportedVersions"]
    else:
        me = {"name": "raw", "version": "1"}
        hello = ask("initialize", protocolVersion=revision, capabilities={}, clientInfo=me)
        assert hello["result"]["protocolVersion"] == revision, hello
        exchange({"jsonrpc": "2.0", "method": "notifications/initialized"})
    names = [tool["name"] for tool in ask("tools/list")["result"]["tools"]]
    assert "plan_deployment" in names, names
    plan = ask("tools/call", name="plan_deployment", arguments=PLAN)["result"]
    assert plan["structuredContent"]["feasibility"]["fits"] is True, plan
    wrong = {**PLAN, "concurency": 4}
    mistake = ask("tools/call", name="plan_deployment", arguments=wrong)["result"]
    assert mistake["isError"] is True and "did you mean" in mistake["content"][0]["text"], mistake


def main() -> None:
    """Talk each revision over both transports."""
    url, *command = sys.argv[1:]
    for revision in (*HANDSHAKE, MODERN):
        server = Stdio(command)
        talk(server, revision)
        server.close()
        print(f"ok raw JSON-RPC, stdio, {revision}")
        if url == "-":
            continue
        talk(over_http(url, revision), revision)
        print(f"ok raw JSON-RPC, http, {revision}")


if __name__ == "__main__":
    main()
