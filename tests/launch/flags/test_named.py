"""Names that a release does not have, under the flags that take free text."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.launch.acceptance.tables import has_name, table
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.versions import NEWEST_KNOWN, parse_version
from vllm_preflight.questions.check import predict_startup

TOOLS = "--enable-auto-tool-choice --tool-call-parser"


def refused(words: str, release: str = "0.33.0", before: str = "") -> str | None:
    refusal = parse_command(f"{before} vllm serve m {words}", release).refusal
    return None if refusal is None else refusal.message


@pytest.mark.parametrize(
    ("words", "release", "said"),
    [
        (f"{TOOLS} foo", "0.33.0", "invalid tool call parser: foo"),
        (f"{TOOLS} minimax", "0.23.0", None),
        (f"{TOOLS} minimax", "0.24.0", "invalid tool call parser: minimax"),
        (f"{TOOLS} qwen3_coder", "0.9.2", "invalid tool call parser: qwen3_coder"),
        # Looked at with automatic choice alone, and by nobody beside a plugin.
        ("--tool-call-parser foo", "0.33.0", None),
        (f"{TOOLS} foo --tool-parser-plugin ./mine.py", "0.33.0", None),
        ("--reasoning-parser foo", "0.33.0", "invalid reasoning parser: foo"),
        ("--reasoning-parser foo --reasoning-parser-plugin mine.py", "0.33.0", None),
        ("--structured-outputs-config.reasoning_parser foo", "0.33.0", "invalid reasoning"),
        ("--reasoning-parser foo", "0.8.5", None),
        ("--enable-reasoning --reasoning-parser foo", "0.8.5", "invalid reasoning parser"),
        ("--enable-reasoning", "0.8.5", "--enable-reasoning requires --reasoning-parser"),
        ("--reasoning-parser none", "0.33.0", None),
        ("--reasoning-parser none", "0.32.0", "invalid reasoning parser: none"),
        ("--load-format foo", "0.33.0", "Load format `foo` is not supported"),
        ("--load-format GGUF", "0.23.0", None),
        ("--load-format gguf", "0.24.0", "Load format `gguf` is not supported"),
        ("--load-format bitsandbytes", "0.28.0", "Load format `bitsandbytes`"),
        ("--tokenizer-mode foo", "0.33.0", "No tokenizer registered for tokenizer_mode='foo'"),
        ("--tokenizer-mode slow", "0.30.0", None),
        ("--tokenizer-mode slow", "0.31.0", "No tokenizer registered"),
        ("--tokenizer-mode foo --skip-tokenizer-init", "0.33.0", None),
        ("--distributed-executor-backend foo", "0.33.0", "not enough values to unpack"),
        ("--distributed-executor-backend mine.executors.Mine", "0.33.0", None),
        # Any text is taken, and only three of them mean something.
        ("--model-impl foo", "0.33.0", None),
        ("--model-impl foo", "0.10.2", "invalid choice: 'foo'"),
        ("--attention-backend foo", "0.33.0", "Unknown attention backend: 'FOO'"),
        ("--attention-backend flash_attn", "0.33.0", None),
        ("--attention-backend auto", "0.33.0", None),
        ("--attention-backend auto", "0.17.0", "Unknown attention backend: 'AUTO'"),
        ("--config-format foo", "0.33.0", "Unknown config format `foo`"),
        ("--config-format mistral", "0.10.2", None),
        ('-cc \'{"custom_ops": ["foo"]}\'', "0.33.0", "Invalid syntax 'foo' for custom op"),
        ('-cc \'{"custom_ops": ["none", "+foo"]}\'', "0.33.0", None),
        ("-cc.cudagraph_mode FOO", "0.33.0", "KeyError: 'FOO'"),
        ("-cc.cudagraph_mode piecewise", "0.33.0", None),
        ("-cc.mode 9", "0.33.0", "Input should be 0, 1, 2 or 3"),
        ("-cc.mode vllm_compile", "0.33.0", None),
        ("-cc.mode fast", "0.33.0", "Invalid compilation mode: FAST"),
        ("-O '{\"level\": 9}'", "0.10.0", "0 to 3, not 9"),
    ],
)
def test_a_name_that_the_release_lacks(words: str, release: str, said: str | None) -> None:
    found = refused(words, release)
    assert found is None if said is None else found is not None and said in found


def transfer(**config: object) -> str:
    return f"--kv-transfer-config '{json.dumps(config)}'"


@pytest.mark.parametrize(
    ("words", "release", "said"),
    [
        (transfer(kv_connector="NixlConnector", kv_role="kv_both"), "0.33.0", None),
        (transfer(kv_connector="Foo", kv_role="kv_both"), "0.33.0", "connector type: Foo"),
        (
            transfer(kv_connector="Foo", kv_role="kv_both", kv_connector_module_path="a.b"),
            "0.33.0",
            None,
        ),
        (transfer(kv_connector="NixlConnector"), "0.33.0", "Please specify kv_role"),
        (transfer(kv_connector="NixlConnector"), "0.10.0", "Please specify kv_disagg_role"),
        (transfer(kv_connector="PyNcclConnector", kv_role="kv_both"), "0.11.0", "PyNccl"),
        (transfer(kv_connector="P2pNcclConnector", kv_role="kv_both"), "0.24.0", "P2pNccl"),
    ],
)
def test_connectors_of_the_release(words: str, release: str, said: str | None) -> None:
    found = refused(words, release)
    assert found is None if said is None else found is not None and said in found


def test_the_nearest_name_is_put_into_the_line() -> None:
    refusal = parse_command("vllm serve m --load-format=safetensor -tp 2", "0.33.0").refusal
    assert refusal is not None
    assert refusal.corrected == ("m", "--load-format=safetensors", "-tp", "2")
    refusal = parse_command("vllm serve m --reasoning-parser qwen-3", "0.33.0").refusal
    assert refusal is not None
    assert refusal.corrected == ("m", "--reasoning-parser", "qwen3")


def check(line: str, gpu: str = "H100", release: str = "0.33.0") -> StartupResponse:
    return predict_startup(StartupRequest(command=line, gpu=gpu, vllm_version=release))


@pytest.mark.parametrize(
    ("line", "gpu", "release", "said"),
    [
        ("Qwen/Qwen3-8B --attention-backend FLASHMLA", "H100", "0.33.0", "non-MLA not supported"),
        ("Qwen/Qwen3-8B --attention-config.backend FLASHMLA", "H100", "0.33.0", "non-MLA"),
        ("Qwen/Qwen3-0.6B --attention-backend FLASH_ATTN", "T4", "0.33.0", "compute capability"),
        ("deepseek-ai/DeepSeek-V2-Lite --attention-backend FLASHMLA", "H100", "0.33.0", None),
        ("deepseek-ai/DeepSeek-V2-Lite --attention-backend FLASH_ATTN", "H100", "0.33.0", "MLA"),
        ("Qwen/Qwen3-8B --attention-backend TORCH_SDPA", "H100", "0.33.0", "be registered"),
        ("openai/gpt-oss-20b --attention-backend FLASHINFER", "H100", "0.14.0", "sink setting"),
        ("openai/gpt-oss-20b --attention-backend FLASHINFER", "H100", "0.29.0", "attention sinks"),
        ("openai/gpt-oss-20b --attention-backend FLASHINFER", "H100", "0.30.0", None),
        ("openai/gpt-oss-20b --attention-backend FLASHINFER", "B200", "0.14.0", None),
        ("openai/gpt-oss-20b --attention-backend TRITON_ATTN", "L40S", "0.33.0", None),
        ("openai/gpt-oss-20b --attention-backend FLASH_ATTN", "L40S", "0.33.0", "sinks"),
    ],
)
def test_a_back_end_that_does_not_fit(line: str, gpu: str, release: str, said: str | None) -> None:
    failure = check(f"vllm serve {line}", gpu, release).startup.failure
    assert (failure is None) is (said is None)
    assert failure is None or (said is not None and said in failure.message)


@pytest.mark.parametrize(
    ("value", "release", "outcome"),
    [
        ("FLASHINFER", "0.10.0", "starts"),
        # Other names leave the V1 engine.
        ("XFORMERS", "0.10.0", "not_modelled"),
        ("FOO", "0.10.0", "not_modelled"),
        ("FOO", "0.11.0", "refused"),
        ("FLASHMLA", "0.11.0", "starts"),
        ("FLASHMLA", "0.12.0", "refused"),
        ("FLASH_ATTN_VLLM_V1", "0.12.0", "refused"),
        ("FLASH_ATTN", "0.14.1", "starts"),
        ("FOO", "0.15.0", "starts"),
    ],
)
def test_the_variable_of_the_attention_back_end(value: str, release: str, outcome: str) -> None:
    line = f"VLLM_ATTENTION_BACKEND={value} vllm serve Qwen/Qwen3-8B"
    answer = check(line, release=release)
    assert answer.verdict.outcome == outcome
    unread = any("does not read VLLM_ATTENTION_BACKEND" in text for text in answer.warnings)
    assert unread is (parse_version(release) >= (0, 15, 0))


def test_names_agree_with_the_facts_that_plans_are_made_of() -> None:
    text = resources.files("vllm_preflight.recommend").joinpath("families.json").read_text("utf-8")
    for kind, registered in json.loads(text)["registries"].items():
        if kind == "tokenizer_mode":
            continue
        spans = table("names")[kind]
        assert registered.keys() == spans.keys()
        for name, facts in registered.items():
            assert facts["since"] == spans[name][0]["since"]
            assert ("until" in facts) is ("until" in spans[name][-1])
    assert has_name("reasoning_parser", "deepseek_r1", NEWEST_KNOWN)
    assert not has_name("reasoning_parser", "qwen3", (0, 8, 4))
