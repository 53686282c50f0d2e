from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.inputs import EngineInput, HardwareInput, ModelInput
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.flags import all_flags, human_readable_int
from vllm_preflight.launch.versions import parse_version


@pytest.mark.design("4: a literal command is parsed with vLLM's flag names and aliases")
@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("-tp 2 -pp=3 -dp 4 -dcp 2", {
            "tensor_parallel_size": 2,
            "pipeline_parallel_size": 3,
            "data_parallel_size": 4,
            "decode_context_parallel_size": 2,
        }),
        ("--gpu_memory_utilization=0.95", {"gpu_memory_utilization": 0.95}),
        ("-ep --enforce-eager", {"enable_expert_parallel": True, "enforce_eager": True}),
        ("--no-enable-prefix-caching", {"enable_prefix_caching": False}),
        ("--no_enable_prefix_caching", {"enable_prefix_caching": False}),
        ("--enable-prefix-caching False", {"enable_prefix_caching": False}),
        ("--max-model-len 32K", {"max_model_len": 32768}),
        ("--max-model-len 32k --max-model-len 4k", {"max_model_len": 4000}),
        ("--max-num-batched-tokens 25.6k", {"max_num_batched_tokens": 25600}),
        ("--kv-cache-memory-bytes 40G", {"kv_cache_memory_bytes": 40 * 2**30}),
        ("-q awq --dtype half", {"quantization": "awq", "dtype": "half"}),
        (
            "--speculative-config.method mtp --speculative-config.num_speculative_tokens 2",
            {"speculative_config": '{"method": "mtp", "num_speculative_tokens": 2}'},
        ),
        ("--limit-mm-per-prompt image=2,video=0", {"limit_mm_per_prompt": "image=2,video=0"}),
        (
            "--limit-mm-per-prompt.image 2 --limit-mm-per-prompt.video=0",
            {"limit_mm_per_prompt": '{"image": 2, "video": 0}'},
        ),
        ("--quantization None --max-model-len '' --", {}),
        (
            "--speculative-model x/eagle3 --num-speculative-tokens 5",
            {"speculative_config": '{"model": "x/eagle3", "num_speculative_tokens": 5}'},
        ),
        ("--enable-lora --max-lora-rank 64", {"enable_lora": True, "max_lora_rank": 64}),
    ],
)  # fmt: skip
def test_flags_become_the_fields_of_a_request(words: str, fields: dict[str, Any]) -> None:
    assert parse_command(f"vllm serve a/b {words}").fields == {**fields, "model": "a/b"}


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        ("--max-model-len auto", {"max_model_len": "auto"}),
        ("--max-model-len -1", {"max_model_len": "auto"}),
        ("-O3", {"optimization_level": 3}),
        ("-O 0", {"optimization_level": 0}),
        ("-O.cudagraph_mode=NONE", {"compilation_config": {"cudagraph_mode": "NONE"}}),
        (
            "-cc.a.b 1 --compilation-config '{\"level\": 3}'",
            {"compilation_config": {"level": 3, "a": {"b": 1}}},
        ),
        ("--cudagraph-capture-sizes 1 2 4 --skip-mm-profiling", {
            "cudagraph_capture_sizes": [1, 2, 4],
            "skip_mm_profiling": True,
        }),
        ("--no-async-scheduling", {"async_scheduling": False}),
        ("--hf-overrides '{\"a\": {\"b\": 2}}'", {"hf_overrides": {"a": {"b": 2}}}),
    ],
)  # fmt: skip
def test_arguments_without_a_field_are_kept_by_their_names(
    words: str, extra: dict[str, Any]
) -> None:
    assert parse_command(f"vllm serve a/b {words}").extra == extra


def test_the_positional_model_wins_over_the_flag() -> None:
    parsed = parse_command("vllm serve a --model b")
    assert parsed.fields["model"] == "a"
    assert "replaces --model 'b'" in parsed.warnings[0]


def test_a_command_without_a_model_leaves_it_to_the_request() -> None:
    assert "model" not in parse_command("vllm serve -tp 2").fields


def test_flags_without_effect_are_read_over() -> None:
    parsed = parse_command(
        "vllm serve a --port 8000 --served-model-name x y --enable-auto-tool-choice "
        "--tool-call-parser hermes --api-key sk-secret -tp 2"
    )
    assert parsed.fields == {"model": "a", "tensor_parallel_size": 2}
    assert (parsed.extra, parsed.unknown, parsed.warnings) == ({}, (), ())


def test_unknown_flags_are_named_with_their_values_skipped() -> None:
    parsed = parse_command("vllm serve a --frobnicate 1 2 --quux=3 -tp 2")
    assert parsed.unknown == ("--frobnicate", "--quux")
    assert parsed.fields["tensor_parallel_size"] == 2


def test_what_the_engine_does_not_follow_is_said() -> None:
    parsed = parse_command("vllm serve a --attention-backend FLASHINFER")
    assert parsed.extra == {"attention_backend": "FLASHINFER"}
    assert parsed.warnings == (
        "--attention-backend may change memory, but is not taken into account.",
    )


def test_overrides_of_the_config_are_collected() -> None:
    parsed = parse_command(
        "vllm serve a --rope-theta 5e5 --hf-overrides '{\"max_position_embeddings\": 9}'"
    )
    assert parsed.config_overrides == {"rope_theta": 5e5, "max_position_embeddings": 9}
    assert parse_command("vllm serve a").config_overrides == {}


