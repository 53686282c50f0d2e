"""The live page: served with a strict policy, and used as people use it in Chromium."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.server.conftest import Cli

from vllm_preflight_server.mcp.app import make_tools
from vllm_preflight_server.web.api import api_app
from vllm_preflight_server.web.warm import WarmUp
from vllm_preflight_server.web.worker import transport_security

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# What the stories' piece of work takes where nothing else runs.
IDLE_PACE_MS = 12
READY = (
    CHROMIUM is not None
    and shutil.which("node") is not None
    and (ROOT / "app/node_modules/puppeteer-core").is_dir()
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The page, served by `vllm-preflight ui` on a free port."""
    command = [sys.executable, "-m", "vllm_preflight_server.cli", "ui", "--no-open"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    found = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
    try:
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_stop_is_heeded_from_the_first_moment() -> None:
    command = [sys.executable, "-m", "vllm_preflight_server.cli", "ui", "--no-open"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    process.stderr.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_the_page_may_run_its_own_script_alone() -> None:
    tools = make_tools()
    app = api_app(tools, transport_security(()), WarmUp(tools))
    with TestClient(app, base_url="http://localhost:8765") as client:
        page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy and "default-src 'none'" in policy
    assert page.text.count("<script>") == 1
    # Nothing of elsewhere: no address but those of the libraries' licences.
    assert not re.search(r"""(?:src|href)=["']https?://""", page.text)


@pytest.fixture(scope="module")
def told(address: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """What the stories printed, and the folder of their pictures and saved files."""
    if not READY:
        pytest.skip("Node, Chromium or the packages of app/ are not installed")
    folder = tmp_path_factory.mktemp("stories")
    done = subprocess.run(
        ["node", str(ROOT / "app/test/stories.mjs"), address, str(folder)],
        env={"PATH": f"{Path(shutil.which('node') or '').parent}", "CHROMIUM": str(CHROMIUM)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines(), folder


def test_people_and_their_stories(told: tuple[list[str], Path]) -> None:
    lines, folder = told
    assert [line.removeprefix("ok ") for line in lines if line.startswith("ok ")] == [
        "hobbyist",
        "platformTeam",
        "finops",
        "upgrade",
        "sideBySide",
        "permalink",
        "downloads",
        "token",
        "hasty",
    ]
    # Ten pages at three widths and in the dark, and the report.
    assert len(list(folder.glob("*.png"))) == 41


def test_most_answers_come_at_once(told: tuple[list[str], Path]) -> None:
    """95 % of the plans within 400 ms, where the machine has the time for it.

    Measured were 150 ms with browser, driver and server on two cores that were else idle.

    Between two answers the stories time a fixed piece of work: one that takes longer than on
    an idle machine has other work beside it, and so have the answers.
    """
    lines, _ = told
    found = {
        kind: (int(half), int(most))
        for line in lines
        for kind, half, most in re.findall(r"^(.+): \d+ times, p50 (\d+) ms, p95 (\d+) ms$", line)
    }
    busy = max(1.0, found["pace"][1] / IDLE_PACE_MS)
    assert found["plan"][1] <= 400 * busy, lines


def test_saved_files_are_what_they_say(told: tuple[list[str], Path], cli: Cli) -> None:
    _, folder = told
    saved = {path.suffix: path for path in folder.glob("saved-*/*")}
    assert saved.keys() == {".png", ".html", ".zip", ".yaml", ".json"}
    with zipfile.ZipFile(saved[".zip"]) as archive:
        assert archive.testzip() is None
        assert {"serve.sh", "compose.yaml", "README.md"} <= set(archive.namelist())
        assert archive.read("serve.sh").startswith(b"#!")
    again = cli("plan", "--profile", str(saved[".yaml"]), "--json")
    answer = json.loads(saved[".json"].read_text(encoding="utf-8"))
    assert json.loads(again.stdout)["config"]["max_model_len"] == answer["config"]["max_model_len"]
    # Nothing of it is fetched when it is opened.
    report = saved[".html"].read_text(encoding="utf-8")
    assert not re.search(r"<script|(?:src|href)=|url\(", report)
