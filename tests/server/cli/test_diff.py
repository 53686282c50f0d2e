"""The diff command in a process of its own."""

from __future__ import annotations

import json

from tests.server.conftest import Cli

LAUNCH = ("--", "vllm", "serve", "Qwen/Qwen3-8B", "--swap-space", "16")


def test_an_upgrade_is_shown_side_by_side(cli: Cli) -> None:
    run = cli("diff", "--gpu", "H100", "--from", "0.10.0", "--to", "0.33.0", *LAUNCH)
    assert (run.returncode, run.stderr) == (1, "")
    assert run.stdout.startswith("vLLM 0.10.0 → 0.33.0\nrefused: ")
    assert "--swap-space 16: --swap-space was last in vLLM 0.17.1." in run.stdout
    assert "gpu_memory_utilization 0.9 → 0.92" in run.stdout
    assert "Command for 0.33.0:\n  vllm serve Qwen/Qwen3-8B\n" in run.stdout


def test_json_and_exit_code(cli: Cli) -> None:
    run = cli("diff", "--json", "--gpu", "H100", "--from", "0.10.0", "--to", "0.17.1", *LAUNCH)
    assert run.returncode == 0
    answer = json.loads(run.stdout)
    assert answer["verdict"]["outcome"] == answer["before"]["verdict"]["outcome"] == "starts"
    assert "ended" not in answer or answer["ended"] == []


def test_both_releases_are_needed(cli: Cli) -> None:
    run = cli("diff", "--gpu", "H100", "--from", "0.10.0", *LAUNCH)
    assert run.returncode == 2
    assert "'to_version' is required" in run.stderr
