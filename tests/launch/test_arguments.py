from __future__ import annotations

import json
import shlex
from importlib import resources
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.inputs import EngineInput, HardwareInput, ModelInput
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.flags.bearing import all_flags
from vllm_preflight.launch.flags.table import lifetime
from vllm_preflight.launch.flags.values import human_readable_int


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
        ("--max-model-len 32K", {"max_model_len": 32768}),
        ("--max-model-len 32k --max-model-len 4k", {"max_model_len": 4000}),
        ("--max-num-batched-tokens 25.6k", {"max_num_batched_tokens": 25600}),
        ("--kv-cache-memory-bytes 40G", {"kv_cache_memory_bytes": 40 * 2**30}),
        ("-q awq --dtype half", {"quantization": "awq", "dtype": "half"}),
        (
            "--speculative-config.method mtp --speculative-config.num_speculative_tokens 2",
            {"speculative_config": '{"method": "mtp", "num_speculative_tokens": 2}'},
        ),
        (
            "--limit-mm-per-prompt.image 2 --limit-mm-per-prompt.video=0",
            {"limit_mm_per_prompt": '{"image": 2, "video": 0}'},
        ),
        ("--quantization fp8 --quantization None --", {}),
        (
            "--spec-method eagle3 --spec-model x/y --spec-tokens 5",
            {
                "speculative_config": '{"method": "eagle3", "model": "x/y", '
                '"num_speculative_tokens": 5}'
            },
        ),
        ("--device-memory-utilization 0.5", {"gpu_memory_utilization": 0.5}),
        ("--disable-prefix-caching", {"enable_prefix_caching": False}),
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
        ("-cc.cudagraph_mode=NONE", {"compilation_config": {"cudagraph_mode": "NONE"}}),
        (
            # The keys given one by one come last, and replace the whole object.
            "-cc.pass_config.fuse_norm_quant true --compilation-config '{\"mode\": 3}'",
            {"compilation_config": {"pass_config": {"fuse_norm_quant": True}}},
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


EARLY: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("0.8.4", "--enable-chunked-prefill False", {}, {"enable_chunked_prefill": False}),
    ("0.8.4", "--limit-mm-per-prompt image=2,video=0", {
        "limit_mm_per_prompt": '{"image": 2, "video": 0}',
    }, {}),
    ("0.8.2", "--speculative-model x/eagle3 --num-speculative-tokens 5", {
        "speculative_config": '{"model": "x/eagle3", "num_speculative_tokens": 5}',
    }, {}),
    ("0.8.5", "-O3", {}, {"compilation_config": {"level": 3}}),
    ("0.10.2", "-O3", {}, {"compilation_config": {"level": 3}}),
    ("0.11.1", "-O 2", {}, {"compilation_config": {"mode": 2}}),
    ("0.12.0", "-O.cudagraph_mode NONE", {}, {"compilation_config": {"cudagraph_mode": "NONE"}}),
    ("0.10.2", "--cuda-graph-sizes 8 16", {}, {"cudagraph_capture_sizes": [8, 16]}),
    ("0.10.2", "--cuda-graph-sizes 64", {}, {"max_cudagraph_capture_size": 64}),
]  # fmt: skip


@pytest.mark.parametrize(("version", "words", "fields", "extra"), EARLY)
def test_early_releases_read_what_they_had(
    version: str, words: str, fields: dict[str, Any], extra: dict[str, Any]
) -> None:
    parsed = parse_command(f"vllm serve a {words}", version)
    assert parsed.refusal is None
    assert (parsed.fields, parsed.extra) == ({"model": "a", **fields}, extra)


def test_the_model_option_is_the_positional_argument() -> None:
    assert parse_command("vllm serve -tp 2 --model b").fields["model"] == "b"
    twice = parse_command("vllm serve a --model b").refusal
    assert twice is not None and twice.message.endswith("unrecognized arguments: a")
    early = parse_command("vllm serve --model b", "0.10.2").refusal
    assert early is not None and "as a positional argument" in early.message
    module = "python -m vllm.entrypoints.openai.api_server --model b"
    assert parse_command(module, "0.10.2").fields["model"] == "b"


def test_a_command_without_a_model_leaves_it_to_the_request() -> None:
    assert "model" not in parse_command("vllm serve -tp 2").fields


def test_flags_without_effect_are_read_over() -> None:
    parsed = parse_command(
        "vllm serve a --port 8000 --served-model-name x y --enable-auto-tool-choice "
        "--tool-call-parser hermes --api-key sk-secret -tp 2"
    )
    assert parsed.fields == {"model": "a", "tensor_parallel_size": 2}
    assert (parsed.extra, parsed.refusal, parsed.warnings) == ({}, None, ())


def test_what_the_engine_does_not_follow_is_said() -> None:
    parsed = parse_command("vllm serve a --attention-backend FLASHINFER")
    assert parsed.extra == {"attention_backend": "FLASHINFER"}
    assert parsed.warnings == (
        "--attention-backend may change memory, but is not taken into account.",
    )


