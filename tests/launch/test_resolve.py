from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest, UnsupportedArchitecture
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.models.architecture import Architecture, Encoder
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.sources import load_model

Resolve = Callable[..., Launch]
Models = dict[str, Architecture]
Gpus = dict[str, Gpu]


@pytest.mark.design("4: unspecified arguments take vLLM's own defaults")
def test_an_h100_server_takes_vllms_defaults(resolve: Resolve) -> None:
    launch = resolve()
    assert launch.problems == ()
    assert launch.warnings == ()
    assert launch.gpu_memory_utilization == 0.92
    assert (launch.max_num_batched_tokens, launch.max_num_seqs) == (8192, 1024)
    assert launch.max_model_len == 131072
    assert launch.dtype == "bfloat16"
    assert launch.kv_cache_dtype == "auto"
    assert launch.async_scheduling and launch.enable_prefix_caching
    assert launch.enable_chunked_prefill
    # VLLM_MEMORY: F = 2 × 8192 with async scheduling.
    assert launch.max_in_flight_tokens == 16384
    assert {"max_num_seqs", "gpu_memory_utilization", "dtype"} <= launch.defaulted


def test_what_is_given_is_kept_and_not_marked_as_default(resolve: Resolve) -> None:
    launch = resolve(
        gpu_memory_utilization=0.5,
        max_num_seqs=7,
        max_num_batched_tokens=4096,
        max_model_len=2048,
        tensor_parallel_size=2,
        enforce_eager=True,
        enable_prefix_caching=False,
        cpu_offload_gb=1.5,
        free_vram_gb=70,
        quantization="fp8",
        extra={"async_scheduling": False, "num_gpu_blocks_override": 99},
    )
    assert launch.gpu_memory_utilization == 0.5
    assert (launch.max_num_batched_tokens, launch.max_num_seqs) == (4096, 7)
    assert launch.max_model_len == 2048
    assert launch.enforce_eager and launch.cudagraph_mode == "NONE"
    assert not launch.enable_prefix_caching
    assert not launch.async_scheduling
    assert launch.max_in_flight_tokens == 4096
    assert launch.cpu_offload_bytes == 3 * 2**29
    assert launch.free_bytes == 70 * 2**30
    assert launch.quantization == "fp8"
    assert launch.num_gpu_blocks_override == 99
    assert not launch.defaulted & {"max_num_seqs", "max_model_len", "async_scheduling"}


@pytest.mark.parametrize(
    ("version", "stages", "tokens_in_flight"),
    [
        ("0.33.0", 1, 2 * 8192),
        ("0.33.0", 2, 3 * 8192),
        ("0.33.0", 4, 5 * 8192),
        ("0.26.0", 1, 2 * 8192),
        ("0.26.0", 4, 5 * 8192),
        ("0.24.0", 1, 8192),
        ("0.24.0", 4, 8192),
    ],
)
def test_tokens_in_flight_follow_stages_and_release(
    resolve: Resolve, version: str, stages: int, tokens_in_flight: int
) -> None:
    launch = resolve(vllm_version=version, pipeline_parallel_size=stages)
    assert launch.max_in_flight_tokens == tokens_in_flight


def test_few_sequences_lower_the_tokens_and_few_tokens_the_sequences(resolve: Resolve) -> None:
    few_sequences = resolve(max_num_seqs=2, max_model_len=1000)
    assert few_sequences.max_num_batched_tokens == 2000
    few_tokens = resolve(max_num_batched_tokens=512)
    assert few_tokens.max_num_seqs == 512
    assert few_tokens.problems == ()


def test_throughput_mode_doubles_both_limits(resolve: Resolve) -> None:
    launch = resolve(extra={"performance_mode": "throughput"})
    assert (launch.max_num_batched_tokens, launch.max_num_seqs) == (16384, 2048)


def test_more_sequences_than_tokens_are_refused(resolve: Resolve) -> None:
    (problem,) = resolve(max_num_batched_tokens=512, max_num_seqs=600).problems
    assert "must be greater than or equal to max_num_seqs (600)" in problem.message
    assert "--max-num-seqs 512" in problem.remedies


def test_without_chunked_prefill_a_step_holds_the_longest_request(resolve: Resolve) -> None:
    assert resolve(extra={"enable_chunked_prefill": False}).max_num_batched_tokens == 131072
    (problem,) = resolve(
        max_num_batched_tokens=8192, extra={"enable_chunked_prefill": False}
    ).problems
    assert "(8192) is smaller than max_model_len (131072)" in problem.message


