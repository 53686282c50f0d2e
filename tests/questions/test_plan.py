"""Plans: the arithmetic of sizing on real models, its recommendations, and their checks."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment


def plan(model: str, gpu: str = "H100", **fields: Any) -> PlanResponse:
    return plan_deployment(validate_request(PlanRequest, {"model": model, "gpu": gpu, **fields}))


# model, GPU, GPUs, KV bytes of one 4,096-token request over the group. The bytes by hand:
# layers × tokens × 2 (K and V) × KV heads × head size × 2 bytes.
REQUEST_BYTES = {
    # 61 layers × (512 + 64) × 2 bytes, on each of the 8 ranks.
    "deepseek-ai/DeepSeek-R1": ("H200", 8, 8 * 61 * 576 * 2 * 4096),
    # 18 full and 18 sliding layers (window 128) of 8 heads of 64.
    "openai/gpt-oss-120b": ("H100", 1, 18 * (4096 + 128) * 2 * 8 * 64 * 2),
    # 10 full and 52 sliding layers (window 1024) of 16 heads of 128.
    "google/gemma-3-27b-it": ("H100", 1, (10 * 4096 + 52 * 1024) * 2 * 16 * 128 * 2),
    "mistralai/Mixtral-8x7B-Instruct-v0.1": ("H100", 2, 32 * 4096 * 2 * 8 * 128 * 2),
    "meta-llama/Llama-3.1-405B-Instruct-FP8": ("H200", 8, 126 * 4096 * 2 * 8 * 128 * 2),
}
# Qwen3-Next on 2 GPUs: 12 full layers of 2 heads of 256, 36 delta-rule layers whose state a
# rank keeps once per request: 16 × 128 × 128 numbers and 3 rows of 4,096 for the convolution.
REQUEST_BYTES["Qwen/Qwen3-Next-80B-A3B-Instruct"] = (
    "H200",
    2,
    12 * 4096 * 2 * 2 * 256 * 2 + 2 * 36 * (16 * 128 * 128 + 3 * 4096) * 2,
)


@pytest.mark.parametrize("model", REQUEST_BYTES)
def test_the_kv_cache_of_a_request_is_its_architectures(model: str) -> None:
    gpu, gpus, request_bytes = REQUEST_BYTES[model]
    answer = plan(
        model, gpu, gpus=gpus, tensor_parallel_size=gpus, concurrency=4,
        prompt_tokens=4000, gen_tokens=96, fragmentation_factor=1.0,
    )  # fmt: skip
    (term,) = [term for term in answer.terms or [] if term.name == "kv_cache"]
    assert term.bytes == 4 * request_bytes


def _weights_of_vllm(repository: Path) -> dict[tuple[str, int], float]:
    """GiB that vLLM's own classes load per rank on an H100, by model and TP size."""
    path = repository / "benchmarks" / "data" / "oracle_cases.jsonl"
    header, *rows = path.read_text(encoding="utf-8").splitlines()
    names: list[str] = json.loads(header)["launch_fields"]
    found: dict[tuple[str, int], float] = {}
    for row in map(json.loads, rows):
        for values, *_ in row["launches"]:
            launch = dict(zip(names, values, strict=True))
            plain = launch["pp"] == 1 and launch["ep"] == 1 and not launch["post_load_errors"]
            if plain and "H100" in launch["gpu"]:
                found[row["model"], launch["tp"]] = launch["model_loading_took_gib"][0]
    return found


@pytest.mark.parametrize(
    ("model", "tensor_parallel_size"),
    [
        ("deepseek-ai/DeepSeek-R1", 8),
        ("openai/gpt-oss-120b", 1),
        ("mistralai/Mixtral-8x7B-v0.1", 2),
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", 8),
    ],
)
def test_weights_are_what_vllm_loads(
    repository: Path, model: str, tensor_parallel_size: int
) -> None:
    expected = _weights_of_vllm(repository)[model, tensor_parallel_size]
    # The newest release wants to be told that a scheme's end is known.
    old = {"vllm_args": "--allow-deprecated-quantization"} if "405B" in model else {}
    answer = plan(
        model, "H100", gpus=tensor_parallel_size, tensor_parallel_size=tensor_parallel_size, **old
    )
    assert answer.startup is not None and answer.startup.weights_gib is not None
    assert answer.startup.weights_gib == pytest.approx(expected, rel=0.002)
    assert answer.feasibility.weights_gib == pytest.approx(
        expected * tensor_parallel_size, rel=0.002
    )