def test_overrides_of_the_config_are_collected() -> None:
    parsed = parse_command(
        "vllm serve a --rope-theta 5e5 --hf-overrides '{\"max_position_embeddings\": 9}'", "0.11.0"
    )
    assert parsed.config_overrides == {"rope_theta": 5e5, "max_position_embeddings": 9}
    assert parse_command("vllm serve a").config_overrides == {}


def test_a_unique_beginning_of_a_flag_is_that_flag() -> None:
    parsed = parse_command("vllm serve a --max-num-seq 30 --tensor_parallel=2")
    assert parsed.fields == {"model": "a", "max_num_seqs": 30, "tensor_parallel_size": 2}
    assert parsed.warnings == ()


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
    assert parsed.refusal is not None and "came with vLLM 0.15.0" in parsed.refusal.explanation
    latest = parse_command("docker run vllm/vllm-openai:latest --model a")
    assert "vllm_version" not in latest.fields
    assert any("does not say which vLLM" in warning for warning in latest.warnings)
    with pytest.raises(InvalidRequest, match="V0 engine"):
        parse_command("docker run vllm/vllm-openai:v0.6.0 --model a")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--max-model-length 5", "unrecognized arguments: --max-model-length 5"),
        ("--no-such 3 4", "vllm: error: unrecognized arguments: --no-such 3 4"),
        ("--max-model-len 1.5K", "argument --max-model-len: Decimals are not allowed with binary"),
        ("--max-model-len 8x", "invalid human_readable_int_or_auto value: '8x'"),
        ("--max-num-seqs 1k", "argument --max-num-seqs: invalid int value: '1k'"),
        ("--max_num_seqs 2.0", "argument --max-num-seqs: invalid int value: '2.0'"),
        ("--num-gpu-blocks-override 0", "greater than or equal to 1"),
        ("--cudagraph-capture-sizes 8 0", "greater than or equal to 1"),
        ("-tp two", "argument --tensor-parallel-size/-tp: invalid int value: 'two'"),
        ("-tp", "argument --tensor-parallel-size/-tp: expected one argument"),
        ("-tp --enforce-eager", "expected one argument"),
        ("--cudagraph-capture-sizes", "expected at least one argument"),
        ("--gpu-memory-utilization nan", "greater than 0"),
        ("--gpu-memory-utilization 1.5", "less than or equal to 1"),
        ("-tp 0", "greater than or equal to 1"),
        ("--dtype int4", "argument --dtype: invalid choice: 'int4' (choose from 'auto', "),
        ("--mm-encoder-tp-mode datum", "invalid choice: 'datum'"),
        ("--enable-prefix-caching=perhaps", "ignored explicit argument 'perhaps'"),
        ("--enable-prefix-caching False", "unrecognized arguments: False"),
        ("--speculative-config {method:mtp}", "argument --speculative-config/-sc: Value {method"),
        ("--compilation-config 3", "argument --compilation-config/-cc: 1 validation error"),
        ("--compilation-config '{\"no_key\": 1}'", "no_key: Unexpected keyword argument"),
        ("--compilation-config.mode", "expected one argument"),
        ("--max-model-len.x 3", "argument --max-model-len: invalid"),
        ("b", "unrecognized arguments: b"),
        ("--device cuda", "ambiguous option: --device could match --device-ids, --device-memory"),
        ("-O.mode 3", "unrecognized arguments: 3"),
        ("-O9", "not a valid OptimizationLevel"),
    ],
)
def test_what_vllm_cannot_parse_is_refused_in_its_words(words: str, said: str) -> None:
    refusal = parse_command(f"vllm serve a {words}").refusal
    assert refusal is not None
    assert said in refusal.message


@pytest.mark.parametrize(
    ("words", "remedy", "corrected"),
    [
        ("--swap-space 16", "no --swap-space 16", []),
        ("--max-model-length 5", "--max-model-len for", ["--max-model-len", "5"]),
        ("--tensor-parallel-sise=2", "--tensor-parallel-size for", ["--tensor-parallel-size=2"]),
        ("-tp2", "-tp for -tp2", ["-tp=2"]),
        ("–tp 2", "-tp for –tp", ["-tp", "2"]),
        ("–max-num-seqs 2", "--max-num-seqs for", ["--max-num-seqs", "2"]),
        ("--gpu-memory-utilization 90%", "--gpu-memory-utilization 0.9", [
            "--gpu-memory-utilization", "0.9",
        ]),
        ("--gpu-memory-utilization=0,9", "--gpu-memory-utilization 0.9", [
            "--gpu-memory-utilization=0.9",
        ]),
        ("--max-model-len 32,768", "--max-model-len 32768", ["--max-model-len", "32768"]),
        ("--dtype bf16 --swap-space 2", "--dtype bfloat16", ["--dtype", "bfloat16"]),
        ("--trust-remote-code=True", "--trust-remote-code alone", ["--trust-remote-code"]),
        ("--enable-prefix-caching=false", "alone, or", ["--no-enable-prefix-caching"]),
        ("--task embed", "--runner=pooling in place of --task embed", ["--runner=pooling"]),
        ("--task generate", "no --task generate", []),
        ("--rope-scaling '{}'", "--hf-overrides in place of --rope-scaling", None),
        ("--disable-mm-preprocessor-cache", "--mm-processor-cache-gb=0", [
            "--mm-processor-cache-gb=0",
        ]),
        ("--guided-decoding-backend xgrammar", "--structured-outputs-config.backend=xgrammar", [
            "--structured-outputs-config.backend=xgrammar",
        ]),
    ],
)  # fmt: skip
def test_a_refusal_says_what_would_be_taken(
    words: str, remedy: str, corrected: list[str] | None
) -> None:
    refusal = parse_command(f"vllm serve a {words}").refusal
    assert refusal is not None
    assert remedy in refusal.remedies[0]
    assert refusal.corrected == (None if corrected is None else ("a", *corrected))
    if refusal.corrected is not None:
        assert parse_command(shlex.join(("vllm", "serve", *refusal.corrected))).refusal is None


