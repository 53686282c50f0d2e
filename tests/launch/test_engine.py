from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.architecture import Architecture

Resolve = Callable[..., Launch]
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
    resolve(models[model], gpus[card], vllm_version="0.11.0", **kept)


def test_a_plain_model_on_ampere_runs_in_v1_from_0_8(
    resolve: Resolve, models: dict[str, Architecture], gpus: dict[str, Gpu]
) -> None:
    assert resolve(gpu=gpus["A100-80GB-SXM"], vllm_version="0.8.0").version == (0, 8, 0)
    forced = {"VLLM_USE_V1": "1"}
    assert resolve(models["llama"], gpus["T4"], vllm_version="0.8.5", environment=forced)
