"""Clusters as a tool and as a command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Ask, Cli, text_of


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """No cluster is configured."""
    path = str(tmp_path / "kubeconfig")
    monkeypatch.setenv("KUBECONFIG", path)
    return path


def test_a_cluster_that_does_not_answer_is_a_sentence(ask: Ask, nowhere: str) -> None:
    result = ask("detect_gpus", {"cluster": "kubernetes"})
    assert result.is_error
    assert text_of(result).startswith("The Kubernetes API does not answer")
    question: dict[str, Any] = {"model": "Qwen/Qwen3-8B", "gpu": "fleet:kubernetes"}
    assert "does not answer" in text_of(ask("plan_deployment", question))


def test_the_command_ends_with_the_code_of_gpu_problems(cli: Cli) -> None:
    done = cli("plan", "Qwen/Qwen3-8B", "--gpu", "fleet:slurm")
    assert done.returncode == 2 and "fleet:ray or fleet:kubernetes" in done.stderr
    done = cli("detect", "--cluster", "mesos")
    assert done.returncode == 2 and "cluster is 'mesos'" in done.stderr


def test_a_missing_cluster_ends_with_code_4(cli: Cli, tmp_path: Path) -> None:
    done = cli("detect", "--cluster", "kubernetes", command=_with_kubeconfig(tmp_path / "none"))
    assert done.returncode == 4 and "does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def _with_kubeconfig(path: Path) -> list[str]:
    return ["env", f"KUBECONFIG={path}", sys.executable, "-m", "vllm_preflight_server.cli"]
