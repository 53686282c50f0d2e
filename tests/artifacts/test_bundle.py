"""Which kinds of files a plan gets, and why not others."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.artifacts.assumptions import assumptions, ray_images
from vllm_preflight.artifacts.bundle import KINDS, refusal, render_kinds
from vllm_preflight.artifacts.deployment import dns_label
from vllm_preflight.artifacts.profile import changed_plan, read_profile
from vllm_preflight.artifacts.request import ALL_KINDS, ArtifactKind, ArtifactsReport
from vllm_preflight.base.errors import PlanRefused
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.questions.generate import generate_artifacts
from vllm_preflight.questions.plan import answer_plan, make_plan, plan_deployment

from .conftest import containers_of, deployment, documents


def generated(kinds: Any = ALL_KINDS, **fields: Any) -> ArtifactsReport:
    fields = {"model": "Qwen/Qwen3-8B", "gpu": "H100", **fields}
    return generate_artifacts(changed_plan(None, fields), kinds)


def test_one_machine_gets_the_files_of_one_machine() -> None:
    report = generated(concurrency=8)
    assert set(report.skipped) == {"leaderworkerset", "rayservice"}
    assert set(report.files) == {
        *(KINDS[kind].file for kind in KINDS if kind not in report.skipped), "profile.yaml",
    }  # fmt: skip
    assert all(text.endswith("\n") for text in report.files.values())


def test_the_benchmark_names_the_estimated_speed() -> None:
    plan = plan_deployment(validate_request(PlanRequest, {"model": "Qwen/Qwen3-8B", "gpu": "H100"}))
    assert plan.performance is not None
    low, high = plan.performance.interval["output_tokens_per_s"]
    assert f"estimated: {low:g} to {high:g} (80 %)" in generated(["bench"]).files["bench.sh"]


def test_several_machines_get_the_files_of_several() -> None:
    report = generated(
        model="deepseek-ai/DeepSeek-R1", gpus=16, nodes=2, vllm_version="0.26.0",
        tensor_parallel_size=8, pipeline_parallel_size=2,
    )  # fmt: skip
    assert {"leaderworkerset.yaml", "rayservice.yaml"} <= set(report.files)
    assert {"serve", "docker", "compose", "systemd", "kubernetes", "helm"} <= set(report.skipped)
    assert not any("serve.sh" in step for step in report.next_steps)


def test_ray_is_only_offered_with_the_release_planned_for() -> None:
    several = deployment(gpus=16, nodes=2, version=(0, 33, 0))
    assert "no image of Ray Serve LLM with vLLM 0.33.0" in str(refusal("rayservice", several))
    for image in ray_images():
        known = deployment(gpus=16, nodes=2, version=parse_version(image.vllm))
        assert refusal("rayservice", known) is None
        assert image.ray in image.image


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nodes": 1}, "for several machines"),
        ({"gpus": 9, "nodes": 2}, "not spread evenly"),
        ({"gpus": 16, "nodes": 2, "arguments": {"data_parallel_size": 2}}, "replicas"),
    ],
)
def test_layouts_that_are_not_laid_out_are_refused(changes: dict[str, Any], says: str) -> None:
    assert says in str(refusal("leaderworkerset", deployment(**changes)))


def test_a_model_without_kv_cache_has_nothing_to_benchmark() -> None:
    assert refusal("bench", deployment(kv_cache_blocks=None)) is not None
    report = generated(["serve", "bench", "bench-job"], model="BAAI/bge-m3", gpu="L4")
    assert set(report.files) == {"serve.sh"}
    assert set(report.skipped) == {"bench", "bench-job"}


@pytest.mark.parametrize("kind", ["docker", "compose", "systemd"])
def test_a_file_that_reads_variables_comes_with_them(kind: ArtifactKind) -> None:
    assert list(render_kinds(deployment(), [kind])) == ["env", kind]


@pytest.mark.design("4: no file is written for what does not start")
def test_a_plan_that_would_fail_gets_no_files() -> None:
    with pytest.raises(PlanRefused, match="No files are written") as refused:
        generated(model="Qwen/Qwen3-32B", gpu="L4", gpus=1)
    assert refused.value.exit_code == 1
    assert "Plan with" in refused.value.hint


def test_the_profile_gives_the_same_files_again() -> None:
    first = generated(concurrency=8, kv_cache_dtype="fp8", max_loras=2, enable_lora=True)
    profile = read_profile(first.files["profile.yaml"])
    assert generate_artifacts(profile, ALL_KINDS) == first


def test_every_argument_the_plan_reckons_with_is_served() -> None:
    asked: dict[str, Any] = {
        "model": "Qwen/Qwen3-8B",
        "gpu": "H100",
        "enable_lora": True,
        "max_loras": 2,
        "max_lora_rank": 32,
        "kv_cache_memory_bytes": 20 * 2**30,
        "limit_mm_per_prompt": {"image": 1},
        "speculative_config": {"method": "ngram", "num_speculative_tokens": 2},
        "tensor_parallel_size": 2,
        "decode_context_parallel_size": 1,
        "enforce_eager": True,
    }
    request = validate_request(PlanRequest, asked)
    made = make_plan(request)
    plan, arguments = answer_plan(made), made.arguments
    assert (asked.keys() - {"model", "gpu"}) <= arguments.keys()
    assert plan.artifacts.serve_command is not None
    fields = parse_command(plan.artifacts.serve_command).fields
    assert {name: fields[name] for name in arguments} == arguments


@pytest.mark.parametrize(
    ("model", "label"),
    [
        ("Qwen/Qwen3-32B", "vllm-qwen3-32b"),
        ("/models/My Model_v1.0/", "vllm-my-model-v1-0"),
        ("模型", "vllm"),
        ("x/" + "a" * 100, "vllm-" + "a" * 52),
    ],
)
def test_names_are_dns_labels(model: str, label: str) -> None:
    assert dns_label(model) == label
    assert len(f"{label}-bench") <= 63


def test_assumptions_are_positive() -> None:
    assumed = assumptions()
    assert min(getattr(assumed, name) for name in assumed.__slots__) > 0


@pytest.mark.parametrize(
    "release", ["0.8.3", "0.8.5", "0.9.0", "0.10.2", "0.11.1", "0.19.0", "0.33.0"]
)
def test_every_flag_written_is_one_of_the_release(release: str) -> None:
    version = parse_version(release)
    arguments = {
        "tensor_parallel_size": 8,
        "pipeline_parallel_size": 2,
        "enable_expert_parallel": True,
        "enforce_eager": False,
        "enable_prefix_caching": False,
        "max_num_seqs": 64,
        "limit_mm_per_prompt": '{"image": 1}',
        "speculative_config": '{"method": "ngram"}',
    }
    spread = deployment(gpus=16, nodes=2, version=version, arguments=arguments)
    one = deployment(version=version, arguments=arguments)
    texts = [KINDS["leaderworkerset"].render(spread), KINDS["kserve"].render(one)]
    commands = [
        container["args"]
        for text in texts
        for container in containers_of(documents(text))
        if "--max-num-seqs" in container["args"]
    ]
    assert len(commands) == (3 if version >= (0, 11, 1) else 2)
    for words in commands:
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in parser_of(version).by_spelling