def test_kv_bytes_per_token_agree_with_vllms_planner(shared_dir: Path) -> None:
    models = set(REQUEST_BYTES)
    checked: set[tuple[str, int, str]] = set()
    with (shared_dir / "data" / "vllm_oracle.jsonl").open(encoding="utf-8") as rows:
        for row in map(json.loads, rows):
            key = (row["model"], row["tp"], row["kv_cache_dtype"])
            usable = not row.get("failed") and row["pp"] == 1 and "H100" in row["gpu"]
            if row["model"] not in models or key in checked or not usable:
                continue
            checked.add(key)
            answer = predict_startup(
                StartupRequest(
                    model=row["model"],
                    gpu="H100",
                    tensor_parallel_size=row["tp"],
                    kv_cache_dtype=row["kv_cache_dtype"],
                    vllm_args="--allow-deprecated-quantization",
                )
            )
            assert answer.startup.kv_bytes_per_token == row["kv_bytes_per_token_per_rank"], key
    assert len(checked) >= 8


def test_the_formula_stays_selectable() -> None:
    fit = plan(
        "Qwen/Qwen3-32B", gpus=1, concurrency=8, vram_gb=80,
        overhead_method="formula", gpu_memory_utilization=0.9,
    ).feasibility  # fmt: skip
    assert fit.vram_total_gib == 80
    assert fit.vram_target_alloc_gib == 72
    assert fit.overhead_gib == fit.overhead_formula_gib == 1.6
    kv = 64 * 2 * 8 * 128 * 2 * 768 * 8 * 1.15 / BYTES_TO_GIB
    assert fit.kv_cache_gib == pytest.approx(kv, abs=0.006)
    assert fit.overhead_gib is not None and fit.required_gib is not None
    assert fit.required_gib == pytest.approx(
        fit.weights_gib + fit.kv_cache_gib + fit.overhead_gib, abs=0.02
    )
    assert fit.headroom_gib == pytest.approx(72 - fit.required_gib, abs=0.02)


def test_the_overhead_is_the_simulated_launchs() -> None:
    answer = plan("Qwen/Qwen3-32B", gpus=2, concurrency=8)
    fit, startup = answer.feasibility, answer.startup
    assert startup is not None and startup.activation_peak_gib and startup.non_torch_gib
    each = startup.activation_peak_gib + startup.non_torch_gib + (startup.cuda_graph_gib or 0)
    assert fit.overhead_method == "engine"
    assert fit.overhead_gib == pytest.approx(2 * each, abs=0.04)
    fixed = plan("Qwen/Qwen3-32B", gpus=2, concurrency=8, overhead_gb=3.5).feasibility
    assert (fixed.overhead_method, fixed.overhead_gib) == ("fixed", 3.5)


@pytest.mark.design("4: fits and the risk are views of the verdict")
def test_fits_and_the_risk_are_views_of_the_verdict() -> None:
    for gpus, concurrency in ((1, 8), (1, 4_000), (2, 64)):
        answer = plan("Qwen/Qwen3-32B", gpus=gpus, concurrency=concurrency)
        assert answer.feasibility.fits == (answer.verdict.outcome == "carries")
        assert (answer.verdict.start_probability or 0) >= 0.95
        assert answer.feasibility.oom_risk == "low"


@pytest.mark.design("3: all terms cover the same thing, the whole tensor-parallel group")
def test_all_terms_cover_the_group() -> None:
    four = plan(
        "Qwen/Qwen3-32B", gpus=4, tensor_parallel_size=4, vram_gb=80,
        overhead_method="formula", gpu_memory_utilization=0.9,
    ).feasibility  # fmt: skip
    assert four.vram_total_gib == 320
    assert four.vram_target_alloc_gib == 288
    # 2 % of 320 GiB and 3 × 0.25 GiB.
    assert four.overhead_gib == 6.4 + 0.75


@pytest.mark.design("3: the context is max_model_len when given, else prompt_tokens + gen_tokens")
def test_the_context_is_max_model_len_when_given_else_the_workloads() -> None:
    typical = plan("Qwen/Qwen3-32B", prompt_tokens=1000, gen_tokens=24).feasibility
    assert (typical.context_tokens, typical.decided_by) == (1024, "typical_length")
    full = plan("Qwen/Qwen3-32B", prompt_tokens=1000, gen_tokens=24, max_model_len=8192)
    assert (full.feasibility.context_tokens, full.feasibility.decided_by) == (8192, "max_model_len")
    short = full.feasibility.max_concurrency_at_typical_length
    long = full.feasibility.max_concurrency_at_full_length
    assert short is not None and long is not None and short > long


