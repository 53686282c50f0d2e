"""The longest request: what vLLM derives, what it refuses, what is no remedy."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from typing import Any

import pytest
from tests.launch.acceptance.test_methods import launch_of

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.questions.check import predict_startup

PHI = {
    "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "torch_dtype": "bfloat16",
    "hidden_size": 3072, "intermediate_size": 8192, "num_hidden_layers": 2,
    "num_attention_heads": 32, "num_key_value_heads": 32, "vocab_size": 32064,
    "max_position_embeddings": 131072, "original_max_position_embeddings": 4096,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [1.0] * 48},
}  # fmt: skip


def check(command: str, gpu: str = "B200") -> StartupResponse:
    return predict_startup(validate_request(StartupRequest, {"command": command, "gpu": gpu}))


def phi(**fields: Any):
    request = StartupRequest(model="phi", **fields)
    return resolve_launch(request, read_architecture(PHI), find_gpu("H100"), config=PHI)


def test_a_longer_length_is_refused_and_scaling_the_rope_is_the_remedy() -> None:
    answer = check("vllm serve Qwen/Qwen3-8B --max-model-len 131072")
    failure = answer.startup.failure
    assert failure is not None and failure.kind == "invalid_arguments"
    assert "VLLM_ALLOW_LONG_MAX_MODEL_LEN" not in failure.message
    assert not any("VLLM_ALLOW_LONG" in remedy for remedy in failure.remedies)
    assert failure.remedies[0] == "--max-model-len 40960"
    scaled = shlex.split(failure.remedies[1].partition(" (")[0])
    overrides = json.loads(scaled[1])
    assert overrides["rope_parameters"]["rope_type"] == "yarn"
    # Stated are 40,960; trained it is at 32,768.
    assert overrides["rope_parameters"]["original_max_position_embeddings"] == 32768
    assert overrides["max_position_embeddings"] == 131072
    command = f"vllm serve Qwen/Qwen3-8B --max-model-len 131072 {shlex.join(scaled)}"
    assert check(command).startup.starts


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


def yarn(key: str = "rope_scaling", **more: int) -> str:
    overrides = json.dumps({key: YARN, **more})
    return f"vllm serve Qwen/Qwen3-8B --hf-overrides '{overrides}'"


@pytest.mark.parametrize(
    ("line", "release", "length"),
    [
        (f"vllm serve Qwen/Qwen3-8B --rope-scaling '{json.dumps(YARN)}'", "0.8.5", 131072),
        (yarn(), "0.9.2", 131072),
        (yarn(), "0.29.0", 131072),
        (yarn("rope_parameters"), "0.12.0", 131072),
        # Not read under that key yet.
        (yarn("rope_parameters"), "0.11.0", 40960),
        # The stated positions count since.
        (yarn(), "0.30.0", 40960),
        (yarn(max_position_embeddings=131072), "0.33.0", 131072),
    ],
)
def test_up_to_0_29_yarn_scales_the_length_by_itself(line: str, release: str, length: int) -> None:
    request = {"gpu": "H100", "vllm_version": release}
    for asked, starts in ((length, True), (length + 1, False)):
        command = f"{line} --max-model-len {asked}"
        answer = predict_startup(validate_request(StartupRequest, {**request, "command": command}))
        assert answer.startup.starts is starts
    unasked = predict_startup(validate_request(StartupRequest, {**request, "command": line}))
    assert unasked.startup.max_model_len == length


@pytest.mark.parametrize(
    ("rope", "release", "said"),
    [
        ({"factor": 2.0}, "0.8.5", "rope_scaling should have a 'rope_type' key"),
        # Put in after the config was completed.
        ({"factor": 2.0}, "0.11.1", "KeyError: 'rope_type'"),
        ({"type": "yarn", "factor": 4.0}, "0.24.0", "KeyError: 'rope_type'"),
        ({"rope_type": "yarn", "factor": 4.0}, "0.33.0", "KeyError: 'original_max_position"),
        ({"rope_type": "llama3", "factor": 4.0}, "0.33.0", "KeyError: 'original_max_position"),
        # Not read under that key.
        ({"factor": 2.0}, "0.12.0", None),
        ({"type": "yarn", "factor": 4.0}, "0.10.0", "KeyError: 'original_max_position"),
        ({"type": "dynamic", "factor": 2.0}, "0.8.5", None),
    ],
)
def test_a_rope_that_the_user_leaves_incomplete(
    rope: dict[str, Any], release: str, said: str | None
) -> None:
    line = f"vllm serve Qwen/Qwen3-8B --hf-overrides '{json.dumps({'rope_scaling': rope})}'"
    answer = predict_startup(StartupRequest(command=line, gpu="H100", vllm_version=release))
    failure = answer.startup.failure
    assert (failure is None) is (said is None)
    assert failure is None or (said is not None and said in failure.message)


def test_a_yarn_of_an_older_release_is_completed_for_the_newest() -> None:
    failure = check(f"{yarn()} --max-model-len 131072").startup.failure
    assert failure is not None
    # The length that was asked for is kept: it comes before a shorter one.
    flag, overrides = shlex.split(failure.remedies[0])
    completed = {
        "rope_parameters": {"rope_theta": 1000000, **YARN},
        "max_position_embeddings": 131072,
    }
    assert flag == "--hf-overrides" and json.loads(overrides) == completed


def test_beyond_four_times_the_length_there_is_no_scaling_to_name() -> None:
    failure = check("vllm serve Qwen/Qwen3-8B --max-model-len 1000000").startup.failure
    assert failure is not None and failure.remedies == ["--max-model-len 40960"]


def test_lifting_the_check_is_warned_of() -> None:
    line = "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve Qwen/Qwen3-8B --max-model-len 65536"
    answer = check(line)
    assert answer.startup.starts
    assert any("only lifts the check" in warning for warning in answer.warnings)


def test_a_longrope_model_starts_short_and_takes_its_whole_length() -> None:
    assert phi().max_model_len == 4096
    assert phi(vllm_version="0.11.0").max_model_len == 131072
    assert phi(max_model_len=131072).problems == ()
    (problem,) = phi(max_model_len=131073).problems
    assert problem.remedies == ("--max-model-len 131072",)


def test_roberta_counts_from_the_padding_tokens_row() -> None:
    (problem,) = launch_of(model="BAAI/bge-m3", max_model_len=8194).problems
    assert problem.remedies == ("--max-model-len 8192",)
    assert launch_of(model="BAAI/bge-m3", max_model_len=8192).problems == ()


@pytest.mark.parametrize("asked", [4097, 8192])
def test_an_unknown_length_is_not_refused(asked: int) -> None:
    architecture = replace(read_architecture(PHI), max_position_known=False)
    request = StartupRequest(model="phi", max_model_len=asked)
    assert resolve_launch(request, architecture, find_gpu("H100"), config=PHI).problems == ()