def test_a_refusal_of_very_many_words_stays_short() -> None:
    refusal = parse_command("vllm serve a" + " --no-such-flag-at-all 1" * 900).refusal
    assert refusal is not None
    assert len(refusal.message) + len(refusal.explanation) < 2_000
    assert len(refusal.remedies) <= 8


def test_a_refusal_says_since_and_until_when() -> None:
    late = parse_command("vllm serve a --swap-space 16").refusal
    assert late is not None
    assert late.explanation == (
        "--swap-space was last in vLLM 0.17.1. Nothing takes its place: the V1 engine swaps no "
        "requests to the CPU."
    )
    early = parse_command("vllm serve a --async-scheduling", "0.9.2").refusal
    assert early is not None
    assert early.explanation == "--async-scheduling came with vLLM 0.10.0."
    assert parse_command("vllm serve a --swap-space 16", "0.17.1").refusal is None


def test_a_model_that_is_an_unset_variable_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"leaves open \$MODEL \(the model\), \$TP \(-tp\)"):
        parse_command("vllm serve $MODEL --port $PORT -tp $TP")
    parsed = parse_command("vllm serve $MODEL --port $PORT", model="a/b")
    assert parsed.fields == {} and parsed.refusal is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1k", 1000), ("1K", 1024), ("2m", 2_000_000), ("1M", 2**20), ("1G", 2**30),
        ("1g", 10**9), ("1T", 2**40), ("25.6k", 25600), ("0.5k", 500), (" 7 ", 7), ("-1", -1),
    ],
)  # fmt: skip
def test_suffixes_mean_what_vllm_takes_them_for(text: str, value: int) -> None:
    assert human_readable_int(text) == value


@pytest.mark.parametrize("text", ["", "k", "1kk", "1e3", "1,000", "0x10", "1 k"])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        human_readable_int(text)


def test_every_engine_field_has_a_flag() -> None:
    # What a request says of the machine rather than of vLLM has none.
    not_arguments = {"gpu", "gpus", "vram_gb", "interconnect", "nodes", "params_b"}
    # The runner is written in vLLM's own words.
    not_arguments |= {
        "runner",
        "vllm_version",
        "free_vram_gb",
        "calibration",
        "compile_cache",
        "vllm_args",
    }
    fields = {
        name for model in (ModelInput, HardwareInput, EngineInput) for name in model.model_fields
    }
    flags = {flag.name for flag in all_flags() if flag.target == "request"}
    assert flags == fields - not_arguments


def test_the_table_of_flags_is_sound() -> None:
    folder = resources.files("vllm_preflight.launch.flags")
    table = json.loads(folder.joinpath("bearing.json").read_text(encoding="utf-8"))
    assert table["source"] and table["date"] and table["types"]
    names = [flag.name for flag in all_flags()]
    assert len(names) == len(set(names))
    for flag in all_flags():
        assert flag.flag.startswith("--") and "_" not in flag.flag
        assert flag.kind in table["types"]
        assert lifetime(flag.flag) is not None


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--enable-auto-tool-choice", "requires --tool-call-parser"),
        ("--enable-lora --max-loras 4 --max-cpu-loras 2", "must be >= max_loras (4)"),
    ],
)
def test_flags_that_need_each_other_are_refused(flags: str, said: str) -> None:
    refusal = parse_command(f"vllm serve m {flags}").refusal
    assert refusal is not None and said in refusal.message
    taken = parse_command("vllm serve m --enable-auto-tool-choice --tool-call-parser hermes")
    assert taken.refusal is None


@pytest.mark.parametrize("words", ["--model a/b --bogus 3", "--bogus 3 --model=a/b"])
def test_a_refused_command_keeps_its_model(words: str) -> None:
    parsed = parse_command(f"vllm serve {words}")
    assert parsed.refusal is not None and parsed.fields["model"] == "a/b"
