"""Every answer is a result or a sentence, whatever is asked; nothing else happens.

20,000 argument sets in process and 2,000 over stdio, made from the tools' schemas. While
they run, files are read only in the model's folder and in this installation, and no
address but the Hub's is looked up.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from huggingface_hub import close_session, constants
from mcp.types import CallToolResult, ImageContent, TextContent
from tests.server.arguments import MODELS, Arguments

import vllm_preflight
import vllm_preflight_server
from vllm_preflight_server.mcp.tool import PlannerTool, make_tool
from vllm_preflight_server.mcp.tools import TOOLS
from vllm_preflight_server.pages.figures import capacity, memory

IN_PROCESS = 20_000
OVER_STDIO = 2_000
# A search over all GPUs or models is many plans; it gets this many sets, the others share
# the rest.
FEWER = {"compare_hardware": 150, "find_models": 30}
# Of CPU, since the machine may be busy with something else; a wait is ended by the limit.
# A busy machine makes a second of work several of CPU.
LONGEST_S = 8.0
LIMIT_S = 20.0

_watched: list[str] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event in ("open", "os.listdir", "os.scandir"):
        place = arguments[0] if arguments else None
        if isinstance(place, str | bytes):
            _watched.append(os.path.abspath(os.fsdecode(place)))


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A model's folder, beside files that are nobody's business."""
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    folder = tmp_path / "model"
    folder.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "num_hidden_layers": 8,
        "vocab_size": 32000,
        "max_position_embeddings": 8192,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[set[str]]:
    """The hosts that are asked for; there is no network, and the Hub is switched on."""
    hosts: set[str] = set()

    def refuse(host: Any, *_: Any, **__: Any) -> Any:
        hosts.add(host if isinstance(host, str) else repr(host))
        raise socket.gaierror(-3, "no network here")

    def refuse_connection(_: socket.socket, address: Any) -> Any:
        refuse(address[0] if isinstance(address, tuple) else address)

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse_connection)
    # Ray looks for clusters among the machine's processes.
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "cache" / "token"))
    yield hosts
    close_session()


@pytest.fixture
def read_files() -> Iterator[list[str]]:
    """The files and folders opened while the test runs."""
    global _watched
    sys.addaudithook(_audit)
    _watched = []
    yield _watched
    _watched = None


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures worked out but not drawn: matplotlib takes its time, and reads its fonts."""

    def draw(answer: Mapping[str, Any]) -> bytes | None:
        bar = memory(answer)
        capacity(answer)
        return None if bar is None else b"PNG"

    monkeypatch.setattr("vllm_preflight_server.pages.drawing.draw_png", draw)


def shares(total: int) -> dict[str, int]:
    """How many sets each tool gets of at least `total`."""
    fewer = {name: count * total // IN_PROCESS for name, count in FEWER.items()}
    rest = [spec.name for spec in TOOLS if spec.name not in fewer]
    each = -(-(total - sum(fewer.values())) // len(rest))
    return {**dict.fromkeys(rest, each), **fewer}


class _Context:
    """As much of a request as a tool uses."""

    async def report_progress(self, *_: Any) -> None:
        """Nobody asked for progress."""


def _check(tool: PlannerTool, result: CallToolResult, whole: bool) -> None:
    content, *images = result.content
    assert isinstance(content, TextContent)
    assert all(isinstance(image, ImageContent) for image in images)
    assert len(images) <= (0 if result.is_error else 1)
    assert content.text.strip()
    assert "Traceback" not in content.text
    if result.is_error:
        assert "internal error" not in content.text
        assert len(content.text.split()) >= 4
        assert len(content.text) <= 2_000
        assert result.structured_content is None
    elif whole:
        jsonschema.validate(result.structured_content, tool.output_schema or {})


@pytest.mark.usefixtures("undrawn")
@pytest.mark.no_cover  # Counting lines would take longer than running them.
def test_every_argument_set_is_answered(
    model_folder: Path, looked_up: set[str], read_files: list[str]
) -> None:
    tools = [make_tool(spec, LIMIT_S) for spec in TOOLS]
    counts = shares(IN_PROCESS)
    errors = 0

    async def ask_all() -> None:
        nonlocal errors
        for tool in tools:
            models = (*MODELS, str(model_folder))
            stream = Arguments(tool.parameters, seed=20261124, models=models)
            for number, arguments in enumerate(stream.sets(counts[tool.name])):
                started = time.process_time()
                result = await tool.run(arguments, _Context())
                taken = time.process_time() - started
                try:
                    assert taken <= LONGEST_S
                    _check(tool, result, whole=number % 20 == 0)
                except Exception as error:
                    raise AssertionError(f"{tool.name}({arguments!r:.2000})") from error
                errors += result.is_error

    anyio.run(ask_all)
    # Neither may be what nearly every set ends as.
    assert 0.2 < errors / sum(counts.values()) < 0.9
    assert looked_up <= {"huggingface.co"}
    own = [
        str(model_folder),
        str(model_folder.parent / "cache"),
        *(str(Path(package.__path__[0])) for package in (vllm_preflight, vllm_preflight_server)),
        sys.prefix,
        sys.base_prefix,
        sysconfig.get_path("stdlib"),
        "/dev/null",
        # The Hub's client makes ids and locks with them.
        "/proc/sys/kernel/random/boot_id",
        "/proc/self/mountinfo",
    ]
    # Importing a module lists the folders of the path, the current one among them.
    listed = {place or str(Path.cwd()) for place in sys.path}
    stray = {place for place in read_files if not place.startswith(tuple(own))} - listed
    assert stray == set()


@pytest.mark.parametrize("text", ["[" * 99_999, '{"a":' * 19_999])
def test_deeply_nested_json_as_text_is_answered(text: str) -> None:
    # Arguments that are JSON text are parsed, and these exceed what the parser takes.
    (spec,) = (spec for spec in TOOLS if spec.name == "predict_startup")
    tool = make_tool(spec)
    result = anyio.run(tool.run, {"command": text, "gpu": "H100"}, _Context())
    assert result.is_error
    _check(tool, result, whole=False)


def test_every_argument_set_is_answered_over_stdio(model_folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "vllm_preflight_server.cli", "serve"],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    answers = 0

    def ask(message: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        while True:
            line = process.stdout.readline()
            assert line, "the server left"
            answer = json.loads(line)
            if answer.get("id") == message["id"]:
                return answer

    hello = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "fuzz", "version": "1"},
    }
    ask({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": hello})
    process.stdin.write('{"jsonrpc": "2.0", "method": "notifications/initialized"}\n')
    counts = shares(OVER_STDIO)
    for spec in TOOLS:
        tool = make_tool(spec)
        models = (*MODELS, str(model_folder))
        stream = Arguments(tool.parameters, seed=7, models=models, finite=True)
        for number, arguments in enumerate(stream.sets(counts[spec.name])):
            started = time.monotonic()
            params = {"name": spec.name, "arguments": arguments}
            message = {"jsonrpc": "2.0", "id": f"{spec.name}-{number}", "method": "tools/call"}
            answer = ask({**message, "params": params})
            assert time.monotonic() - started < LIMIT_S
            assert "result" in answer, (arguments, answer)
            _check(tool, CallToolResult.model_validate(answer["result"]), whole=False)
            answers += 1
    assert answers >= OVER_STDIO
    output, logged = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output == ""
    assert "Traceback" not in logged
