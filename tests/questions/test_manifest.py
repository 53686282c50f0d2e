"""Servers of manifests: what adds up, what is asked for, what is answered."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.manifest import ServerReport
from vllm_preflight.questions.manifest import (
    Beside,
    Manifest,
    check_manifests,
    predict_manifest,
)
from vllm_preflight_server.cli.formats.results import exit_code, results


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
    assert "TP 4 × PP 2 needs 8 GPUs, but 4 are asked for" in row.verdict.sentence
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


SHARED = "nvidia.com/gpu.shared"


@pytest.mark.parametrize("model", ["Qwen/Qwen3-8B", "Qwen/Qwen3-32B"])
def test_what_is_scaled_to_nothing_is_said_and_fails_no_pipeline(model: str) -> None:
    response = check_manifests(
        [Manifest("a.yaml", _set(f"vllm serve {model}", 1, replicas=0))], Beside({"gpu": "L40S"})
    )
    (row,) = response.servers
    assert row.stopped and any("replicas is 0" in text for text in row.findings)
    # Once it is scaled up, this is what happens.
    assert row.good is (model == "Qwen/Qwen3-8B")
    assert exit_code(response) == 0
    assert all(found.level != "error" for found in results(response))


def test_what_runs_decides_before_what_is_scaled_to_nothing() -> None:
    texts = [_set("vllm serve Qwen/Qwen3-32B", 1, 0), _set("vllm serve Qwen/Qwen3-8B", 1, 2)]
    answer = predict_manifest("\n---\n".join(texts), {"gpu": "L40S"})
    assert answer.verdict.outcome == "starts" and answer.servers is not None
    stopped, running = answer.servers
    assert (stopped.outcome, running.outcome) == (None, "starts")
    assert stopped.told.startswith("nothing runs; scaled up: does not start")


@pytest.mark.parametrize(
    ("resources", "labels"),
    [
        ("{nvidia.com/gpu.shared: 1}", ""),
        ("{nvidia.com/gpu: 1}", "nvidia.com/gpu.product: NVIDIA-L40S-SHARED"),
        ("{nvidia.com/gpu: 1}", "nvidia.com/gpu.sharing-strategy: mps"),
        ("{nvidia.com/gpu: 1}", "cloud.google.com/gke-gpu-sharing-strategy: time-sharing"),
        ("{nvidia.com/gpu: 1, nvidia.com/gpumem: 20000}", ""),
    ],
)
def test_a_shared_card_is_no_whole_card(resources: str, labels: str) -> None:
    def ask(model: str, **more: Any) -> ServerReport:
        text = _set(f"vllm serve {model}", 1).replace("{nvidia.com/gpu: 1}", resources)
        text += f"      nodeSelector: {{{labels}}}\n" if labels else ""
        return _ask(text, gpu="L40S", **more)

    row = ask("Qwen/Qwen3-8B")
    assert row.verdict is not None and row.verdict.outcome == "not_modelled"
    assert "other pods use too" in row.verdict.sentence
    assert row.verdict.start_probability is None and row.answers == []
    # What does not start alone starts beside nobody; what is free may be given.
    row = ask("Qwen/Qwen3-32B")
    assert row.verdict is not None and row.verdict.outcome == "does_not_start"
    row = ask("Qwen/Qwen3-8B", free_vram_gb=43)
    assert row.good and row.answers


def test_an_unshared_label_is_none() -> None:
    text = _set("vllm serve Qwen/Qwen3-8B", 1)
    text += "      nodeSelector: {nvidia.com/gpu.sharing-strategy: none}\n"
    assert _ask(text, gpu="L40S").good


def test_a_tool_says_not_modelled_of_a_shared_card() -> None:
    text = _set("vllm serve Qwen/Qwen3-8B", 1).replace("nvidia.com/gpu:", f"{SHARED}:")
    answer = predict_manifest(text, {"gpu": "L40S"})
    assert answer.verdict.outcome == "not_modelled"
    assert answer.startup.failure is not None
    assert answer.startup.failure.kind == "not_modelled"


def test_a_second_server_of_one_text_is_said() -> None:
    text = _set("vllm serve Qwen/Qwen3-8B --port 1 & vllm serve Qwen/Qwen3-32B --port 2 & wait", 2)
    row = _ask(text, gpu="H100")
    assert any("more than one vLLM server" in finding for finding in row.findings)


def test_the_same_gpu_under_another_name_is_no_other() -> None:
    text = _set("vllm serve Qwen/Qwen3-8B", 1)
    text += "      nodeSelector: {nvidia.com/gpu.product: NVIDIA-H100-80GB-HBM3}\n"
    assert _ask(text, gpu="H100").findings == []
    assert any("answered for H200" in finding for finding in _ask(text, gpu="H200").findings)
