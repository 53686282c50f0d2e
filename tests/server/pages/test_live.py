"""The live page: served with a strict policy, and used as people use it in Chromium."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from vllm_preflight_server.mcp.app import make_tools
from vllm_preflight_server.web.api import api_app
from vllm_preflight_server.web.worker import transport_security

ROOT = Path(__file__).resolve().parents[3]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
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


def test_the_page_may_run_its_own_script_alone() -> None:
    app = api_app(make_tools(), transport_security(()))
    with TestClient(app, base_url="http://localhost:8765") as client:
        page = client.get("/")
    policy = page.headers["content-security-policy"]
    assert "script-src 'sha256-" in policy and "default-src 'none'" in policy
    assert page.text.count("<script>") == 1
    # Nothing of elsewhere: no address but those of the libraries' licences.
    assert not re.search(r"""(?:src|href)=["']https?://""", page.text)


@pytest.mark.skipif(not READY, reason="Node, Chromium or the packages of app/ are not installed")
def test_people_and_their_stories(address: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["node", str(ROOT / "app/test/stories.mjs"), address, str(tmp_path)],
        env={"PATH": f"{Path(shutil.which('node') or '').parent}", "CHROMIUM": str(CHROMIUM)},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.splitlines()
    assert [line for line in told if line.startswith("ok ")] == [
        "ok hobbyist",
        "ok platformTeam",
        "ok finops",
        "ok upgrade",
        "ok sideBySide",
        "ok permalink",
        "ok hasty",
    ]
    assert len(list(tmp_path.glob("*.png"))) == 18
