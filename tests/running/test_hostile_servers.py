"""What answers at --url may be anything: it is read within limits and ends in a sentence."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterable

import pytest
from tests.running.conftest import Serve, models, version

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.text import is_clean
from vllm_preflight.questions.running import explain_running
from vllm_preflight.running import fetch


def _answers(parts: Callable[[], Iterable[bytes]]) -> str:
    """The address of a server that says this to whoever connects, however slowly."""
    listening = socket.create_server(("127.0.0.1", 0))

    def speak() -> None:
        connection, _ = listening.accept()
        with connection, listening:
            connection.recv(4096)
            for part in parts():
                try:
                    connection.sendall(part)
                except OSError:
                    return
                time.sleep(0.05)

    threading.Thread(target=speak, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
SLOW: dict[str, Callable[[], Iterable[bytes]]] = {
    "body": lambda: itertools.chain([_HEAD], itertools.repeat(b"x")),
    "headers": lambda: itertools.chain([b"HTTP/1.1 200 OK\r\nA:"], itertools.repeat(b"x")),
    "continue": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_an_answer_that_trickles_in_ends(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "WHOLE_S", 0.5)
    with pytest.raises(InvalidRequest, match=r"took longer than 0\.5 s"):
        explain_running(_answers(SLOW[kind]))


@pytest.mark.parametrize(
    "labels",
    [
        'num_gpu_blocks="²",block_size="²"',
        f'num_gpu_blocks="{"9" * 5_000}",block_size="16"',
        f'num_gpu_blocks="5",block_size="{"9" * 5_000}"',
        f'num_gpu_blocks="{"9" * 3_000}",block_size="{"9" * 3_000}"',
        'num_gpu_blocks="0",block_size="0"',
        'gpu_memory_utilization="inf",cache_dtype="\x1b[31m"',
        'num_gpu_blocks="5",block_size="\x1b]0;x\x07\u202e"',
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_labels_of_any_kind_are_read(labels: str, serve: Serve) -> None:
    metrics = f"vllm:cache_config_info{{{labels}}} 1.0\nvllm:num_requests_running nan\n"
    texts = {
        "/version": version("0.10.0\x1b[31m" + "9" * 5_000),
        "/v1/models": models("Qwen/Qwen3-8B", 32_768),
        "/metrics": metrics,
    }
    report = explain_running(serve(texts), overrides={"gpu": "H100"})
    told = json.dumps(report.to_json_dict(), ensure_ascii=False)
    assert is_clean(told)
    assert report.vllm_version is not None and len(report.vllm_version) <= 60
