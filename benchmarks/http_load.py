"""Many clients at once against the HTTP server's workers, on this machine only.

Every client keeps one connection and plans, over and over, another workload each time;
half of them speak 2026-07-28 and half 2025-11-25. Prints requests per second, latency,
errors, how fast /healthz answered meanwhile, and the workers' resident memory over time. With
--hostile 0.1 a tenth of the clients send what a stranger might: expressions that explode, long
logs, junk, bodies that are cut off, connections that say nothing.

usage: python benchmarks/http_load.py [--check] [--clients 64] [--seconds 60] [--workers 2]
                                      [--hostile 0.1]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-32B", "meta-llama/Llama-3.1-8B-Instruct")
# After the first quarter, in which caches fill, memory may grow by this share.
MOST_GROWTH = 0.05
_SAMPLES = 8
_MODERN = "2026-07-28"
_HANDSHAKE = "2025-11-25"


@dataclass
class Tally:
    """What happened so far."""

    latencies: list[float] = field(default_factory=list[float])
    health: list[float] = field(default_factory=list[float])
    hostile: int = 0
    errors: list[str] = field(default_factory=list[str])


def request(number: int, modern: bool) -> bytes:
    """One tools/call as it goes over the wire."""
    arguments = {
        "model": MODELS[number % len(MODELS)],
        "gpu": "H100",
        "concurrency": number % 97 + 1,
        "prompt_tokens": 256 + number % 1013,
    }
    params: dict[str, Any] = {"name": "plan_deployment", "arguments": arguments}
    headers = [f"MCP-Protocol-Version: {_MODERN if modern else _HANDSHAKE}"]
    if modern:
        prefix = "io.modelcontextprotocol/"
        params["_meta"] = {f"{prefix}protocolVersion": _MODERN, f"{prefix}clientCapabilities": {}}
        headers += ["Mcp-Method: tools/call", "Mcp-Name: plan_deployment"]
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    body = json.dumps(message).encode()
    lines = [
        "POST /mcp HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"Content-Length: {len(body)}",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and body of one answer, of known length or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status = int(head.split(" ", 2)[1])
    length = re.search(r"content-length: (\d+)", head)
    if length is not None:
        return status, await reader.readexactly(int(length[1]))
    body = b""
    while size := int((await reader.readline()).strip() or b"0", 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return status, body


async def client(port: int, first: int, until: float, tally: Tally) -> None:
    """Ask until the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = first
    while time.monotonic() < until:
        started = time.monotonic()
        writer.write(request(number, modern=first % 2 == 0))
        status, body = await asyncio.wait_for(read_answer(reader), 30)
        tally.latencies.append(time.monotonic() - started)
        if status != 200 or b'"fits":' not in body or b'"isError":true' in body:
            tally.errors.append(f"{status} {body[:200]!r}")
        number += 64
    writer.close()


_RULES = {"quant_method": "compressed-tensors", "format": "float-quantized"}
_GROUP = {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float"}}
_EXPLODING = {**_RULES, "config_groups": {"g": _GROUP}, "ignore": ["re:(([a-z0-9._]+)+)+Z"]}
_OVERRIDES = json.dumps({"quantization_config": _EXPLODING})
_CALLS: tuple[dict[str, Any], ...] = (
    {
        "name": "predict_startup",
        "arguments": {
            "command": f"vllm serve Qwen/Qwen3-8B --hf-overrides '{_OVERRIDES}'",
            "gpu": "H100",
        },
    },
    {"name": "explain_startup_log", "arguments": {"log": "ValueError: token\n" * 60_000}},
    {"name": "inspect_model", "arguments": {"model": "\x1b[31m/../../etc/passwd"}},
    {"name": "generate_artifacts", "arguments": {"profile": "[" * 100_000}},
)


def hostile_bytes(number: int) -> bytes:
    """What one hostile connection sends."""
    head = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    accept = b"Accept: application/json, text/event-stream\r\n"
    kind = number % (len(_CALLS) + 4)
    if kind < len(_CALLS):
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": _CALLS[kind]}
        body = json.dumps(message).encode()
        return head + accept + b"Content-Length: %d\r\n\r\n" % len(body) + body
    return (
        b"",
        head + b"Content-Length: 9000\r\n\r\n{",
        head + accept + b"Content-Length: 50000\r\n\r\n" + b"[" * 50_000,
        b"GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
    )[kind - len(_CALLS)]


async def hostile(port: int, first: int, until: float, tally: Tally) -> None:
    """Do harm until the time is over; how it is answered does not count."""
    number = first
    while time.monotonic() < until:
        number += 1
        tally.hostile += 1
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(hostile_bytes(number))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(100_000), 3)
            writer.close()
        except OSError:
            continue


