from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Launch, Lora, Speculation, Version
from vllm_preflight.memory.weights.weights import RankWeights, StageWeights, weights_per_rank
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import read_quantization

H100, A100, B200, L40S = (9, 0), (8, 0), (10, 0), (8, 9)
NEWEST: Version = (0, 33, 0)
BEFORE_UNSPLIT: Version = (0, 20, 0)
LAUNCH = Launch(
    version=NEWEST,
    dtype="bfloat16",
    kv_cache_dtype="auto",
    max_model_len=4096,
    gpu_memory_utilization=0.92,
    max_num_seqs=1024,
    max_num_batched_tokens=8192,
)


def from_config(config: dict[str, Any], name: str = "test") -> Model:
    return Model(
        name, "local", "test", config, read_architecture(config), read_quantization(config)
    )


@cache
def model(name: str) -> Model:
    entry = catalog_entry(name)
    assert entry is not None
    return from_config(dict(entry.config), name)


def llama(**changes: Any) -> Model:
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "torch_dtype": "bfloat16",
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "num_hidden_layers": 4,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    }
    return from_config({**config, **changes})


def weights(
    subject: Model, capability: ComputeCapability = H100, tp: int = 1, **changes: Any
) -> RankWeights:
    launch = replace(LAUNCH, tensor_parallel_size=tp, **changes)
    return weights_per_rank(subject, launch, capability)


def fullest(
    subject: Model, capability: ComputeCapability = H100, tp: int = 1, **changes: Any
) -> StageWeights:
    return weights(subject, capability, tp, **changes).fullest


def part(stage: StageWeights, name: str) -> int:
    return sum(part.bytes for part in stage.parts if part.name == name)


@pytest.mark.parametrize(
    ("name", "capability", "tp", "version", "gib"),
    [
        # "Model loading took" of vLLM's own model classes (0.33), and its older rounding.
        ("openai/gpt-oss-120b", H100, 1, BEFORE_UNSPLIT, 61.0738),
        ("openai/gpt-oss-120b", A100, 1, BEFORE_UNSPLIT, 65.9638),
        ("openai/gpt-oss-120b", H100, 1, NEWEST, 61.428),
        ("meta-llama/Llama-3.1-8B", H100, 1, NEWEST, 14.9889),
        ("meta-llama/Llama-3.1-8B", H100, 4, NEWEST, 3.774),
        ("meta-llama/Llama-3.1-8B", H100, 4, BEFORE_UNSPLIT, 3.7711),
        ("Qwen/Qwen3-32B-FP8", H100, 1, NEWEST, 32.0418),
        ("Qwen/Qwen3-32B-FP8", A100, 1, NEWEST, 32.4888),
        ("Qwen/Qwen3-32B-AWQ", H100, 1, NEWEST, 18.5679),
        ("deepseek-ai/DeepSeek-R1", H100, 8, NEWEST, 79.5552),
    ],
)
def test_known_loads(
    name: str, capability: ComputeCapability, tp: int, version: Version, gib: float
):
    stage = fullest(model(name), capability, tp, version=version)
    assert stage.allocated / BYTES_TO_GIB == pytest.approx(gib, abs=0.006)


def test_absorbed_projections_were_copies_of_their_own_in_older_releases():
    subject = model("deepseek-ai/DeepSeek-V2-Lite-Chat")
    older, newer = (fullest(subject, version=version) for version in ((0, 19, 0), NEWEST))
    assert older.exact - newer.exact == 27 * 16 * (128 + 128) * 512 * 2
    # "Model loading took" of a measured run of 0.19.0.
    assert older.allocated / BYTES_TO_GIB == pytest.approx(29.43, rel=0.002)


def test_a_small_llama_by_hand():
    stage = fullest(llama())
    hidden, inner, vocab, heads = 1024, 2816, 32000, 64
    layer = 2 * hidden * (16 * heads) + 2 * hidden * (4 * heads) + 3 * hidden * inner + 2 * hidden
    elements = 2 * vocab * hidden + 4 * layer + hidden + 4096 * heads
    assert stage.exact == 2 * elements + 4 * 6 * 4  # six float32 scalars a layer


def test_parts_add_up_to_what_the_allocator_counts():
    stage = fullest(model("Qwen/Qwen3-30B-A3B-FP8"), tp=4)
    assert sum(part.bytes for part in stage.parts) == stage.allocated
    assert stage.allocated >= stage.exact
    assert {part.name for part in stage.parts} >= {
        "embeddings",
        "attention",
        "experts",
        "norms",
        "output head",
        "quantisation scales",
        "rotary tables",
    }


