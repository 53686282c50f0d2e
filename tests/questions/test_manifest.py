"""Servers of manifests: what adds up, what is asked for, what is answered."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.manifest import ServerReport
from vllm_preflight.questions.manifest import Beside, Manifest, check_manifests


def _ask(text: str, variables: dict[str, str] | None = None, **fields: Any) -> ServerReport:
    (row,) = check_manifests([Manifest("a.yaml", text)], Beside(fields, variables or {})).servers
    return row


def _set(command: str, gpus: int, replicas: int = 1, kind: str = "Deployment") -> str:
    return f"""
kind: {kind}
metadata: {{name: d}}
spec:
  replicas: {replicas}
  template:
    spec:
      containers:
      - image: vllm/vllm-openai:v0.19.0
        command: [sh, -c, "{command}"]
        resources: {{limits: {{nvidia.com/gpu: {gpus}}}}}
"""


def test_gpus_that_do_not_add_up_are_a_finding_of_their_own() -> None:
    row = _ask(_set("vllm serve Qwen/Qwen3-8B -tp 4 -pp 2", 4), gpu="H100")
    assert row.verdict is not None and row.verdict.outcome == "refused"
    assert "TP 4 × PP 2 needs 8 GPUs, but its pods ask for 4" in row.verdict.sentence
    row = _ask(_set("vllm serve Qwen/Qwen3-8B -tp 2", 4), gpu="H100")
    assert row.good and any("Uses 2 of the 4 GPUs" in text for text in row.findings)


def test_pods_of_a_set_may_be_the_nodes_of_one_server() -> None:
    text = _set("vllm serve Qwen/Qwen3-8B -tp 8 -pp 2", 8, 2, "StatefulSet")
    row = _ask(text, gpu="H100")
    assert (row.nodes, row.replicas) == (2, 1)
    assert any("nodes of one server" in text for text in row.findings)


def test_default_shared_memory_under_tensor_parallelism_is_a_warning() -> None:
    row = _ask(_set("vllm serve Qwen/Qwen3-8B -tp 2", 2), gpu="H100")
    assert any("/dev/shm" in text for text in row.findings)
    row = _ask(_set("vllm serve Qwen/Qwen3-8B", 1), gpu="H100")
    assert row.findings == []


def test_a_gpu_that_nothing_names_is_asked_for_with_the_reading_shown() -> None:
    row = _ask(_set("vllm serve Qwen/Qwen3-8B --max-model-len 4096", 1))
    assert row.error is not None and "--gpu" in row.error.hint
    assert row.model == "Qwen/Qwen3-8B" and row.args == {"max_model_len": 4096}


def test_what_vllm_refuses_needs_no_gpu() -> None:
    row = _ask(_set("vllm serve Qwen/Qwen3-8B --no-such-flag 3", 1))
    assert row.verdict is not None and row.verdict.outcome == "refused"
    assert row.decides == 10


def test_missing_variables_are_named_with_how_to_give_them() -> None:
    text = _set("vllm serve $MODEL --max-model-len ${LEN} --port $PORT", 1)
    row = _ask(text, gpu="H100")
    assert row.error is not None
    assert "--set MODEL=VALUE" in row.error.hint and "--set LEN=VALUE" in row.error.hint
    assert "PORT" not in row.error.hint
    row = _ask(text, {"MODEL": "Qwen/Qwen3-8B", "LEN": "4096"}, gpu="H100")
    assert row.good and row.args == {"max_model_len": 4096}


def test_alternatives_are_answered_each_and_the_worst_decides() -> None:
    text = (
        "resources: {accelerators: {H100:1, T4:1}}\nrun: vllm serve Qwen/Qwen3-8B --dtype half\n"
        "setup: pip install vllm==0.19.0\n"
    )
    row = _ask(text)
    assert len(row.answers) == 2 and not row.good
    assert row.verdict == row.answers[1].verdict


def test_config_maps_of_another_file_are_used() -> None:
    pod = """
kind: Pod
metadata: {name: p}
spec:
  nodeSelector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}
  containers:
  - image: vllm/vllm-openai:v0.19.0
    args: [--model, $(MODEL)]
    envFrom: [{configMapRef: {name: c}}]
    resources: {limits: {nvidia.com/gpu: 1}}
"""
    data = "kind: ConfigMap\nmetadata: {name: c}\ndata: {MODEL: Qwen/Qwen3-8B}\n"
    files = [Manifest("p.yaml", pod), Manifest("c.yaml", data, searched=True)]
    (row,) = check_manifests(files).servers
    assert row.good and row.model == "Qwen/Qwen3-8B"


def test_other_accelerators_are_not_modelled() -> None:
    text = _set("vllm serve Qwen/Qwen3-8B", 4).replace("nvidia.com/gpu", "google.com/tpu")
    row = _ask(text)
    assert row.verdict is not None and row.verdict.outcome == "not_modelled"


def test_another_gpu_than_the_manifests_is_said() -> None:
    text = _set("vllm serve Qwen/Qwen3-8B", 1).replace(
        "    spec:\n      containers", "    spec:\n      nodeSelector: {gpu.product: L4}\n"
        "      containers"
    )  # fmt: skip
    row = _ask(text, gpu="H100")
    assert any("asks for L4; answered for H100" in text for text in row.findings)


def test_nothing_found_is_one_sentence() -> None:
    with pytest.raises(InvalidRequest, match="starts no vLLM server"):
        check_manifests([Manifest("a.yaml", "kind: Service\n")])
