"""The examples run and say what they promise."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
PROGRAMS = (".py", ".ts", ".sh")
NODE_CLIENTS = ROOT / "tests" / "node" / "node_modules"


def run(*command: str | Path) -> str:
    """What an example prints, with the installed command first on PATH and no network."""
    scripts = Path(sys.executable).parent
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_answers(printed: str) -> None:
    lines = printed.splitlines()
    assert lines[0].startswith("starts, and holds all 64 requests")
    assert lines[1].startswith("vllm serve Qwen/Qwen3-32B ")
    assert lines[2].startswith("does not start: To serve at least one request")
    assert re.search(r"^  starts with --max-model-len \d+$", printed, re.MULTILINE)
    assert re.search(r"^L40S: [\d,]+ tokens of KV cache$", printed, re.MULTILINE)
    assert 'H1000: No GPU called "H1000"' in lines[-1]


def test_python_client() -> None:
    assert_answers(run(sys.executable, EXAMPLES / "plan.py"))


def runs_typescript() -> bool:
    node = shutil.which("node")
    if node is None or not NODE_CLIENTS.is_dir():
        return False
    version = subprocess.run([node, "--version"], capture_output=True, encoding="utf-8").stdout
    return int(version.strip("v\n").partition(".")[0]) >= 24


@pytest.mark.skipif(not runs_typescript(), reason="Node 24 and tests/node are not installed")
def test_typescript_client(tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(NODE_CLIENTS)
    example = shutil.copy(EXAMPLES / "plan.ts", tmp_path)
    assert_answers(run("node", "--disable-warning=ExperimentalWarning", example))


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_shell() -> None:
    lines = run("bash", EXAMPLES / "smallest_gpu.sh", "Qwen/Qwen3-32B", "16").splitlines()
    assert [line.partition(": ")[0] for line in lines[:4]] == [
        "RTX 4090",
        "L40S",
        "A100 80GB",
        "",
    ]
    assert lines[1].startswith("L40S: does not start") and "A100 80GB: starts" in lines[2]
    assert lines[-1].startswith("vllm serve Qwen/Qwen3-32B ")


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in PROGRAMS} == {
        "plan.py",
        "plan.ts",
        "smallest_gpu.sh",
    }