def test_tied_embeddings_are_held_once():
    tied, untied = fullest(llama(tie_word_embeddings=True)), fullest(llama())
    assert untied.exact - tied.exact == 32000 * 1024 * 2


def test_vocabulary_is_padded_to_64_and_divided():
    even, padded = fullest(llama(), tp=2), fullest(llama(vocab_size=32001), tp=2)
    assert padded.exact - even.exact == 2 * 64 // 2 * 1024 * 2


def test_kv_heads_are_replicated_beyond_their_number():
    small = llama(num_attention_heads=16, num_key_value_heads=2)
    two, eight = (part(fullest(small, tp=tp), "attention") for tp in (2, 8))
    query_and_output = 2 * 1024 * 1024 * 2 * 4
    keys_and_values = 2 * 64 * 1024 * 2 * 4  # one head each, on every rank
    scalars = 4 * 6 * 512
    assert eight == query_and_output // 8 + keys_and_values + scalars
    assert two == query_and_output // 2 + keys_and_values + scalars


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(
        [
            "Qwen/Qwen3-32B-FP8",
            "Qwen/Qwen3-30B-A3B",
            "Qwen/Qwen3-32B-AWQ",
            "openai/gpt-oss-120b",
            "deepseek-ai/DeepSeek-V2-Lite-Chat",
            "google/gemma-2-9b",
        ]
    ),
    capability=st.sampled_from([H100, A100, B200, L40S]),
    tp=st.sampled_from([1, 2, 4]),
)
def test_dividing_never_loses_weights_and_never_costs_a_rank_more(
    name: str, capability: ComputeCapability, tp: int
):
    subject = model(name)
    one, more = (fullest(subject, capability, ranks).exact for ranks in (tp, 2 * tp))
    assert more <= one <= 2 * more


@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B", "Qwen/Qwen3-30B-A3B"])
def test_stages_hold_every_layer_once(name: str):
    whole = fullest(model(name))
    stages = weights(model(name), pipeline_parallel_size=4).stages
    assert len(stages) == 4
    for layered in ("attention", "feed-forward", "experts"):
        assert sum(part(stage, layered) for stage in stages) == part(whole, layered)


def test_some_classes_build_embedding_and_head_on_every_stage():
    stages = weights(model("openai/gpt-oss-120b"), pipeline_parallel_size=3).stages
    assert len({stage.exact for stage in stages}) == 1
    first, middle, last = weights(model("meta-llama/Llama-3.1-8B"), pipeline_parallel_size=3).stages
    assert part(middle, "embeddings") == part(middle, "output head") == 0
    assert part(first, "embeddings") == part(last, "output head") > 0


def test_expert_parallelism_keeps_experts_whole():
    subject = model("Qwen/Qwen3-30B-A3B")
    divided = part(fullest(subject, tp=8), "experts")
    whole = part(fullest(subject, tp=8, enable_expert_parallel=True), "experts")
    table = 48 * 128 * 4  # which rank has which expert
    assert whole - divided == table
    spread = part(fullest(subject, data_parallel_size=8, enable_expert_parallel=True), "experts")
    assert spread == whole


def test_data_parallelism_divides_experts_but_not_attention():
    subject = model("Qwen/Qwen3-30B-A3B")
    alone, spread = fullest(subject), fullest(subject, data_parallel_size=8)
    assert part(spread, "experts") * 8 == part(alone, "experts")
    assert part(spread, "attention") == part(alone, "attention")


def test_prediction_layers_are_loaded_when_speculating_with_them():
    subject = model("deepseek-ai/DeepSeek-R1")
    plain = fullest(subject)
    mtp = fullest(subject, speculation=Speculation("mtp", 1))
    ngram = fullest(subject, speculation=Speculation("ngram", 3))
    assert part(mtp, "prediction layers") == mtp.allocated - plain.allocated > 0
    assert ngram == plain


def test_an_online_fp8_request_halves_the_linear_layers():
    subject = model("meta-llama/Llama-3.1-8B")
    plain, online = fullest(subject), fullest(subject, quantization="fp8")
    assert part(online, "feed-forward") * 2 == part(plain, "feed-forward")
    assert part(online, "output head") == part(plain, "output head")