def test_an_open_number_is_as_few_as_needed() -> None:
    assert plan("Qwen/Qwen3-8B").hardware.gpus == 1
    answer = plan("meta-llama/Llama-3.1-70B-Instruct", concurrency=4)
    assert answer.verdict.outcome == "carries"
    assert answer.hardware.gpus == 2


@pytest.mark.design("4: GPUs that are given are used")
def test_gpus_that_are_there_are_used() -> None:
    for count in (2, 4, 8):
        answer = plan("Qwen/Qwen3-32B", gpus=count, concurrency=32)
        assert answer.hardware.gpus == count
    crowd = plan("Qwen/Qwen3-8B", gpus=8, concurrency=1_000)
    assert crowd.config.data_parallel_size > 1


@pytest.mark.design("4: no command is printed for what does not start")
def test_what_cannot_start_says_so_on_the_gpus_there_are() -> None:
    answer = plan("deepseek-ai/DeepSeek-R1", gpus=2)
    assert answer.verdict.outcome == "does_not_start"
    assert answer.artifacts.serve_command is None
    assert answer.hardware.gpus == 2


def test_two_machines_get_a_line_each() -> None:
    answer = plan("deepseek-ai/DeepSeek-R1", gpus=16, nodes=2, concurrency=4)
    assert answer.verdict.outcome == "carries"
    head, worker = answer.artifacts.node_commands or ["", ""]
    assert head == answer.artifacts.serve_command
    assert "--headless" in worker and "--headless" not in head
    staged = plan(
        "deepseek-ai/DeepSeek-R1", gpus=16, nodes=2,
        tensor_parallel_size=8, pipeline_parallel_size=2,
    )  # fmt: skip
    head, worker = staged.artifacts.node_commands or ["", ""]
    assert "--node-rank 0" in head and "--node-rank 1 --headless" in worker
    assert "--nnodes 2" in head


@pytest.mark.design("2: what the user pins is kept")
def test_what_is_pinned_is_kept() -> None:
    pins: dict[str, Any] = {
        "max_model_len": 9000,
        "max_num_seqs": 7,
        "max_num_batched_tokens": 4096,
    }
    answer = plan("Qwen/Qwen3-8B", gpus=4, tensor_parallel_size=4, **pins)
    config = answer.config
    assert answer.artifacts.serve_command is not None
    assert all(f"--{name.replace('_', '-')} " in answer.artifacts.serve_command for name in pins)
    assert {name: getattr(config, name) for name in pins} == pins
    assert config.tensor_parallel_size == 4
    assert all(config.explanations[name] == "as asked" for name in (*pins, "tensor_parallel_size"))


def test_latency_gets_few_sequences_and_small_steps() -> None:
    config = plan("Qwen/Qwen3-8B", concurrency=20, batching_mode="latency").config
    assert (config.max_num_seqs, config.max_num_batched_tokens) == (20, 2048)
    for mode in ("throughput", "balanced"):
        plain = plan("Qwen/Qwen3-8B", concurrency=20, batching_mode=mode)
        assert plain.artifacts.serve_command is not None
        assert "--max-num" not in plain.artifacts.serve_command


def test_the_serve_command_starts_as_predicted() -> None:
    answer = plan("Qwen/Qwen3-32B", concurrency=16, gpus=2)
    assert answer.startup is not None and answer.startup.starts
    again = predict_startup(
        StartupRequest(gpu="H100", command=answer.artifacts.serve_command, gpus=2)
    )
    assert again.startup.model_dump(exclude={"terms"}) == answer.startup.model_dump(
        exclude={"terms"}
    )


@pytest.mark.parametrize(
    ("model", "gpu", "fields"),
    [
        ("Qwen/Qwen3-32B", "RTX 4090", {"gpus": 1}),
        ("Qwen/Qwen3-32B", "H100", {"gpus": 1, "concurrency": 400}),
        ("meta-llama/Llama-3.1-70B-Instruct", "A100-80GB", {"gpus": 1}),
        ("openai/gpt-oss-120b", "L40S", {"gpus": 1}),
        ("Qwen/Qwen3-32B", "H100", {"gpus": 1, "max_model_len": 40_960, "concurrency": 2}),
    ],
)
def test_remedies_carry_the_question(model: str, gpu: str, fields: dict[str, Any]) -> None:
    answer = plan(model, gpu, **fields)
    assert answer.verdict.outcome != "carries"
    assert answer.remedies
    asked = {"concurrency", "prompt_tokens", "gen_tokens", "max_model_len"}
    for remedy in answer.remedies:
        assert remedy.tool == "plan_deployment" and asked.isdisjoint(remedy.set)
        again = plan(**{"model": model, "gpu": gpu, **fields, **remedy.set})
        assert again.verdict.outcome == "carries", remedy
        assert again.artifacts.serve_command == remedy.command


