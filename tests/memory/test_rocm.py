"""What is known of vLLM on AMD's GPUs: weights, the cache's geometry, a bound; never a start."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.sources import load_model
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.recommend.launches import resolve_for

# Start-ups on AMD's GPUs whose models are in the catalogue.
RECORDS = ("Project-Apollo-1", "amdgoose-1", "storedfile-60894101463-1", "storedfile-60894101463-2")
_FIELDS = ("max_model_len", "dtype", "gpu_memory_utilization", "speculative_config")


def _record(folder: Path, name: str) -> dict[str, Any]:
    with (folder / "data/vllm_startup_logs.jsonl").open(encoding="utf-8") as file:
        return next(row for line in file if (row := json.loads(line))["id"] == name)


def _simulated(row: dict[str, Any], **more: Any) -> Startup:
    given = {k: v for k, v in row["args"].items() if k in _FIELDS}
    if "speculative_config" in given:
        given["speculative_config"] = json.dumps(given["speculative_config"])
    release = re.match(r"0\.(?:[2-9]|\d\d)\.\d+", row["vllm_version"])
    identifier = row["model"].removesuffix(" (bf16)")
    request = validate_request(
        StartupRequest,
        {"model": identifier, "vllm_version": release and release[0], **given, **more},
    )
    model = load_model(identifier)
    gpu = find_gpu("MI300X")
    total = row["gpu_total_gib"]
    if total is not None:
        gpu = replace(gpu, visible_bytes=int(total * 2**30))
    launch = resolve_for(model, gpu, (9, 4), request)
    return simulate_startup(model, gpu, (9, 4), launch)


@pytest.mark.parametrize("name", RECORDS)
def test_weights_and_cache_are_those_of_measured_starts(shared_dir: Path, name: str) -> None:
    row = _record(shared_dir, name)
    seen = row["observed"]
    startup = _simulated(row, kv_cache_memory_bytes=int(seen["available_kv_gib"] * 2**30))
    # "Model loading took" has a tenth of a GiB more on ROCm than the weights.
    more = seen["weights_gib"] - startup.weights.fullest.allocated / 2**30
    assert 0 <= more < 0.15
    assert startup.most is not None and startup.most.tokens is not None
    assert startup.most.tokens == pytest.approx(seen["kv_cache_tokens"], rel=0.02)


@pytest.mark.parametrize("name", [name for name in RECORDS if name != "amdgoose-1"])
def test_no_measured_cache_exceeds_the_bound(shared_dir: Path, name: str) -> None:
    row = _record(shared_dir, name)
    startup = _simulated(row)
    assert startup.most is not None and startup.most.tokens is not None
    assert startup.most.tokens > row["observed"]["kv_cache_tokens"]


def _ask(words: str, **more: Any) -> StartupResponse:
    fields = {"command": f"vllm serve {words}", "gpu": "MI300X", "vllm_version": "0.33.0", **more}
    return predict_startup(validate_request(StartupRequest, fields))


def test_a_bound_is_given_and_no_probability() -> None:
    answer = _ask("Qwen/Qwen3-32B")
    verdict, startup = answer.verdict, answer.startup
    assert (verdict.outcome, verdict.start_probability) == ("not_modelled", None)
    assert startup.kv_cache_tokens is None and startup.kv_cache_tokens_at_most == 472_896
    assert verdict.because is not None
    assert verdict.because.startswith("KV cache at most 115.45 GiB per GPU, 472,896 tokens")
    assert "no prediction" in verdict.because
    assert answer.command is None


def test_a_bound_that_holds_no_request_is_said() -> None:
    verdict = _ask("Qwen/Qwen3-32B --gpu-memory-utilization 0.33").verdict
    assert verdict.outcome == "not_modelled" and verdict.because is not None
    assert "less than one request of 40,960" in verdict.because


def test_weights_beyond_the_card_do_not_start_whoever_made_it() -> None:
    answer = _ask("deepseek-ai/DeepSeek-R1 -tp 2")
    assert (answer.verdict.outcome, answer.verdict.start_probability) == ("does_not_start", 0.0)
    assert "HIP out of memory" in answer.verdict.sentence
    # What else vLLM takes there is not known.
    assert answer.startup.activation_peak_gib is None and answer.verdict.because is None


def test_other_vendors_and_other_doubts_get_no_bound() -> None:
    for more in ({"gpu": "Gaudi 3"}, {"gpu": "TPU v6e"}):
        assert _ask("Qwen/Qwen3-8B", **more).startup.kv_cache_tokens_at_most is None
    image = {"command": "docker run vllm/vllm-openai:v0.33.0 --model Qwen/Qwen3-8B"}
    assert _ask("", **image).startup.kv_cache_tokens_at_most is None
