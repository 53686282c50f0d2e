"""Shell files, by running them in a real shell with what they call replaced."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.shell_files import (
    bench_script,
    bench_words,
    comment,
    docker_script,
    docker_words,
    environment_file,
    serve_script,
)

from .conftest import deployment

Start = Callable[[list[int], int], str]
SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")


def run(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = folder / "script.sh"
    path.write_text(script, encoding="utf-8")
    for name in ("vllm", "docker"):
        stub = folder / name
        stub.write_text('#!/bin/sh\nprintf "%s\\0" "$0" "$@"\n', encoding="utf-8")
        stub.chmod(0o755)
    return subprocess.run(
        ["bash", str(path), *arguments],
        capture_output=True,
        encoding="utf-8",
        timeout=20,
        check=False,
        env={**os.environ, "HOME": str(folder), "PATH": f"{folder}:{os.environ['PATH']}"},
    )


def words_given(script: str, folder: Path, *arguments: str) -> list[str]:
    done = run(script, folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\0")[1:-1]


def test_the_shell_gives_vllm_the_words_of_the_plan(hostile: Deployment, tmp_path: Path) -> None:
    given = words_given(serve_script(hostile), tmp_path, "--api-key", "a b")
    assert given == ["serve", *hostile.serve_words(), "--api-key", "a b"]


def test_the_shell_gives_docker_the_words_of_the_plan(hostile: Deployment, tmp_path: Path) -> None:
    given = words_given(docker_script(hostile), tmp_path)
    cache = tmp_path / ".cache" / "huggingface"
    assert given == docker_words(hostile, "vllm.env", str(cache))[1:]
    assert cache.is_dir()
    assert given[-len(hostile.serve_words(port=8000)) :] == list(hostile.serve_words(port=8000))


def test_scripts_pass_shellcheck(everything: Deployment, tmp_path: Path) -> None:
    assert SHELLCHECK is not None
    for name, text in {
        "serve.sh": serve_script(everything),
        "docker-run.sh": docker_script(everything),
        "bench.sh": bench_script(everything),
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    # 1003 and 1078 remark on quotes and newlines in words, which are those of the names.
    done = subprocess.run(
        [SHELLCHECK, "--exclude=SC1003,SC1078,SC2016", "serve.sh", "docker-run.sh", "bench.sh"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout


def test_the_environment_file_has_plain_assignments_only() -> None:
    lines = environment_file(deployment()).splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["HF_TOKEN="]


def test_a_comment_is_one_line_whatever_it_says() -> None:
    assert comment("a\nrm -rf /\r\x00\x1b[31m b") == "# a rm -rf / [31m b\n"


def test_the_port_is_published_to_this_machine_only() -> None:
    assert "127.0.0.1:8000:8000" in docker_words(deployment(), "vllm.env", "/cache")


def test_the_benchmark_is_of_the_plans_workload() -> None:
    words = bench_words(deployment(concurrency=100), "http://x")
    pairs = dict(itertools.pairwise(words))
    assert pairs["--random-input-len"] == "512"
    assert pairs["--random-output-len"] == "128"
    assert pairs["--max-concurrency"] == "100"
    assert pairs["--num-prompts"] == "400"


def test_the_benchmark_asks_for_the_served_name() -> None:
    for extra in (("--served_model_name", "a", "b"), ("--served-model-name=a",)):
        words = bench_words(deployment(extra=extra), "http://x")
        assert dict(itertools.pairwise(words))["--served-model-name"] == "a"
    assert "--served-model-name" not in bench_words(deployment(), "http://x")


def test_further_words_follow_the_plans(tmp_path: Path) -> None:
    added = deployment(extra=("--reasoning-parser", "qwen3"))
    assert added.serve_words()[-2:] == ("--reasoning-parser", "qwen3")
    given = words_given(serve_script(added), tmp_path)
    assert given == ["serve", *added.serve_words()]


class Metrics(BaseHTTPRequestHandler):
    """A server's /metrics, whose preemptions grow by `step` with each reading."""

    def __init__(self, blocks: list[int], step: int, *args: object) -> None:
        self.blocks, self.step = blocks, step
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        server = self.server
        count = getattr(server, "count", 0) + self.step
        setattr(server, "count", count)  # noqa: B010
        lines = [
            f'vllm:cache_config_info{{block_size="16",engine="{engine}",num_gpu_blocks="{blocks}",'
            'num_gpu_blocks_override="None"} 1.0'
            for engine, blocks in enumerate(self.blocks)
        ]
        lines.append(f'vllm:num_preemptions_total{{model_name="a b",engine="0"}} {count}.0')
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("# HELP x\n" + "\n".join(lines) + "\n").encode())

    def log_message(self, format: str, *args: object) -> None:
        del format, args


@pytest.fixture
def serve_metrics() -> Iterator[Start]:
    servers: list[ThreadingHTTPServer] = []

    def start(blocks: list[int], step: int) -> str:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Metrics, blocks, step))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    ("blocks", "step", "kept"),
    [([1000], 0, True), ([1200, 1000], 0, True), ([1200, 999], 0, False), ([1000], 1, False)],
)
def test_the_benchmark_fails_where_the_promise_is_broken(
    serve_metrics: Start, tmp_path: Path, blocks: list[int], step: int, kept: bool
) -> None:
    url = serve_metrics(blocks, step)
    done = run(bench_script(deployment(kv_cache_blocks=1000)), tmp_path, url)
    assert (done.returncode == 0) is kept, done.stdout + done.stderr
    assert f"{url}\0" in done.stdout
    assert f"KV cache: {min(blocks)} blocks, promised: 1000" in done.stdout
    words = done.stdout.split("\0")
    # Seconds since 1970, as bash's date says them: another seed with each run.
    assert int(words[words.index("--seed") + 1].split("\n")[0]) > 1_700_000_000