def test_a_larger_concurrency_than_fits_waits() -> None:
    answer = plan("Qwen/Qwen3-32B", gpus=1, concurrency=400)
    most = answer.feasibility.max_concurrency_at_context
    assert answer.verdict.outcome == "queues"
    assert f"{most} of 400 requests" in answer.verdict.sentence
    assert answer.artifacts.serve_command is not None
    assert plan("Qwen/Qwen3-32B", gpus=1, concurrency=most).verdict.outcome == "carries"


def test_no_length_is_promised_beyond_the_models_own() -> None:
    answer = plan("Qwen/Qwen3-8B", concurrency=1)
    assert answer.feasibility.max_context_at_concurrency == answer.model.max_position == 40_960
    crowded = plan("Qwen/Qwen3-8B", gpus=1, concurrency=64).feasibility.max_context_at_concurrency
    assert crowded is not None and crowded < 40_960


def test_a_model_that_reads_a_prompt_in_one_step_gets_room_for_it() -> None:
    answer = plan("BAAI/bge-m3", "L4", concurrency=32)
    assert answer.verdict.outcome == "carries"
    assert answer.config.max_num_batched_tokens >= answer.config.max_model_len
    assert answer.startup is not None and answer.startup.starts


def test_memory_that_others_hold_is_left_to_them() -> None:
    answer = plan("Qwen/Qwen3-8B", gpus=1, free_vram_gb=40)
    assert answer.verdict.outcome == "carries"
    assert answer.config.gpu_memory_utilization < 40 / answer.hardware.visible_gib_per_gpu
    assert "--gpu-memory-utilization" in (answer.artifacts.serve_command or "")


def test_arguments_vllm_refuses_are_refused() -> None:
    split = plan("Qwen/Qwen3-32B", gpus=8, tensor_parallel_size=3)
    assert split.verdict.outcome == "refused"
    assert "divisible by tensor parallel size" in split.verdict.sentence
    assert split.artifacts.serve_command is None
    long = plan("Qwen/Qwen3-32B", max_model_len=50_000)
    assert "max_model_len (50000) is greater" in long.verdict.sentence
    with pytest.raises(InvalidRequest, match=r"prompt_tokens \+ gen_tokens is 50,256, but Qwen"):
        plan("Qwen/Qwen3-32B", prompt_tokens=50_000)
    with pytest.raises(InvalidRequest, match="needs 16 GPUs, but there are 8"):
        plan("Qwen/Qwen3-32B", gpus=8, tensor_parallel_size=8, pipeline_parallel_size=2)


def test_requests_in_flight_follow_from_a_rate() -> None:
    answer = plan("Qwen/Qwen3-14B", "L40S", prompt_tokens=1000, gen_tokens=300, request_rate=2)
    assert answer.performance is not None
    # Little: requests in flight are the rate times what each takes.
    flight = 2 * answer.performance.latency_ms / 1e3
    assert answer.feasibility.concurrency == pytest.approx(flight, rel=0.15)


def test_an_unused_gpu_has_a_reason() -> None:
    answer = plan("Qwen/Qwen3-32B", gpus=3, concurrency=2)
    if answer.hardware.gpus < 3:
        assert "3 GPUs are there" in answer.next_steps[0]


def test_a_short_model_gets_a_workload_it_takes() -> None:
    answer = plan("BAAI/bge-large-en-v1.5", "L4")
    assert answer.verdict.outcome == "carries"
    assert answer.feasibility.context_tokens <= answer.model.max_position


def test_a_checkpoint_that_is_only_supposed_has_no_command() -> None:
    stored = plan("Qwen/Qwen3-32B", "RTX 4090", quantization="awq", gpus=1)
    assert stored.model.model == "Qwen/Qwen3-32B-AWQ"
    assert "--quantization" not in (stored.artifacts.serve_command or "--quantization")
    supposed = plan("Qwen/Qwen3-1.7B", quantization="gptq", gpus=1)
    assert supposed.artifacts.serve_command is None
    assert any("nothing to run" in warning for warning in supposed.warnings)


def test_progress_is_only_told_while_the_network_is_asked() -> None:
    told: list[str] = []
    plan_deployment(PlanRequest(model="Qwen/Qwen3-8B", gpu="H100"), progress=told.append)
    assert told == []