def test_a_longer_length_than_the_models_is_refused_unless_allowed(resolve: Resolve) -> None:
    (problem,) = resolve(max_model_len=200_000).problems
    assert problem.message.startswith(
        "User-specified max_model_len (200000) is greater than the derived max_model_len"
    )
    assert problem.remedies[0] == "--max-model-len 131072"
    allowed = resolve(max_model_len=200_000, environment={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"})
    assert allowed.problems == () and allowed.max_model_len == 200_000
    assert resolve(max_model_len=200_000, config={"model_max_length": 262144}).problems == ()
    assert resolve(max_model_len=200_000, config={"model_max_length": 131072}).problems


def test_auto_length_starts_at_the_models_maximum(resolve: Resolve) -> None:
    launch = resolve(extra={"max_model_len": "auto"})
    assert launch.max_model_len_auto and launch.max_model_len == 131072
    (problem,) = resolve(vllm_version="0.11.0", extra={"max_model_len": "auto"}).problems
    assert "no --max-model-len auto" in problem.message


def test_hybrids_cache_prefixes_from_0_26(resolve: Resolve, models: Models) -> None:
    new, old = (resolve(models["hybrid"], vllm_version=v) for v in ("0.28.0", "0.25.1"))
    assert (new.enable_prefix_caching, new.mamba_cache_mode) == (True, "align")
    assert (old.enable_prefix_caching, old.mamba_cache_mode) == (False, "none")
    assert resolve().mamba_cache_mode == "none"


@pytest.mark.parametrize(
    ("version", "mamba", "other"),
    [
        ("0.14.1", "all", "none"),
        ("0.15.0", "all", "align"),
        ("0.27.1", "all", "align"),
        ("0.28.0", "align", "align"),
    ],
)
def test_mamba_layers_kept_the_state_of_every_block_up_to_0_27(
    resolve: Resolve, version: str, mamba: str, other: str
) -> None:
    asked = {"vllm_version": version, "enable_prefix_caching": True}
    granite, qwen = (
        load_model(name, source="catalog").architecture
        for name in ("ibm-granite/granite-4.0-h-tiny", "Qwen/Qwen3-Next-80B-A3B-Instruct")
    )
    assert resolve(granite, **asked).mamba_cache_mode == mamba
    assert resolve(qwen, **asked).mamba_cache_mode == other
    every = resolve(qwen, **asked, extra={"mamba_cache_mode": "all"})
    assert every.mamba_cache_mode == "align"


def test_models_without_attention_never_cache_prefixes(resolve: Resolve, models: Models) -> None:
    assert not resolve(replace(models["hybrid"], model_type="falcon_mamba")).enable_prefix_caching


def test_an_encoder_pools_whole_prompts_synchronously(resolve: Resolve, models: Models) -> None:
    launch = resolve(models["encoder"])
    assert launch.pooling
    assert not launch.enable_chunked_prefill and not launch.enable_prefix_caching
    assert not launch.async_scheduling
    assert launch.max_num_batched_tokens == launch.max_in_flight_tokens == 8194
    assert launch.dtype == "float16"


def test_encoder_decoders_take_a_prompt_at_once(resolve: Resolve, models: Models) -> None:
    plain = models["llama"]
    (cache,) = plain.layers[0].caches
    crossed = replace(plain.layers[0], caches=(cache, replace(cache, kind="cross")))  # pyright: ignore[reportCallIssue]
    launch = resolve(replace(plain, layers=(crossed,) * 4, max_position=448))
    assert not launch.enable_chunked_prefill and not launch.enable_prefix_caching
    assert launch.max_num_batched_tokens == 8192


def test_a_causal_decoder_that_pools_keeps_the_defaults(resolve: Resolve, models: Models) -> None:
    launch = resolve(replace(models["llama"], architecture="MistralModel", task="embed"))
    assert launch.pooling
    assert launch.enable_chunked_prefill and launch.enable_prefix_caching
    assert launch.async_scheduling


def test_async_scheduling_depends_on_release_runner_and_executor(resolve: Resolve) -> None:
    assert not resolve(vllm_version="0.11.2").async_scheduling
    assert resolve(vllm_version="0.14.1").async_scheduling
    assert not resolve(vllm_version="0.19.0", pipeline_parallel_size=2).async_scheduling
    assert not resolve(extra={"distributed_executor_backend": "ray"}).async_scheduling
    draft = '{"method": "ngram", "num_speculative_tokens": 3}'
    assert not resolve(vllm_version="0.19.0", speculative_config=draft).async_scheduling
    assert resolve(vllm_version="0.33.0", speculative_config=draft).async_scheduling


def test_lora_takes_vllms_defaults_and_needs_its_switch(resolve: Resolve) -> None:
    lora = resolve(enable_lora=True, extra={"fully_sharded_loras": True}).lora
    assert lora is not None
    assert (lora.max_loras, lora.max_lora_rank, lora.fully_sharded) == (1, 16, True)
    launch = resolve(max_loras=4)
    assert launch.lora is None
    assert any("no effect without enable_lora" in warning for warning in launch.warnings)


def test_a_language_model_alone_takes_no_items(resolve: Resolve) -> None:
    limits = resolve(extra={"language_model_only": True}).limit_mm_per_prompt
    assert limits == {"image": 0, "video": 0, "audio": 0}
    assert resolve(limit_mm_per_prompt='{"image": 3}').limit_mm_per_prompt == {"image": 3}


def test_graph_memory_is_charged_where_the_runner_estimates_it(resolve: Resolve) -> None:
    variable = "VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS"
    charged = {
        version: resolve(vllm_version=version).cudagraph_memory_charged
        for version in ("0.19.1", "0.20.0", "0.22.1", "0.23.0", "0.28.0", "0.29.0", "0.33.0")
    }
    # Llama runs in the second runner from 0.23 on, which has an estimate from 0.29 on.
    assert [version for version, value in charged.items() if value] == [
        "0.20.0",
        "0.22.1",
        "0.29.0",
        "0.33.0",
    ]
    assert resolve(vllm_version="0.19.1", environment={variable: "1"}).cudagraph_memory_charged
    assert not resolve(environment={variable: "0"}).cudagraph_memory_charged
    asked = resolve(vllm_version="0.27.1", environment={variable: "1"})
    assert asked.model_runner == "v2" and not asked.cudagraph_memory_charged


def test_the_largest_gpus_take_larger_batches_from_0_28(resolve: Resolve, gpus: Gpus) -> None:
    batches = [
        resolve(gpu=gpus["B200"], vllm_version=version).max_num_batched_tokens
        for version in ("0.27.1", "0.28.0")
    ]
    assert batches == [8192, 16384]


@pytest.mark.parametrize(
    ("heads", "kv_heads", "size", "said"),
    [
        (32, 8, 3, "attention heads (32) must be divisible by tensor parallel size (3)"),
        (40, 10, 8, "10 is not divisible by 8"),
        (40, 10, 4, "10 is not divisible by 4"),
        (32, 8, 16, None),
        (32, 2, 8, None),
    ],
)
def test_tensor_parallel_sizes_must_divide_the_heads(
    resolve: Resolve, models: Models, heads: int, kv_heads: int, size: int, said: str | None
) -> None:
    plain = models["llama"]
    (cache,) = plain.layers[0].caches
    layer = replace(plain.layers[0], caches=(replace(cache, num_kv_heads=kv_heads),))  # pyright: ignore[reportCallIssue]
    model = replace(plain, num_attention_heads=heads, num_kv_heads=kv_heads, layers=(layer,) * 4)
    problems = resolve(model, tensor_parallel_size=size).problems
    assert [said in problem.message for problem in problems if said] == [True] * bool(said)
    assert bool(problems) == bool(said)
    for remedy in (remedy for problem in problems for remedy in problem.remedies):
        flag, accepted = remedy.split()
        assert flag == "--tensor-parallel-size"
        assert resolve(model, tensor_parallel_size=int(accepted)).problems == ()


def test_stages_and_context_ranks_must_fit(resolve: Resolve) -> None:
    assert "number of layers (32)" in resolve(pipeline_parallel_size=33).problems[0].message
    (problem,) = resolve(tensor_parallel_size=2, decode_context_parallel_size=4).problems
    assert "tp_size=2 must be divisible by dcp_size=4" in problem.message


def test_capture_sizes_that_are_no_numbers_are_invalid(resolve: Resolve) -> None:
    with pytest.raises(InvalidRequest, match="cudagraph_capture_sizes"):
        resolve(extra={"compilation_config": {"cudagraph_capture_sizes": [1, "two"]}})


def test_launches_of_the_runs_of_vllms_own_code(shared_dir: Path) -> None:
    """Dtype, batch limits, scheduling, caching and refusals of vLLM 0.33 itself."""
    with (shared_dir / "data/models/configs.jsonl").open(encoding="utf-8") as file:
        configs = {row["model"]: row["config"] for row in map(json.loads, file)}
    totals = {"A100-SXM4": 79.25, "H100": 79.2, "L40S": 44.4, "RTX PRO": 94.97}
    architectures: dict[str, Architecture | None] = {}
    seen: set[tuple[Any, ...]] = set()
    compared = refused = 0
    with (shared_dir / "data/vllm_oracle.jsonl").open(encoding="utf-8") as file:
        for row in map(json.loads, file):
            key = tuple(
                row.get(k) for k in ("model", "gpu", "tp", "pp", "kv_cache_dtype", "max_model_len")
            )
            total = next((gib for name, gib in totals.items() if name in row["gpu"]), None)
            # Rows with a batch limit of their own do not show a default.
            if total is None or key in seen or not _shows_defaults(row):
                continue
            seen.add(key)
            name = row["model"]
            if name not in architectures:
                architectures[name] = _read(configs[name])
            architecture = architectures[name]
            if architecture is None or "architectures" not in configs[name]:
                continue
            launch = resolve_launch(
                StartupRequest(
                    model=name,
                    tensor_parallel_size=row["tp"],
                    pipeline_parallel_size=row["pp"],
                    kv_cache_dtype=row["kv_cache_dtype"],
                    max_model_len=row.get("max_model_len"),
                ),
                architecture,
                Gpu(
                    row["gpu"],
                    "NVIDIA",
                    int(total * 2**30),
                    "measured",
                    compute_capability=tuple(map(int, row["cc"].split("."))),  # pyright: ignore[reportArgumentType]
                ),
            )
            if row.get("failed"):
                if "must be divisible" in row["failed"] or "FP8 KV cache" in row["failed"]:
                    assert launch.problems, key
                    assert launch.problems[0].message[:60] in row["failed"], key
                    refused += 1
                continue
            assert launch.problems == (), key
            compared += 1
            for field in (
                "dtype",
                "max_num_seqs",
                "max_num_batched_tokens",
                "max_in_flight_tokens",
                "async_scheduling",
                "enable_prefix_caching",
            ):
                assert getattr(launch, field) == row[field], (key, field)
    assert compared > 500
    assert refused > 30


def _read(config: dict[str, Any]) -> Architecture | None:
    try:
        return read_architecture(config)
    except UnsupportedArchitecture:
        return None


def _shows_defaults(row: dict[str, Any]) -> bool:
    if row.get("config_completeness") not in {None, "full"}:
        return False
    return row.get("max_num_batched_tokens") == (
        8192 if any(name in row["gpu"] for name in ("H100", "RTX PRO")) else 2048
    )


def test_a_length_beyond_an_assumed_maximum_is_not_refused(
    resolve: Resolve, models: Models
) -> None:
    assumed = replace(models["llama"], max_position=2048, max_position_known=False)
    asked = resolve(assumed, max_model_len=4096)
    assert (asked.max_model_len, asked.problems) == (4096, ())
    silent = resolve(assumed)
    assert silent.max_model_len == 2048
    assert silent.reasons["max_model_len"] == "assumed"


def test_a_sentence_transformer_pools_whatever_its_class_unless_told(
    resolve: Resolve, models: Models
) -> None:
    embedder = replace(models["llama"], pools_since=(0, 30, 0))
    assert not resolve(models["llama"]).pooling
    assert resolve(embedder).pooling
    assert not resolve(embedder, vllm_version="0.29.0").pooling
    assert not resolve(embedder, extra={"runner": "generate"}).pooling


def test_none_is_no_word_of_vllms_for_a_quantised_checkpoint(resolve: Resolve) -> None:
    config = {"quantization_config": {"quant_method": "fp8"}}
    launch = resolve(quantization="none", config=config, checkpoint_kv_cache_dtype="fp8")
    (problem,) = launch.problems
    assert problem.message.startswith("Unknown quantization method: none.")
    assert launch.quantization is None
    plain = resolve(quantization="none")
    assert (plain.quantization, plain.warnings) == (None, ())


def test_the_heads_of_a_divided_tower_must_divide(resolve: Resolve, models: Models) -> None:
    tower = Encoder("vision", (), divided_heads=12)
    seeing = replace(models["llama"], encoders=(tower,))
    assert resolve(seeing, tensor_parallel_size=4).problems == ()
    (problem,) = resolve(seeing, tensor_parallel_size=8).problems
    assert problem.message.startswith("12 is not divisible by 8")
    assert problem.remedies[0] == "--mm-encoder-tp-mode data"
    assert "--tensor-parallel-size 4" in problem.remedies
    whole = resolve(seeing, tensor_parallel_size=8, extra={"mm_encoder_tp_mode": "data"})
    assert whole.problems == ()


def test_blocks_are_of_16_tokens_except_where_states_decide(
    resolve: Resolve, models: Models
) -> None:
    assert resolve(block_size=48).problems == ()
    (problem,) = resolve(block_size=17).problems
    assert "multiple of 16" in problem.message
    assert problem.remedies == ("--block-size 32",)
    assert resolve(models["hybrid"], block_size=17).problems == ()
