"""Which kinds of files a plan gets, and why not others."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest

from vllm_preflight.artifacts.assumptions import assumptions, ray_images
from vllm_preflight.artifacts.bundle import KINDS, no_form, refusal, render_kinds
from vllm_preflight.artifacts.deployment import dns_label
from vllm_preflight.artifacts.profile import changed_plan, read_profile
from vllm_preflight.artifacts.request import ALL_KINDS, ArtifactKind, ArtifactsReport
from vllm_preflight.base.errors import InvalidRequest, PlanRefused
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu
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
        *(KINDS[kind].file for kind in KINDS if kind not in report.skipped),
        "profile.yaml", "README.md",
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


def test_the_claim_has_room_for_a_draft() -> None:
    draft = '{"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}'
    sizes = [
        documents(generated(["model-cache"], gpus=1, **more).files["model-cache.yaml"])[0]
        for more in ({}, {"speculative_config": draft})
    ]
    plain, drafting = (
        int(claim["spec"]["resources"]["requests"]["storage"].removesuffix("Gi")) for claim in sizes
    )
    # 0.6 billion parameters of 16 bits and their embedding, with a fifth to spare.
    assert plain < drafting <= plain + 3


def test_added_flags_are_never_dropped() -> None:
    extra = ("--reasoning-parser", "qwen3", "--served-model-name", "q8", "-O3")
    several = deployment(gpus=16, nodes=2, extra=extra)
    texts = render_kinds(several, ["leaderworkerset", "rayservice"])
    assert texts["leaderworkerset"].count("- --reasoning-parser") == 2
    (ray,) = documents(texts["rayservice"])
    (application,) = documents(ray["spec"]["serveConfigV2"])[0]["applications"]
    (config,) = application["args"]["llm_configs"]
    assert config["engine_kwargs"]["reasoning_parser"] == "qwen3"
    assert config["engine_kwargs"]["optimization_level"] in (3, "3")
    assert config["model_loading_config"]["model_id"] == "q8"


def test_what_the_family_needs_is_in_every_file() -> None:
    report = generated(model="Qwen/Qwen3-32B", gpu="H100")
    family = "--reasoning-parser"
    assert family in report.serve_command
    for name in ("serve.sh", "compose.yaml", "kubernetes.yaml", "helm-values.yaml", "kserve.yaml"):
        assert family in report.files[name], name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"nodes": 1}, "for several machines"),
        ({"gpus": 9, "nodes": 2}, "not spread evenly"),
        ({"gpus": 16, "nodes": 2, "arguments": {"data_parallel_size": 2}}, "share nothing"),
        (
            {
                "gpus": 24,
                "nodes": 3,
                "arguments": {"data_parallel_size": 2},
                "shares_experts": True,
            },
            "each span machines",
        ),
        (
            {
                "gpus": 24,
                "nodes": 3,
                "arguments": {"data_parallel_size": 4},
                "shares_experts": True,
            },
            "not spread evenly over 3 machines",
        ),
        (
            {
                "gpus": 16,
                "nodes": 2,
                "arguments": {"data_parallel_size": 2},
                "shares_experts": True,
                "version": (0, 8, 5),
            },
            "since 0.9.0",
        ),
    ],
)
def test_layouts_that_are_not_laid_out_are_refused(changes: dict[str, Any], says: str) -> None:
    assert says in str(refusal("leaderworkerset", deployment(**changes)))


def test_a_model_without_kv_cache_has_nothing_to_benchmark() -> None:
    assert refusal("bench", deployment(kv_cache_blocks=None)) is not None
    report = generated(["serve", "bench", "bench-job"], model="BAAI/bge-m3", gpu="L4")
    assert set(report.files) == {"serve.sh"}
    assert set(report.skipped) == {"bench", "bench-job"}


def test_a_model_that_embeds_is_served_but_not_benchmarked_as_if_it_wrote() -> None:
    report = generated(model="Qwen/Qwen3-Embedding-0.6B", concurrency=8)
    assert "generates none" in report.skipped["bench"] and "bench.sh" not in report.files
    assert "kubernetes.yaml" in report.files
    chat = generated(model="Qwen/Qwen3-8B", runner="pooling")
    assert all(
        "pooling" in chat.files[name] for name in ("serve.sh", "kubernetes.yaml", "compose.yaml")
    )


def test_a_length_left_to_vllm_is_left_in_every_file() -> None:
    files = generated(max_model_len="auto").files
    for name in ("serve.sh", "docker-run.sh", "vllm.service"):
        assert "--max-model-len auto" in files[name]
    (workload, _) = documents(files["kubernetes.yaml"])
    (container,) = containers_of(workload)
    assert container["args"][-6:-4] == ["--max-model-len", "auto"]


def test_a_rate_is_benchmarked_as_a_rate() -> None:
    report = generated(request_rate=4)
    assert "--request-rate 4 " in report.files["bench.sh"]
    assert "--max-concurrency" not in report.files["bench.sh"]
    assert "--max-concurrency 8" in generated(concurrency=8).files["bench.sh"]


def test_data_parallel_ranks_over_machines_are_laid_out() -> None:
    of = deployment(gpus=16, nodes=2, arguments={"data_parallel_size": 2}, shares_experts=True)
    assert refusal("leaderworkerset", of) is None
    assert "leaderworkerset" in str(refusal("rayservice", of))
    assert refusal("kubernetes", of) is not None


def test_replicas_over_machines_are_a_deployment() -> None:
    report = generated(model="Qwen/Qwen3-14B", gpus=16, nodes=2, concurrency=512)
    (workload, _) = documents(report.files["kubernetes.yaml"])
    (container,) = containers_of(workload)
    gpus = int(container["resources"]["limits"]["nvidia.com/gpu"])
    assert workload["spec"]["replicas"] * gpus == 16 and workload["spec"]["replicas"] > 1
    assert "leaderworkerset" in report.skipped


@pytest.mark.parametrize("gpu", ["MI300X", "Gaudi 3"])
def test_no_image_of_cuda_is_written_for_another_vendor(gpu: str) -> None:
    of = deployment(gpu=find_gpu(gpu))
    assert of.gpu.vendor in str(no_form(of))
    assert no_form(deployment()) is None
    with pytest.raises(PlanRefused):
        generated(gpu=gpu)


def test_a_mig_device_has_no_number_for_docker() -> None:
    of = deployment(gpu=replace(find_gpu("H100"), mig_profile="3g.40gb"))
    assert "nvidia-smi -L" in str(refusal("compose", of))
    assert refusal("kubernetes", of) is None


def test_costs_are_in_the_readme_where_prices_were_given() -> None:
    prices = {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 4}}
    text = generated(["serve", "readme"], prices=prices).files["README.md"]
    assert "## Cost" in text and "4.00 USD an hour" in text
    assert "## Cost" not in generated(["serve", "readme"]).files["README.md"]


def test_no_file_is_an_error() -> None:
    with pytest.raises(InvalidRequest, match=r"None of the kinds applies.*rayservice"):
        generated(["rayservice"])
    with pytest.raises(InvalidRequest, match="No kind of file"):
        generated([])


@pytest.mark.parametrize("kind", ["kubernetes", "llm-d", "kserve", "llminferenceservice"])
def test_a_file_that_mounts_the_claim_comes_with_it(kind: ArtifactKind) -> None:
    assert set(render_kinds(deployment(), [kind])) == {"model-cache", kind}


def test_a_local_model_needs_no_claim() -> None:
    of = deployment(model="/models/x", is_local=True)
    assert list(render_kinds(of, ["kubernetes", "llm-d", "llminferenceservice"])) == ["kubernetes"]


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
        ("x/" + "a" * 100, "vllm-" + "a" * 45),
    ],
)
def test_names_are_dns_labels(model: str, label: str) -> None:
    assert dns_label(model) == label
    assert len(f"{label}-0-0123456789") <= 63


def test_assumptions_are_positive_and_have_a_source() -> None:
    assumed = assumptions()
    assert min(getattr(assumed, name) for name in assumed.__slots__) > 0
    text = files("vllm_preflight.artifacts").joinpath("assumptions.json").read_text("utf-8")
    data = json.loads(text)
    assert set(data["values"]) == set(assumed.__slots__)
    for entry in (*data["values"].values(), data["kv_usage_metrics"], data["charts"]):
        assert len(entry["source"]) > 10
    assert all(entry["unit"] and entry["basis"] for entry in data["values"].values())


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
    ranked = deployment(
        gpus=16, nodes=2, version=version, shares_experts=True,
        arguments={**arguments, "pipeline_parallel_size": 1, "data_parallel_size": 2},
    )  # fmt: skip
    kinds: list[tuple[ArtifactKind, Any]] = [("leaderworkerset", spread)]
    kinds.append(("kserve", one))
    if version >= (0, 9):
        kinds.append(("leaderworkerset", ranked))
    texts = [KINDS[kind].render(of) for kind, of in kinds]
    commands = [
        container["args"]
        for text in texts
        for container in containers_of(documents(text))
        if "--max-num-seqs" in container["args"]
    ]
    assert len(commands) == 2 + (version >= (0, 11, 1)) + 2 * (version >= (0, 9))
    for words in commands:
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in parser_of(version).by_spelling