MODELS = st.sampled_from(
    [
        "Qwen/Qwen3-8B",
        "google/gemma-3-27b-it",
        "deepseek-ai/DeepSeek-R1",
        "Qwen/Qwen3-Next-80B-A3B-Instruct",
        "openai/gpt-oss-120b",
    ]
)
SIZES = st.sampled_from([1, 2, 4, 8])
FEW = settings(max_examples=25, deadline=None)


def headroom(model: str, size: int, vram: float, tokens: int, concurrency: int) -> float:
    answer = plan(
        model, "H200", gpus=size, tensor_parallel_size=size, vram_gb=vram,
        prompt_tokens=tokens, gen_tokens=1, concurrency=concurrency,
        # vLLM's defaults of both hang on the size of the card.
        max_num_seqs=256, max_num_batched_tokens=8_192,
    )  # fmt: skip
    assert answer.feasibility.headroom_gib is not None
    return answer.feasibility.headroom_gib


@FEW
@given(MODELS, SIZES, st.integers(1, 8_000), st.integers(1, 8_000), st.integers(1, 64))
def test_longer_requests_never_leave_more(
    model: str, size: int, tokens: int, further: int, concurrency: int
) -> None:
    short = headroom(model, size, 140, tokens, concurrency)
    long = headroom(model, size, 140, tokens + further, concurrency)
    assert long <= short


@FEW
@given(MODELS, SIZES, st.integers(1, 4_000), st.integers(1, 256), st.integers(1, 256))
def test_more_requests_never_leave_more(
    model: str, size: int, tokens: int, concurrency: int, further: int
) -> None:
    few = headroom(model, size, 140, tokens, concurrency)
    many = headroom(model, size, 140, tokens, concurrency + further)
    assert many <= few


@FEW
@given(MODELS, SIZES, st.floats(8, 200), st.floats(1, 100))
def test_more_memory_never_leaves_less(model: str, size: int, vram: float, further: float) -> None:
    assert headroom(model, size, vram + further, 768, 8) >= headroom(model, size, vram, 768, 8)


@FEW
@given(MODELS, SIZES, st.integers(1, 32))
def test_the_group_is_its_ranks(model: str, size: int, concurrency: int) -> None:
    answer = plan(model, "H200", gpus=size, tensor_parallel_size=size, concurrency=concurrency)
    fit, startup, gpu = answer.feasibility, answer.startup, answer.hardware
    assert startup is not None and startup.weights_gib is not None
    assert math.isclose(fit.vram_total_gib, gpu.visible_gib_per_gpu * size, abs_tol=0.05)
    assert math.isclose(fit.weights_gib, startup.weights_gib * size, abs_tol=0.01 * size)
    assert fit.required_gib is not None and fit.overhead_gib is not None
    assert math.isclose(
        fit.required_gib, fit.weights_gib + fit.kv_cache_gib + fit.overhead_gib, abs_tol=0.03
    )


@FEW
@given(MODELS, SIZES, st.integers(1, 3_000), st.integers(1, 200))
def test_the_most_that_runs_at_once_is_carried_and_one_more_waits(
    model: str, size: int, tokens: int, concurrency: int
) -> None:
    fields: dict[str, Any] = {
        "gpus": size,
        "tensor_parallel_size": size,
        "prompt_tokens": tokens,
        "gen_tokens": 1,
        "max_num_seqs": 1_024,
        "max_model_len": tokens + 1,
        "decode_context_parallel_size": 1,
    }
    most = plan(model, "H200", concurrency=concurrency, **fields).feasibility
    at_once = most.max_concurrency_at_context
    assert at_once is not None
    if at_once:
        assert plan(model, "H200", concurrency=at_once, **fields).verdict.outcome == "carries"
    assert plan(model, "H200", concurrency=at_once + 1, **fields).verdict.outcome != "carries"


def test_of_a_launch_that_is_not_modelled_no_figure_hangs_on_its_start() -> None:
    fit = plan("Qwen/Qwen3-8B", "MI300X", gpus=1).feasibility
    assert not fit.fits and fit.weights_gib > 0
    assert (fit.oom_risk, fit.overhead_gib, fit.headroom_gib) == (None, None, None)
    assert fit.max_concurrency_at_context is None
    # By the formula, which knows no vendor, the sum is whole.
    formula = plan("Qwen/Qwen3-8B", "MI300X", gpus=1, overhead_method="formula").feasibility
    assert formula.headroom_gib is not None and formula.oom_risk is None