async def probe(port: int, until: float, tally: Tally) -> None:
    """Ask whether it is healthy, ten times a second, each time by a new connection."""
    while time.monotonic() < until:
        started = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            status, _ = await asyncio.wait_for(read_answer(reader), 10)
            writer.close()
            if status != 200:
                tally.errors.append(f"healthz {status}")
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            tally.errors.append(f"healthz {error!r}")
        tally.health.append(time.monotonic() - started)
        await asyncio.sleep(0.1)


async def guarded(port: int, first: int, until: float, tally: Tally) -> None:
    """A client whose own failure is an error too."""
    try:
        await client(port, first, until, tally)
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError) as error:
        tally.errors.append(repr(error))


def workers_bytes(pid: int) -> int:
    """Resident memory of the server and the processes it started."""
    pids = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        pids += [int(child) for child in children.read_text(encoding="utf-8").split()]
    total = 0
    for each in pids:
        status = Path(f"/proc/{each}/status").read_text(encoding="utf-8")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        total += int(found[1]) * 1024 if found else 0
    return total


async def load(
    server: subprocess.Popen[str], port: int, clients: int, seconds: float, share: float
) -> int:
    """Run all clients; print the figures; returns how many limits were broken."""
    tally = Tally()
    until = time.monotonic() + seconds
    harmful = round(clients * share)
    running = [
        *(asyncio.create_task(guarded(port, n, until, tally)) for n in range(clients - harmful)),
        *(asyncio.create_task(hostile(port, n, until, tally)) for n in range(harmful)),
        asyncio.create_task(probe(port, until, tally)),
    ]
    memory: list[int] = []
    for _ in range(_SAMPLES):
        await asyncio.sleep(seconds / _SAMPLES)
        memory.append(workers_bytes(server.pid))
    await asyncio.gather(*running)
    latencies = sorted(tally.latencies)
    p50, p99 = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
    growth = memory[-1] / memory[_SAMPLES // 4 - 1] - 1
    print(f"{clients} clients, {seconds:g} s: {len(latencies)} requests", end=", ")
    print(f"{len(latencies) / seconds:.0f}/s, p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms")
    health = sorted(tally.health)
    print(f"hostile: {tally.hostile}", end="; ")
    print(f"healthz p50 {health[len(health) // 2] * 1e3:.0f} ms", end=", ")
    print(f"p99 {health[len(health) * 99 // 100] * 1e3:.0f} ms, most {health[-1] * 1e3:.0f} ms")
    print("resident MiB: " + " ".join(f"{bytes_ / 2**20:.0f}" for bytes_ in memory), end="")
    print(f" ({growth:+.1%} after the first quarter)")
    print(f"errors: {len(tally.errors)}")
    for error in tally.errors[:5]:
        print(f"  {error}")
    return bool(tally.errors) + (growth > MOST_GROWTH)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 on errors or growth")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hostile", type=float, default=0.0, metavar="SHARE")
    options = parser.parse_args()
    command = [sys.executable, "-m", "vllm_preflight_server.cli", "serve", "--http"]
    command += ["--port", "0", "--workers", str(options.workers)]
    server = subprocess.Popen(
        command,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        found = re.search(r":(\d+)/mcp", server.stderr.readline())
        assert found is not None
        # Workers listen a moment after the address is printed.
        time.sleep(5)
        broken = asyncio.run(
            load(server, int(found[1]), options.clients, options.seconds, options.hostile)
        )
    finally:
        server.terminate()
        server.wait(30)
    return 1 if broken and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
