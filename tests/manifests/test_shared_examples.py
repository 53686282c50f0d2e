"""The examples with right readings that lie beside the checkout, where they do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.contract.manifest import ServerReport
from vllm_preflight.questions.manifest import Beside, Manifest, check_manifests

FOLDER = Path(__file__).parents[3] / "shared" / "manifests"


def _rows() -> list[dict[str, Any]]:
    expected = FOLDER / "expected.jsonl"
    if not expected.is_file():
        return []
    return [json.loads(line) for line in expected.read_text(encoding="utf-8").splitlines()]


def _same_args(read: dict[str, Any], wanted: dict[str, Any]) -> bool:
    def value(item: Any) -> Any:
        return json.loads(item) if isinstance(item, str) and item[:1] == "{" else item

    return {k: value(v) for k, v in read.items()} == {k: value(v) for k, v in wanted.items()}


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9.]+", name.lower()))


@pytest.mark.parametrize("row", _rows(), ids=lambda row: str(row["file"]))
def test_an_example_is_read_right(row: dict[str, Any]) -> None:
    text = (FOLDER / row["file"]).read_text(encoding="utf-8")
    manifest = Manifest(row["file"], text)
    # The reading alone is compared, so any GPU will do where the file names none.
    servers = check_manifests([manifest], Beside()).servers
    if "refused" in row["right"][0]:
        (server,) = servers
        assert server.error is not None and "ConfigMap vllm-config" in server.error.message
        for name in ("MODEL_ID", "TP", "GPU_MEMORY_UTILIZATION"):
            assert f"--set {name}=" in server.error.hint
        return
    assert len(servers) == len(row["right"])
    for server, right in zip(servers, row["right"], strict=True):
        _compare(server, right)


def _compare(server: ServerReport, right: dict[str, Any]) -> None:
    assert server.model == right["model"]
    assert _same_args(server.args, right["args"])
    assert server.nodes == right.get("nodes", 1)
    assert server.replicas == right.get("replicas", server.replicas)
    if "gpus_per_pod" in right:
        assert server.gpus_per_pod == right["gpus_per_pod"]
    if right.get("version") is not None:
        assert server.version == right["version"].partition(" ")[0]
    elif "version" in right:
        assert server.version is None
    if "shm" in right:
        assert server.shm == right["shm"]
    if "role" in right:
        assert server.name.lower().endswith(right["role"])
    wanted = right.get("gpu", [])
    wanted = [wanted] if isinstance(wanted, str) else wanted
    assert len(server.gpu) == len(wanted)
    for read, name in zip(server.gpu, wanted, strict=True):
        # "MIG 4g.71gb (H200)" names the one card that has the profile.
        assert _words(name.partition(" (")[0]) <= _words(read)