def test_a_unique_beginning_of_a_flag_is_that_flag() -> None:
    parsed = parse_command("vllm serve a --max-num-seq 30 --tensor_parallel=2")
    assert parsed.fields == {"model": "a", "max_num_seqs": 30, "tensor_parallel_size": 2}
    assert parsed.warnings[0].startswith("--max-num-seq is read as --max-num-seqs")
    with pytest.raises(InvalidRequest, match="no flag --max-num"):
        parse_command("vllm serve a --max-num-batchd-tokens 30")


def test_a_config_file_is_reported_and_not_read() -> None:
    (warning,) = parse_command("vllm serve a --config /etc/passwd").warnings
    assert "'/etc/passwd' of --config is not read" in warning


def test_variables_that_bear_on_memory_are_kept_and_secrets_are_not() -> None:
    parsed = parse_command(
        "HF_TOKEN=hf_x VLLM_API_KEY=k CUDA_VISIBLE_DEVICES=0,1 "
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve a"
    )
    assert parsed.environment == {
        "CUDA_VISIBLE_DEVICES": "0,1",
        "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    }


def test_an_images_tag_is_the_version() -> None:
    parsed = parse_command(
        "docker run vllm/vllm-openai:v0.10.1.1 --model a --mamba-cache-mode none"
    )
    assert parsed.fields["vllm_version"] == "0.10.1.1"
    assert "has no --mamba-cache-mode" in parsed.warnings[0]
    latest = parse_command("docker run vllm/vllm-openai:latest --model a")
    assert "vllm_version" not in latest.fields
    assert "names no release" in latest.warnings[0]
    with pytest.raises(InvalidRequest, match="V0 engine"):
        parse_command("docker run vllm/vllm-openai:v0.6.0 --model a")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--max-model-length 5", "no flag --max-model-length; did you mean --max-model-len"),
        ("--gpu-memory-utilisation 0.9", "did you mean --gpu-memory-utilization"),
        ("--tensor-parallel-sise=2", "did you mean --tensor-parallel-size"),
        ("--max-model-len 1.5K", "--max-model-len is '1.5K', but must be a whole number before"),
        ("--max-model-len 8x", "--max-model-len is '8x', but must be a whole number"),
        ("--max-num-seqs 1k", "--max-num-seqs is '1k', but must be a whole number"),
        ("--max_num_seqs 2.0", "--max_num_seqs is '2.0'"),
        ("--num-gpu-blocks-override 0", "--num-gpu-blocks-override is '0', but must be at least 1"),
        ("--cudagraph-capture-sizes 8 -1", "at least 1"),
        ("--swap-space -3", "at least 0"),
        ("-tp 99999999999999999999", "at most 18 digits"),
        ("--limit-mm-per-prompt.image x", "limit_mm_per_prompt has image 'x'"),
        ("-tp two", "-tp is 'two', but must be a whole number"),
        ("-tp", "-tp needs a value"),
        ("-tp --enforce-eager", "-tp needs a value"),
        ("--gpu-memory-utilization nan", "must be a number"),
        ("--gpu-memory-utilization 1.5", "gpu_memory_utilization is 1.5, but must be"),
        ("-tp 0", "tensor_parallel_size is 0, but must be"),
        ("--dtype int4", "dtype is 'int4', but must be"),
        ("--mm-encoder-tp-mode datum", "must be one of weights, data"),
        ("--enable-prefix-caching=perhaps", "must be true or false"),
        ("--speculative-config {method:mtp}", "--speculative-config is .* not JSON"),
        ("--compilation-config 3", "must be a JSON object"),
        ("--compilation-config.mode", "cannot be read as one key"),
        ("--max-model-len.x 3", "cannot be read as one key"),
        ("-cc.a 1 -cc.a.b 2", "already has a value"),
        ("b", "the word 'b', which belongs to no flag"),
        ("--max-lora-rank 7", "max_lora_rank is 7"),
    ],
)
def test_what_vllm_cannot_parse_is_refused_by_name(words: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_command(f"vllm serve a {words}")


def test_a_model_that_is_an_unset_variable_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"variable \$MODEL"):
        parse_command("vllm serve $MODEL")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1k", 1000), ("1K", 1024), ("2m", 2_000_000), ("1M", 2**20), ("1G", 2**30),
        ("1g", 10**9), ("1T", 2**40), ("25.6k", 25600), ("0.5k", 500), (" 7 ", 7), ("-1", -1),
    ],
)  # fmt: skip
def test_suffixes_mean_what_vllm_takes_them_for(text: str, value: int) -> None:
    assert human_readable_int(text) == value


@pytest.mark.parametrize("text", ["", "k", "1.5K", "1kk", "1e3", "1,000", "0x10", "1 k"])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        human_readable_int(text)


def test_every_engine_field_has_a_flag() -> None:
    # What a request says of the machine rather than of vLLM has none.
    not_arguments = {"gpu", "gpus", "vram_gb", "interconnect", "nodes", "params_b"}
    not_arguments |= {"vllm_version", "free_vram_gb", "calibration", "compile_cache"}
    fields = {
        name for model in (ModelInput, HardwareInput, EngineInput) for name in model.model_fields
    }
    flags = {flag.name for flag in all_flags() if flag.target == "request"}
    assert flags == fields - not_arguments


def test_the_table_of_flags_is_sound() -> None:
    folder = resources.files("vllm_preflight.launch")
    table = json.loads(folder.joinpath("flags.json").read_text(encoding="utf-8"))
    assert table["source"] and table["date"] and table["types"]
    spellings = [name for flag in all_flags() for name in (flag.flag, *flag.aliases)]
    assert len(spellings) == len(set(spellings))
    for flag in all_flags():
        assert flag.flag.startswith("--") and "_" not in flag.flag
        assert flag.kind in table["types"]
        assert flag.target in {"request", "extra", "none"}
        for version in (flag.since, flag.until):
            assert version is None or parse_version(version)
