"""Bad lines are answered, and a client that does not read is not read either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.server.hostile.conftest import SERVE, Stdio

from vllm_preflight_server.mcp.stdio import MOST_MESSAGE_BYTES

PARSE, INVALID, UNKNOWN = -32700, -32600, -32601
LINES: dict[str, tuple[bytes, object, int]] = {
    "other version": (b'{"jsonrpc":"1.0","id":5,"method":"tools/list"}', 5, INVALID),
    "no version": (b'{"id":"a","method":"tools/list"}', "a", INVALID),
    "params of a list": (b'{"jsonrpc":"2.0","id":6,"method":"a","params":[1]}', 6, INVALID),
    "no method": (b'{"jsonrpc":"2.0","id":8}', 8, INVALID),
    "method of a number": (b'{"jsonrpc":"2.0","id":8,"method":1}', 8, INVALID),
    "unknown method": (b'{"jsonrpc":"2.0","id":9,"method":"no/such"}', 9, UNKNOWN),
    "fraction as id": (b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}', None, INVALID),
    "null as id": (b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}', None, INVALID),
    "object as id": (b'{"jsonrpc":"2.0","id":{},"method":"tools/list"}', None, INVALID),
    "surrogate as id": (b'{"jsonrpc":"2.0","id":"\\ud800","method":"a"}', "\ud800", INVALID),
    "batch": (b'[{"jsonrpc":"2.0","id":7,"method":"tools/list"}]', None, INVALID),
    "number": (b"5", None, INVALID),
    "no json": (b"not json", None, PARSE),
    "cut": (b'{"jsonrpc":"2.0","id":3,"method":"too', None, PARSE),
    "no text": (b"\xff\xfe\x00", None, PARSE),
    "brackets": (b"[" * 100_000, None, PARSE),
    "digits": (b'{"jsonrpc":"2.0","id":' + b"9" * 100_000 + b"}", None, PARSE),
    "too long": (
        b'{"jsonrpc":"2.0","id":10,"method":"a","params":{"b":"'
        + b"x" * MOST_MESSAGE_BYTES
        + b'"}}',
        10,
        INVALID,
    ),
    "too long, id last": (
        b'{"jsonrpc":"2.0","params":{"b":"' + b"x" * MOST_MESSAGE_BYTES + b'"},"id":"z"}',
        "z",
        INVALID,
    ),
}


@pytest.mark.parametrize("kind", LINES)
def test_a_bad_line_is_answered_with_its_id(stdio: Stdio, kind: str) -> None:
    line, number, code = LINES[kind]
    stdio.send(line)
    answer = stdio.receive()
    assert answer["id"] == number
    assert answer["error"]["code"] == code
    assert stdio.ask("ping")["result"] == {}


def test_a_client_that_does_not_read_is_not_read(tmp_path: Path) -> None:
    server = Stdio()
    assert server.process.stdin is not None and server.process.stdout is not None
    pipe = server.process.stdin.fileno()
    before = _resident(server.process.pid)
    os.set_blocking(pipe, False)
    asked, idle_since = 0, time.monotonic()
    while time.monotonic() - idle_since < 3:
        line = b'{"jsonrpc":"2.0","id":"%07d","method":"tools/list"}\n' % asked
        try:
            # Lines this short go whole or not at all.
            os.write(pipe, line)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            asked, idle_since = asked + 1, time.monotonic()
    assert asked < 4_000
    assert _resident(server.process.pid) < before + 60 * 2**20
    os.set_blocking(pipe, True)
    output, errors = server.process.communicate(timeout=600)
    numbers = {json.loads(line)["id"] for line in output.splitlines()}
    assert len(numbers) == asked
    assert errors == b""


def _resident(pid: int) -> int:
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_a_client_that_closes_the_output_ends_the_server() -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        SERVE, stdin=subprocess.PIPE, stdout=writer, stderr=subprocess.PIPE, env=os.environ
    )
    os.close(writer)
    os.close(reader)
    _, errors = process.communicate(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n', timeout=300)
    assert process.returncode == 0
    assert b"Traceback" not in errors
    assert len(errors.splitlines()) == 1


def test_calls_before_the_end_of_input_are_answered() -> None:
    calls = [
        {
            "jsonrpc": "2.0",
            "id": number,
            "method": "tools/call",
            "params": {"name": "compute_overhead", "arguments": {"vram_total_gib": 80}},
        }
        for number in range(20)
    ]
    start = {
        "jsonrpc": "2.0",
        "id": "start",
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    lines = "".join(json.dumps(message) + "\n" for message in [start, *calls])
    ended = subprocess.run(
        SERVE, input=lines.encode(), capture_output=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stderr
    answered = {json.loads(line)["id"] for line in ended.stdout.splitlines()}
    assert answered == {"start", *range(20)}
    assert sys.executable in SERVE
