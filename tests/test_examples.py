"""The examples run and say what they promise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
PROGRAMS = (".py", ".ts", ".sh", ".ipynb")
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
    assert re.search(r"^  starts with .*--max-model-len \d+['\"]\}$", printed, re.MULTILINE)
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


def test_a_controller_is_told_how_many_gpus() -> None:
    found = json.loads(run(sys.executable, EXAMPLES / "provision.py", "Qwen/Qwen3-32B", "L40S"))
    assert (found["gpus"], found["gpu"]) == (2, "L40S")
    assert found["args"][0] == "Qwen/Qwen3-32B"


def test_a_sweep_becomes_a_table() -> None:
    lines = run(sys.executable, EXAMPLES / "sweep_pandas.py").splitlines()
    assert lines[0].split()[1:] == ["RTX", "4090", "L40S", "H100"]
    assert lines[-1].split()[0] == "openai/gpt-oss-120b"
    assert lines[-1].split()[-1] == "carries"


def test_the_notebook_runs_and_shows_its_answers() -> None:
    program = (
        "import json, nbformat, nbclient, sys\n"
        "notebook = nbformat.read(sys.argv[1], as_version=4)\n"
        "nbclient.NotebookClient(notebook, timeout=60).execute()\n"
        "print(json.dumps([cell.get('outputs', []) for cell in notebook.cells]))\n"
    )
    printed = run(sys.executable, "-c", program, EXAMPLES / "notebook.ipynb")
    outputs = [output for cell in json.loads(printed) for output in cell]
    shown = [output["data"] for output in outputs if "data" in output]
    assert any("<table>" in data.get("text/html", "") for data in shown)
    assert "starts, and holds all 16 requests" in printed


def test_every_example_is_tried() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.suffix in PROGRAMS} == {
        "notebook.ipynb",
        "plan.py",
        "plan.ts",
        "provision.py",
        "smallest_gpu.sh",
        "sweep_pandas.py",
    }
