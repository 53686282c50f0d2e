"""The pages' examples run, their links and paths lead somewhere, and commands are as listed."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "AGENTS.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "STABILITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# Where a path on a page may begin, so that rooms can be named in short.
HOUSES = (ROOT, ROOT / "planner/vllm_preflight", ROOT / "server/vllm_preflight_server")
COMMAND = re.compile(r"^(?:    )?(vllm-preflight .+)$", re.M)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
PROFILE = re.compile(r"^    vllm_preflight_profile:.*\n(?:    .*\n)+", re.M)
SCRIPTS = Path(sys.executable).parent


def commands(page: Path) -> list[str]:
    """The product's commands in a page's blocks, each on one line."""
    return COMMAND.findall(page.read_text(encoding="utf-8").replace("\\\n", " "))


COMMANDS = [
    pytest.param(line, id=f"{page.stem}: {line[:50]}") for page in PAGES for line in commands(page)
]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 4


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_page_runs(line: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "examples/prices.example.json", tmp_path / "prices.json")
    shutil.copy(ROOT / "examples/deployment.example.yaml", tmp_path / "deployment.yaml")
    program, *words = shlex.split(line)
    if words[0] == "serve":
        # A server does not end by itself: its options are looked up instead.
        options = {word for word in words if word.startswith("--")}
        words = ["serve", "--help"]
    else:
        options = set[str]()
    done = run(tmp_path, str(SCRIPTS / program), *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [option for option in options if option not in done.stdout] == []


def test_the_profile_of_the_page_is_planned(tmp_path: Path) -> None:
    found = PROFILE.search((ROOT / "docs/artifacts.md").read_text(encoding="utf-8"))
    assert found is not None
    (tmp_path / "profile.yaml").write_text(textwrap.dedent(found[0]), encoding="utf-8")
    done = run(tmp_path, str(SCRIPTS / "vllm-preflight"), "plan", "--profile", "profile.yaml")
    assert "vllm serve Qwen/Qwen3-32B" in done.stdout, done.stderr


def test_the_library_answers_what_the_command_does(tmp_path: Path) -> None:
    page = ROOT / "docs/architecture.md"
    (program,) = PYTHON.findall(page.read_text(encoding="utf-8"))
    (command,) = commands(page)
    library = run(tmp_path, sys.executable, "-c", program)
    assert library.returncode == 0, library.stderr
    tokens, _, serve = library.stdout.strip().partition(" ")
    printed = run(tmp_path, str(SCRIPTS / "vllm-preflight"), *shlex.split(command)[1:]).stdout
    assert f"{int(tokens):,}" in printed
    assert serve in printed


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        (0, "starts, and holds all 16 requests"),
        (1, "unknown_gpu No GPU called"),
        (2, "H100 SXM5 80GB carries"),
    ],
)
def test_a_program_of_the_library_page_runs(number: int, printed: str, tmp_path: Path) -> None:
    programs = PYTHON.findall((ROOT / "docs/library.md").read_text(encoding="utf-8"))
    assert len(programs) == 3
    done = run(tmp_path, sys.executable, "-W", "error", "-c", programs[number])
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("name", ["AGENTS.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_lead_to_files(name: str) -> None:
    quoted = re.findall(r"`([\w./-]+)`", (ROOT / name).read_text(encoding="utf-8"))
    paths = [path for path in quoted if "/" in path]
    assert paths
    assert [p for p in paths if not any((house / p).exists() for house in HOUSES)] == []


def test_the_way_of_a_question_is_ten_lines_and_ten_changes_have_a_place() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    assert re.findall(r"^(\d+)\. ", page, re.M) == [str(number) for number in range(1, 11)]
    assert len(re.findall(r"^\| an? ", page, re.M)) == 10


def test_agents_are_told_every_target_in_the_order_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):  ##", makefile, re.M)
    told = re.findall(r"^\d+\. `make (\w+)`", (ROOT / "AGENTS.md").read_text("utf-8"), re.M)
    assert told == [target for target in targets if target != "help"]
    assert len(told) == 10
    named = re.findall(r"(?:scripts|benchmarks|tests)/\w+\.py|\.ci/run", makefile)
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_understands_every_target() -> None:
    listed = run(ROOT, "make").stdout.splitlines()
    assert len(listed) == 11
    for line in listed:
        done = run(ROOT, "make", "--dry-run", line.split()[0])
        assert done.returncode == 0, done.stderr


def test_hooks_are_local_and_name_what_there_is() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repository["repo"] for repository in config["repos"]] == ["local"]
    for hook in config["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        program, *arguments = hook["entry"].split()
        assert program.startswith(".venv/bin/")
        name = program.removeprefix(".venv/bin/")
        assert (SCRIPTS / name).exists(), hook["id"]
        paths = [word for word in arguments if "/" in word]
        assert [path for path in paths if not (ROOT / path).is_file()] == []
