"""What is published: registry entry, container and bundle agree with the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from scripts.build_bundle import manifest

from vllm_preflight_server.mcp.tools import TOOLS

ROOT = Path(__file__).resolve().parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")

with_mcpb = pytest.mark.skipif(
    not (ROOT / "app" / "node_modules" / ".bin" / "mcpb").exists(),
    reason="the packages of app/ are not installed",
)


def test_the_registry_takes_the_entry() -> None:
    assert SERVER["$schema"].endswith("/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert 1 <= len(SERVER["description"]) <= 100 and 1 <= len(SERVER["title"]) <= 100
    known = {"$schema", "name", "title", "description", "version", "packages"}
    assert set(SERVER) <= known


def test_the_entry_is_this_release() -> None:
    (package,) = SERVER["packages"]
    assert SERVER["version"] == package["version"] == PROJECT["version"]
    assert package["registryType"] == "pypi" and package["identifier"] == PROJECT["name"]
    # Clients start the script that is called like the package.
    assert package["identifier"] in PROJECT["scripts"]
    assert [word["value"] for word in package["packageArguments"]] == ["serve"]
    assert package["transport"] == {"type": "stdio"}


def test_the_readme_names_the_entry() -> None:
    readme = (ROOT / PROJECT["readme"]).read_text(encoding="utf-8")
    assert f"<!-- mcp-name: {SERVER['name']} -->" in readme


def test_the_container_is_small_and_unprivileged() -> None:
    instructions = [line for line in DOCKERFILE.splitlines() if line[:1].isupper()]
    lines = [(line.partition(" ")[0], line.partition(" ")[2]) for line in instructions]
    last = dict(lines)
    image, _, digest = last["FROM"].partition("@sha256:")
    assert image.startswith("python:") and image.endswith("-slim")
    assert len(digest) == 64 and DOCKERFILE.count(f"@sha256:{digest}") == 2
    assert last["USER"].isdigit() and int(last["USER"]) > 0
    assert json.loads(last["ENTRYPOINT"]) == [PROJECT["name"], "serve"]
    order = [word for word, _ in lines]
    assert order.index("USER") < order.index("ENTRYPOINT")
    assert f'io.modelcontextprotocol.server.name="{SERVER["name"]}"' in DOCKERFILE
    assert "pip install --no-cache-dir --compile" in DOCKERFILE


def test_the_container_copies_what_there_is() -> None:
    copied = [line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY")]
    sources = {word for words in copied for word in words if not word.startswith(("--", "/"))}
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for source in sources:
        assert (ROOT / source).exists() and f"!{source}" in allowed


@with_mcpb
def test_the_bundle_holds_a_server_that_runs(tmp_path: Path) -> None:
    build = [sys.executable, ROOT / "scripts" / "build_bundle.py", "--out", tmp_path]
    subprocess.run(build, check=True, capture_output=True)
    (bundle,) = tmp_path.glob("*.mcpb")
    unpacked = tmp_path / "unpacked"
    with zipfile.ZipFile(bundle) as archive:
        archive.extractall(unpacked)
    manifest = json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["version"] == PROJECT["version"]
    assert (unpacked / manifest["icon"]).stat().st_size > 1000
    assert (unpacked / manifest["server"]["entry_point"]).exists()
    question = '{"model": "Qwen/Qwen3-8B", "gpu": "H100"}'
    folders = f"{unpacked / 'planner'}{os.pathsep}{unpacked / 'server'}"
    code = (
        "import sys, vllm_preflight, vllm_preflight_server.pages.page as page; "
        f"assert vllm_preflight.__file__.startswith({str(unpacked)!r}); "
        "assert page.page_html(); "
        "from vllm_preflight_server.cli.main import main; "
        f"sys.exit(main(['call', 'plan_deployment', {question!r}]))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": folders, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=True,
        cwd=tmp_path,
    )
    assert json.loads(answer.stdout)["feasibility"]["fits"]


def test_the_bundle_lists_every_tool() -> None:
    tools = manifest()["tools"]
    assert [tool["name"] for tool in tools] == [spec.name for spec in TOOLS]
    assert all(len(tool["description"]) < 300 for tool in tools)


def test_the_classifiers_are_the_pythons_that_are_tried() -> None:
    prefix = "Programming Language :: Python :: 3."
    named = {c.removeprefix(prefix) for c in PROJECT["classifiers"] if c.startswith(prefix)}
    script = (ROOT / "scripts" / "check_pythons.sh").read_text(encoding="utf-8")
    tried = re.search(r"^for version in ([\d. ]+); do$", script, re.MULTILINE)
    assert tried is not None
    # The oldest runs all tests.
    oldest = PROJECT["requires-python"].removeprefix(">=3.")
    assert named <= {oldest, *(version.removeprefix("3.") for version in tried[1].split())}
    assert oldest in named


@pytest.mark.skipif(shutil.which("uvx") is None, reason="uv is not installed")
def test_uvx_runs_the_project_on_what_is_built_in(tmp_path: Path) -> None:
    # uv builds a folder again only when its pyproject.toml changes, or when it is told to.
    command = ["uvx", "--refresh-package", PROJECT["name"], "--from", str(ROOT), PROJECT["name"]]
    done = subprocess.run(
        [*command, "plan", "Qwen/Qwen3-32B", "--gpu", "H100", "--concurrency", "16"],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": "", "UV_HTTP_TIMEOUT": "30"},
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
    )
    if done.returncode == 2 and re.search(r"Failed to (?:fetch|download)", done.stderr):
        pytest.skip("no package index is reached")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Qwen/Qwen3-32B on 1 × H100") and "vllm serve" in done.stdout
