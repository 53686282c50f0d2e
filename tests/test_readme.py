"""The README shows what the commands print now."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_generated_parts_are_current(repository: Path) -> None:
    run = subprocess.run(
        [sys.executable, "scripts/build_readme.py", "--check"],
        cwd=repository,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_links_lead_to_files(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    targets = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert targets
    assert [link for link in targets if not (repository / link).exists()] == []


def test_both_commands_are_one_line_from_nothing(repository: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert len(lines) == 2
    plan, tests = lines
    assert ".venv/bin/vllm-preflight plan " in plan
    assert tests.endswith(".venv/bin/pytest -q -n 2")
