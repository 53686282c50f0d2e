from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.questions.check import predict_startup

Resolve = Callable[..., Launch]
NGRAM = '{"method": "ngram", "num_speculative_tokens": 2}'
DRAFT = '{"method": "eagle", "model": "x", "num_speculative_tokens": 2}'


@pytest.mark.parametrize(
    ("model", "card", "version", "fields", "said"),
    [
        ("llama", "T4", "0.8.5", {}, "below compute capability 8.0"),
        ("hybrid", "H100-80GB-SXM", "0.8.3", {}, "recurrent states"),
        ("encoder", "H100-80GB-SXM", "0.9.2", {}, "pooling models"),
        ("llama", "L40S", "0.8.5", {"pipeline_parallel_size": 2}, "pipeline parallelism"),
        ("llama", "L40S", "0.8.5", {"speculative_config": DRAFT}, "drafts"),
        ("llama", "L40S", "0.8.5", {"kv_cache_dtype": "fp8"}, "FP8 KV cache"),
        ("llama", "L40S", "0.8.5", {"environment": {"VLLM_USE_V1": "0"}}, "VLLM_USE_V1=0"),
        ("llama", "T4", "0.10.1", {}, "below compute capability 8.0"),
        ("llama", "L40S", "0.10.2", {"kv_cache_dtype": "fp8"}, "FP8 KV cache"),
        ("llama", "L40S", "0.9.0", {"pipeline_parallel_size": 2}, "without a named executor"),
        ("llama", "L40S", "0.8.5", {"speculative_config": NGRAM}, "n-gram drafts"),
        ("llama", "L40S", "0.8.2", {"enable_lora": True}, "LoRA"),
        ("llama", "L40S", "0.9.1", {"dtype": "float32"}, "float32"),
    ],
)
def test_what_runs_in_the_v0_engine_is_refused(
    resolve: Resolve,
    models: dict[str, Architecture],
    gpus: dict[str, Gpu],
    model: str,
    card: str,
    version: str,
    fields: dict[str, Any],
    said: str,
) -> None:
    with pytest.raises(UnsupportedArchitecture, match=f"{said}.* V0 engine"):
        resolve(models[model], gpus[card], vllm_version=version, **fields)
    kept = {name: value for name, value in fields.items() if name != "environment"}
    resolve(models[model], gpus[card], vllm_version="0.11.1", **kept)


def test_a_plain_model_on_ampere_runs_in_v1_from_0_8(
    resolve: Resolve, models: dict[str, Architecture], gpus: dict[str, Gpu]
) -> None:
    assert resolve(gpu=gpus["A100-80GB-SXM"], vllm_version="0.8.0").version == (0, 8, 0)
    forced = {"VLLM_USE_V1": "1"}
    assert resolve(models["llama"], gpus["T4"], vllm_version="0.8.5", environment=forced)


@pytest.mark.parametrize(
    ("words", "release", "outcome"),
    [
        ("--num-scheduler-steps 8", "0.10.0", "not_modelled"),
        ("--num-scheduler-steps 1", "0.10.0", "starts"),
        ("--guided-decoding-backend outlines", "0.9.2", "not_modelled"),
        ("--guided-decoding-backend outlines", "0.10.0", "starts"),
        ("--guided-decoding-backend xgrammar:disable-any-whitespace", "0.8.4", "starts"),
        ("--scheduling-policy priority", "0.9.1", "not_modelled"),
        ("--scheduling-policy priority", "0.9.2", "starts"),
        ("--preemption-mode swap", "0.10.2", "not_modelled"),
        ("--load-format sharded_state", "0.10.2", "not_modelled"),
        ("--enable-prompt-embeds", "0.10.2", "not_modelled"),
        ("--max-num-partial-prefills 2", "0.10.2", "not_modelled"),
        # No V0 engine is left to run it.
        ("--max-num-partial-prefills 2", "0.11.0", "refused"),
        ("--max-num-partial-prefills 2", "0.12.0", "starts"),
    ],
)
def test_arguments_that_leave_the_v1_engine(words: str, release: str, outcome: str) -> None:
    line = f"vllm serve Qwen/Qwen3-8B {words}"
    request = StartupRequest(command=line, gpu="H100", vllm_version=release)
    assert predict_startup(request).verdict.outcome == outcome


@pytest.mark.parametrize(
    ("variable", "words", "release", "outcome"),
    [
        ("0", "", "0.11.0", "refused"),
        ("0", "", "0.11.1", "starts"),
        ("1", "--num-scheduler-steps 8", "0.10.0", "refused"),
        ("1", "--speculative-config.method ngram --speculative-config.num_speculative_tokens 2 "
              "--speculative-config.prompt_lookup_max 2", "0.9.2", "starts"),
    ],
)  # fmt: skip
def test_the_engine_that_is_asked_for(
    variable: str, words: str, release: str, outcome: str
) -> None:
    line = f"VLLM_USE_V1={variable} vllm serve Qwen/Qwen3-8B {words}"
    request = StartupRequest(command=line, gpu="H100", vllm_version=release)
    assert predict_startup(request).verdict.outcome == outcome
