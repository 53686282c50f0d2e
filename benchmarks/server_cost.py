"""What the server costs beside a bare one-tool server of the same SDK, in the same run.

Start to the first tools/list, CPU of a call, and resident memory, over stdio by raw
JSON-RPC, so that only the server is measured. CPU time is compared, the least of several
turns: it holds on a busy machine, where wall time says little.

usage: python benchmarks/server_cost.py [--check] [--turns N] [--calls N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BARE = """
import asyncio
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare", log_level="WARNING")
@server.tool()
async def add(a: int, b: int) -> int:
    return a + b
asyncio.run(server.run_stdio_async())
"""
PRODUCT = [sys.executable, "-m", "vllm_preflight_server.cli", "serve"]
# Measured against the bare server: start and memory, then one call of plan_deployment.
# The engine and its tables (models, flags, families, kernels) are some 20 MiB of the memory.
MOST_START, MOST_CALL, MOST_MEMORY = 1.4, 2.0, 1.35
_TICK_S = 1e-9

Arguments = Callable[[int], dict[str, Any]]


@dataclass(frozen=True)
class Cost:
    """One turn of one server: seconds of CPU and of wall time, bytes."""

    start_cpu_s: float
    start_wall_s: float
    call_cpu_s: float
    peak_bytes: int


class Server:
    """A server on pipes."""

    def __init__(self, command: list[str]) -> None:
        self.started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._number = 0

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One request and its result."""
        self._number += 1
        message = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": params}
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        result = answer["result"]
        assert answer["id"] == self._number and not result.get("isError"), answer
        return result

    def notify(self, method: str) -> None:
        """One notice."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": method}) + "\n")

    def cpu_s(self) -> float:
        """Seconds of CPU the process has used so far, all threads."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) * _TICK_S

    def peak_bytes(self) -> int:
        """The most memory it had resident."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="utf-8")
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024

    def close(self) -> None:
        """End of input ends it."""
        self._process.communicate(timeout=20)


def measure(command: list[str], tool: str, arguments: Arguments, calls: int) -> Cost:
    """Start a server, list its tools, call one `calls` times."""
    server = Server(command)
    client = {"name": "cost", "version": "1"}
    server.ask("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
    server.notify("notifications/initialized")
    server.ask("tools/list")
    start_cpu, start_wall = server.cpu_s(), time.monotonic() - server.started
    # The first calls load what later ones find loaded.
    for number in range(20):
        server.ask("tools/call", name=tool, arguments=arguments(number))
    before = server.cpu_s()
    for number in range(calls):
        server.ask("tools/call", name=tool, arguments=arguments(number))
    call_cpu = (server.cpu_s() - before) / calls
    peak = server.peak_bytes()
    server.close()
    return Cost(start_cpu, start_wall, call_cpu, peak)


def same_plan(_: int) -> dict[str, Any]:
    """The same question each time, as a client that asks again does."""
    return {"model": "Qwen/Qwen3-32B", "gpu": "H100", "gpus": 2, "concurrency": 16}


def other_plan(number: int) -> dict[str, Any]:
    """Another question each time."""
    return {**same_plan(0), "concurrency": number % 512 + 1, "prompt_tokens": 512 + number}


def least(costs: list[Cost]) -> Cost:
    """The least of each figure."""
    return Cost(
        min(cost.start_cpu_s for cost in costs),
        min(cost.start_wall_s for cost in costs),
        min(cost.call_cpu_s for cost in costs),
        min(cost.peak_bytes for cost in costs),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 above the limits")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    bare: list[Cost] = []
    same: list[Cost] = []
    other: list[Cost] = []
    for _ in range(options.turns):
        command = [sys.executable, "-c", BARE]
        bare.append(measure(command, "add", lambda n: {"a": n, "b": 1}, options.calls))
        same.append(measure(PRODUCT, "plan_deployment", same_plan, options.calls))
        other.append(measure(PRODUCT, "plan_deployment", other_plan, options.calls))
    base, again, new = least(bare), least(same), least(other)
    product = least(same + other)
    rows = [
        ("start to tools/list, CPU s", base.start_cpu_s, product.start_cpu_s, MOST_START),
        ("start to tools/list, wall s", base.start_wall_s, product.start_wall_s, None),
        ("CPU ms, the same plan", base.call_cpu_s * 1e3, again.call_cpu_s * 1e3, MOST_CALL),
        ("CPU ms, another plan each", base.call_cpu_s * 1e3, new.call_cpu_s * 1e3, None),
        ("resident MiB", base.peak_bytes / 2**20, product.peak_bytes / 2**20, MOST_MEMORY),
    ]
    failed = False
    print(f"{'':28} {'bare':>8} {'product':>8} {'ratio':>6} {'limit':>6}")
    for name, without, with_it, limit in rows:
        ratio = with_it / without
        failed = failed or (limit is not None and ratio > limit)
        shown = "" if limit is None else f"{limit:.2f}"
        print(f"{name:28} {without:8.2f} {with_it:8.2f} {ratio:6.2f} {shown:>6}")
    return 1 if failed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
