"""The pack command in a process of its own."""

from __future__ import annotations

import json

from tests.server.conftest import Cli

LINES = ("vllm serve Qwen/Qwen3-8B --max-model-len 8k", "vllm serve Qwen/Qwen3-0.6B")


def test_servers_are_listed_with_their_commands(cli: Cli) -> None:
    run = cli("pack", "--gpu", "H100", "--", *LINES)
    assert (run.returncode, run.stderr) == (0, "")
    assert "all 2 servers start, one after the other" in run.stdout
    assert f"{LINES[0]} --gpu-memory-utilization 0." in run.stdout


def test_launches_need_no_quotes(cli: Cli) -> None:
    split = [word for line in LINES for word in line.split()]
    quoted = cli("pack", "--json", "--gpu", "H100", "--", *LINES)
    plain = cli("pack", "--json", "--gpu", "H100", "--", *split)
    assert json.loads(plain.stdout) == json.loads(quoted.stdout)


def test_without_launches_it_says_how(cli: Cli) -> None:
    run = cli("pack", "--gpu", "H100")
    assert run.returncode == 2
    assert "no launch was given" in run.stderr


def test_too_much_ends_with_one(cli: Cli) -> None:
    run = cli("pack", "--gpu", "RTX 3060", "--", *LINES)
    assert run.returncode == 1
    assert "does not start" in run.stdout
