"""What is proposed when a workload is not carried: proved, ordered, keeping the question."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.remedy import Remedy
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.market import offered_gpus
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.plan import plan_deployment


def plan(model: str = "Qwen/Qwen3-32B", gpu: str = "H100", **fields: Any) -> PlanResponse:
    return plan_deployment(validate_request(PlanRequest, {"model": model, "gpu": gpu, **fields}))


def remedies(**fields: Any) -> list[Remedy]:
    return plan(**fields).remedies or []


def check_line(command: str, gpu: str = "H100", **fields: Any) -> StartupResponse:
    return predict_startup(
        validate_request(StartupRequest, {"command": command, "gpu": gpu, **fields})
    )


def check(model: str, gpu: str = "H100", **fields: Any) -> StartupResponse:
    return predict_startup(validate_request(StartupRequest, {"model": model, "gpu": gpu, **fields}))


def test_free_settings_come_before_checkpoints_before_gpus() -> None:
    kinds = [
        "kv_cache_dtype" if "kv_cache_dtype" in item.set and len(item.set) == 1
        else "gpu" if "gpu" in item.set
        else "gpus" if "gpus" in item.set
        else "checkpoint"
        for item in remedies(gpus=1, concurrency=70)
    ]  # fmt: skip
    order = ["kv_cache_dtype", "checkpoint", "gpus", "gpu"]
    assert kinds == sorted(kinds, key=order.index) and kinds[0] == "kv_cache_dtype"


def test_a_checkpoint_that_exists_is_named() -> None:
    found = remedies(gpu="RTX 4090", gpus=1)
    assert found[0].set["model"] == "Qwen/Qwen3-32B-AWQ"
    assert found[0].command is not None
    assert found[0].command.startswith("vllm serve Qwen/Qwen3-32B-AWQ")
    assert found[0].gives_up


def test_a_checkpoint_known_by_its_name_is_named() -> None:
    found = remedies(model="meta-llama/Llama-3.3-70B-Instruct", gpu="RTX 3090", gpus=2)
    assert found[0].set["model"] == "casperhansen/llama-3.3-70b-instruct-awq"
    changed: dict[str, Any] = {"gpu": "RTX 3090", "gpus": 2, **found[0].set}
    again = plan(**changed)
    assert again.verdict.outcome == "carries"
    assert again.artifacts.serve_command == found[0].command


def test_with_several_machines_a_remedy_has_the_line_of_each() -> None:
    found = remedies(
        model="deepseek-ai/DeepSeek-V3.1", gpus=8, concurrency=16, prompt_tokens=4000,
        gen_tokens=1000,
    )  # fmt: skip
    (two,) = [item for item in found if item.set.get("nodes") == 2]
    head, worker = two.node_commands or ["", ""]
    assert head == two.command and "--headless" in worker
    assert all(item.node_commands is None for item in found if item is not two)


def test_what_a_refusal_proposes_is_planned_before_it_is_said_to_help() -> None:
    short, scaled = remedies(max_model_len=131_072)
    assert short.set == {"max_model_len": 40_960} and short.gives_up
    assert "YaRN" in (scaled.gives_up or "")
    for item in (short, scaled):
        changed: dict[str, Any] = {"max_model_len": 131_072, **item.set}
        again = plan(**changed)
        assert again.verdict.outcome == "carries"
        assert again.artifacts.serve_command == item.command
    alone = plan(gpus=1, max_model_len=131_072)
    assert not alone.remedies
    assert any("nothing that starts comes of it" in step for step in alone.next_steps)


def test_what_the_card_cannot_do_is_not_proposed() -> None:
    assert not any("kv_cache_dtype" in item.set for item in remedies(gpu="A100-80GB", gpus=1,
                                                                     concurrency=200))  # fmt: skip


def test_what_is_pinned_is_not_changed() -> None:
    found = remedies(gpus=1, concurrency=900, kv_cache_dtype="fp8_e5m2", quantization="fp8")
    assert found
    assert all(item.set.keys().isdisjoint({"kv_cache_dtype", "quantization"}) for item in found)


def test_other_gpus_are_for_rent_or_sale_and_larger() -> None:
    for item in remedies(gpus=1, concurrency=300):
        if "gpu" in item.set:
            assert item.set["gpu"] in offered_gpus()
            assert find_gpu(item.set["gpu"]).visible_bytes > find_gpu("H100").visible_bytes


def test_two_changes_together_where_one_does_not_do() -> None:
    found = remedies(model="Qwen/Qwen3-32B", gpu="L40S", gpus=1, concurrency=200)
    pairs = [item for item in found if "kv_cache_dtype" in item.set and "model" in item.set]
    single = [item for item in found if len(item.set) == 1 and "kv_cache_dtype" in item.set]
    assert bool(pairs) != bool(single) or not pairs


def test_an_open_number_shows_the_checkpoint_for_fewer_cards() -> None:
    answer = plan("Qwen/Qwen3-8B", "RTX 4060 Ti 16GB")
    assert answer.hardware.gpus == 2
    (other,) = answer.alternatives or []
    assert other.set["gpus"] == 1 and other.set["model"] != "Qwen/Qwen3-8B"
    again = plan(**{"gpu": "RTX 4060 Ti 16GB", **other.set})
    assert again.verdict.outcome == "carries"


@pytest.mark.design("4: a remedy is proved by the engine")
@pytest.mark.parametrize("length", [33_000, 36_000, 40_000])
def test_what_makes_a_launch_start_is_safe(length: int) -> None:
    answer = check("Qwen/Qwen3-32B", max_model_len=length)
    assert answer.verdict.outcome in ("borderline", "does_not_start")
    told = answer.startup.failure.remedies if answer.startup.failure else answer.next_steps
    assert told
    for text in told:
        words = text.removeprefix("Start with ").removesuffix(".").split()
        pairs = zip(words[::2], words[1::2], strict=True)
        fields: dict[str, Any] = {"max_model_len": length}
        fields |= {flag[2:].replace("-", "_"): value for flag, value in pairs}
        again = check("Qwen/Qwen3-32B", **fields)
        assert (again.verdict.start_probability or 0) >= 0.95, text


def told_by(answer: StartupResponse) -> list[str]:
    return answer.startup.failure.remedies if answer.startup.failure else []


def test_what_was_said_of_a_launch_is_changed_last() -> None:
    kinds = [text.split()[0] for text in told_by(check("Qwen/Qwen3-32B", max_model_len=34_000))]
    assert kinds[0] == "--max-num-seqs"
    assert kinds.index("--max-model-len") > kinds.index("--kv-cache-dtype")
    assert kinds[-1] == "--tensor-parallel-size"


def test_a_small_share_gets_two_settings_before_the_share_is_changed() -> None:
    line = "vllm serve meta-llama/Llama-3.1-8B-Instruct --gpu-memory-utilization 0.4"
    answer = check_line(line, "A100 40GB")
    told = told_by(answer)
    assert told[0].startswith("--quantization fp8 --max-model-len ")
    shares = [float(text.split()[1]) for text in told if text.startswith("--gpu-memory-util")]
    # A little more with shorter requests, then enough for the model's own length.
    assert shares == sorted(shares) and shares[0] <= 0.5 and shares[-1] < 0.95
    for text in told:
        head = line if "utilization" not in text else line.rpartition(" --gpu")[0]
        again = check_line(f"{head} {text}", "A100 40GB")
        assert (again.verdict.start_probability or 0) >= 0.95, text


def test_memory_that_others_hold_is_said_and_no_cache_is_predicted() -> None:
    answer = check("Qwen/Qwen3-8B", free_vram_gb=40)
    assert answer.startup.available_kv_cache_gib is None and answer.startup.terms is None
    assert answer.startup.weights_gib is not None
    assert answer.hardware.free_gib_per_gpu == 40
    assert answer.verdict.because is not None
    assert "others hold 39.19 of 79.19 GiB" in answer.verdict.because


@pytest.mark.parametrize("free_gb", [20.5, 16.0])
def test_a_small_free_share_gets_a_second_setting(free_gb: float) -> None:
    told = told_by(check("Qwen/Qwen3-8B", free_vram_gb=free_gb))
    assert told
    for text in told:
        again = check_line(f"vllm serve Qwen/Qwen3-8B {text}", free_vram_gb=free_gb)
        assert (again.verdict.start_probability or 0) >= 0.95, text


@pytest.mark.parametrize(("free_gb", "share"), [(40.0, "0.5"), (20.5, "0.25")])
def test_a_share_of_what_is_free_is_rounded_down(free_gb: float, share: str) -> None:
    answer = check("Qwen/Qwen3-4B", free_vram_gb=free_gb)
    assert answer.startup.failure is not None
    assert answer.startup.failure.kind == "free_memory_below_request"
    assert answer.startup.failure.remedies[0].startswith(f"--gpu-memory-utilization {share}")


def test_fewer_gpus_are_laid_out_in_no_more_machines_than_they_need() -> None:
    answer = plan("deepseek-ai/DeepSeek-V3.2")
    assert answer.hardware.gpus == 16
    assert answer.alternatives
    (smaller,) = answer.alternatives
    assert smaller.set["gpus"] == 8 and smaller.node_commands is None
    assert smaller.command is not None and "--data-parallel-address" not in smaller.command


def test_a_remedy_of_more_machines_has_a_line_for_each() -> None:
    # Of these a machine has one.
    question: dict[str, Any] = {
        "model": "deepseek-ai/DeepSeek-V4-Flash-0731",
        "gpu": "DGX Spark",
        "concurrency": 64,
    }
    more = next(item for item in remedies(**question, gpus=1) if item.set.get("gpus") == 2)
    assert more.set["nodes"] == 2 and more.node_commands is not None
    again = plan(**{**question, **more.set})
    assert again.artifacts.node_commands == more.node_commands


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ({"model": "openai/gpt-oss-20b", "gpu": "T4", "gpus": 2}, "gpu"),
        ({"model": "Qwen/Qwen3-8B", "gpu": "V100-32GB"}, "vllm_version"),
        ({"model": "openai/gpt-oss-20b", "gpu": "H100", "vllm_version": "0.10.0"}, "vllm_version"),
    ],
)
def test_where_a_gpu_or_a_release_is_refused_another_is_proved(
    question: dict[str, Any], kind: str
) -> None:
    refused = plan(**question)
    assert refused.verdict.outcome == "refused" and refused.remedies
    for remedy in refused.remedies:
        assert kind in remedy.set
        assert plan(**{**question, **remedy.set}).artifacts.serve_command == remedy.command