def test_offloading_moves_whole_parameters_until_the_budget():
    subject = model("meta-llama/Llama-3.1-8B")
    plain, offloaded = fullest(subject), fullest(subject, cpu_offload_bytes=2 * BYTES_TO_GIB)
    assert offloaded.exact + offloaded.offloaded == plain.exact
    largest = 2 * 14336 * 4096 * 2
    assert 2 * BYTES_TO_GIB <= offloaded.offloaded < 2 * BYTES_TO_GIB + largest
    everything = fullest(subject, cpu_offload_bytes=100 * BYTES_TO_GIB)
    assert part(everything, "feed-forward") == 0
    assert part(everything, "embeddings") == part(plain, "embeddings")


def test_lora_buffers_by_hand():
    lora = Lora(max_loras=2, max_lora_rank=16)
    stage = fullest(llama(), lora=lora)
    hidden, inner, kv = 1024, 2816, 256
    inputs = 3 * hidden + hidden + 2 * hidden + inner  # q, k, v; o; gate, up; down
    outputs = hidden + 2 * kv + hidden + 2 * inner + hidden
    head = hidden + 32000
    assert part(stage, "LoRA buffers") == 2 * 16 * 2 * (4 * (inputs + outputs) + head)


def test_fully_sharded_lora_costs_a_rank_less():
    subject = llama()
    whole = fullest(subject, tp=4, lora=Lora(4, 32))
    divided = fullest(subject, tp=4, lora=Lora(4, 32, fully_sharded=True))
    assert part(divided, "LoRA buffers") < part(whole, "LoRA buffers")


def test_vision_towers_are_divided_replicated_or_left_out():
    subject = model("Qwen/Qwen3-VL-4B-Instruct")
    divided = part(fullest(subject, tp=4), "vision")
    replicated = part(fullest(subject, tp=4, mm_encoder_tp_mode="data"), "vision")
    assert divided < replicated == part(fullest(subject), "vision")
    assert part(fullest(subject, limit_mm_per_prompt={"image": 0, "video": 0}), "vision") == 0
    assert part(fullest(subject, limit_mm_per_prompt={"image": 0}), "vision") > 0


def test_start_up_buffers_follow_the_batch():
    subject = model("Qwen/Qwen3-VL-4B-Instruct")
    small, large = (
        part(fullest(subject, max_num_batched_tokens=tokens), "start-up buffers")
        for tokens in (8192, 16384)
    )
    assert large == 2 * small == 2 * 3 * 8192 * 2560 * 2
    sparse = fullest(model("zai-org/GLM-5"))
    assert 0.5 < part(sparse, "start-up buffers") / BYTES_TO_GIB < 0.8


def test_quantised_experts_under_unknown_names_are_refused():
    config = dict(model("Qwen/Qwen3-30B-A3B").config)
    config["quantization_config"] = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "quantized_layers": {"model.layers.0.mlp.experts.0.odd": {"quant_algo": "NVFP4"}},
    }
    with pytest.raises(UnsupportedArchitecture, match="experts"):
        fullest(from_config(config))


def test_pooling_drops_the_output_head():
    subject = model("Qwen/Qwen3-Embedding-8B")
    served, pooled = fullest(subject), fullest(subject, pooling=True)
    assert served.allocated - pooled.allocated == part(served, "output head") > 0


def test_weights_are_those_of_vllms_own_classes(shared_dir: Path):
    """Every model of the collected runs that keeps its shape in the catalogue."""
    path = shared_dir / "data" / "vllm_oracle.jsonl"
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        entry = catalog_entry(row["model"])
        # vLLM was given no more than the entry's own keys.
        whole = entry is None or not entry.completed
        if whole and "weights_bytes_per_rank" in row and not row["post_load_errors"]:
            rows.setdefault((row["model"], row["cc"], row["tp"], row["pp"], row["ep"]), row)
    errors: dict[str, float] = defaultdict(float)
    for row in rows.values():
        found = weights(
            model(row["model"]),
            tuple(map(int, row["cc"].split("."))),  # pyright: ignore[reportArgumentType]
            row["tp"],
            dtype=row["dtype"],
            pipeline_parallel_size=row["pp"],
            enable_expert_parallel=row["ep"] > 1,
            max_num_seqs=row["max_num_seqs"],
            max_num_batched_tokens=row["max_num_batched_tokens"],
        )
        for stage, oracle in zip(found.stages, row["weights_bytes_per_pp_rank"], strict=True):
            error = abs(stage.exact - oracle) / oracle
            errors[row["model"]] = max(errors[row["model"]], error)
    close = [name for name, error in errors.items() if error <= 0.005]
    assert len(close) >= 0.98 * len(errors), {n: e for n, e in errors.items() if n not in close}
