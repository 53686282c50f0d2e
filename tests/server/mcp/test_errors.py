"""Every bad input ends in a sentence that says what to do: over MCP and on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Ask, Cli, text_of

BASE = {"model": "Qwen/Qwen3-32B", "gpu": "H100"}
# Arguments of a plan, the words its refusal must have, and the exit code of the command.
BAD: dict[str, tuple[dict[str, Any], tuple[str, ...], int]] = {
    "unknown model": (
        {"model": "Qwen/Qwen3-33B"},
        ("Qwen/Qwen3-33B", "not in the catalogue", "Qwen/Qwen3-32B"),
        3,
    ),
    "no folder": ({"model": "/no/such/folder"}, ("no folder '/no/such/folder'",), 3),
    "no model id": ({"model": "a b c"}, ("'a b c'", "organisation/name"), 2),
    "path outside": ({"model": "a/../b"}, ("'a/../b'", "neither a folder here nor a model"), 2),
    "size larger than the GPUs": (
        {"tensor_parallel_size": 8, "gpus": 2},
        ("tensor_parallel_size 8 needs 8 GPUs, but there are 2.",),
        2,
    ),
    "negative": ({"concurrency": -1}, ("concurrency is", "-1", "greater than or equal to 1"), 2),
    "huge": ({"max_model_len": 10**15}, ("max_model_len is", "less than or equal to"), 2),
    "text for a number": ({"concurrency": "many"}, ("concurrency is 'many'", "whole number"), 2),
    "not a number": ({"headroom_gb": "NaN"}, ("headroom_gb is 'NaN'", "finite"), 2),
    "unknown GPU": ({"gpu": "H1000"}, ('"H1000"', "Nearest names", "vram_gb"), 4),
    "GPU with two memories": ({"gpu": "A100"}, ('"A100"', "40GB", "80GB"), 4),
    "none of a named GPU": ({"gpus": 0}, ("gpus is", "greater than or equal to 1"), 2),
    "unknown dtype": ({"dtype": "int3"}, ("dtype is 'int3'", "bfloat16"), 2),
    "unknown version": ({"vllm_version": "9.9"}, ("9.9", "0.33.0"), 2),
    "no JSON": ({"speculative_config": "{"}, ("speculative_config is '{'", "JSON"), 2),
}


@pytest.mark.parametrize("case", BAD)
def test_a_tool_refuses_with_one_sentence(ask: Ask, case: str) -> None:
    arguments, words, _ = BAD[case]
    result = ask("plan_deployment", {**BASE, **arguments})
    assert result.is_error and result.structured_content is None
    _is_a_sentence(text_of(result), words)


# What vLLM itself would refuse is an answer: arguments, and what vLLM says.
REFUSED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "size that does not divide the heads": (
        {"tensor_parallel_size": 3},
        ("attention heads (64)", "divisible", "(3)", "--tensor-parallel-size 4"),
    ),
    "longer than the model": (
        {"max_model_len": 99_999_999},
        ("max_model_len (99999999)", "40960", "--max-model-len 40960"),
    ),
    "unknown quantisation": (
        {"quantization": "magic"},
        ("Unknown quantization method: magic.",),
    ),
    "too few tokens per step": (
        {"max_num_batched_tokens": 10, "max_num_seqs": 20},
        ("max_num_batched_tokens (10)", "max_num_seqs (20)"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("tool", ["plan_deployment", "predict_startup"])
def test_what_vllm_refuses_is_the_same_answer_everywhere(ask: Ask, tool: str, case: str) -> None:
    arguments, words = REFUSED[case]
    result = ask(tool, {**BASE, **arguments})
    assert not result.is_error and result.structured_content is not None
    verdict = result.structured_content["verdict"]
    assert verdict["outcome"] == "refused" and verdict["start_probability"] == 0
    said = text_of(result).replace("_", "-")
    for word in words:
        # A remedy is a flag, or the argument of a call.
        assert word.removeprefix("--").replace("_", "-") in said, word


@pytest.mark.parametrize("case", BAD)
def test_the_command_line_refuses_with_the_same_sentence(
    case: str, ask: Ask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm_preflight_server.cli.main import main

    arguments, words, exit_code = BAD[case]
    given = {**BASE, **arguments}
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    assert main(["plan", *flags]) == exit_code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    _is_a_sentence(captured.err.strip(), words)


@pytest.mark.parametrize("case", ["unknown model", "unknown GPU", "negative"])
def test_json_errors_carry_code_message_and_hint(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from vllm_preflight_server.cli.main import main

    arguments, words, exit_code = BAD[case]
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in {**BASE, **arguments}.items()]
    assert main(["plan", *flags, "--json"]) == exit_code
    error = json.loads(capsys.readouterr().out)["error"]
    assert set(error) == {"code", "message", "hint"}
    _is_a_sentence(f"{error['message']} {error['hint']}", words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ('{"architectures": ["LlamaFor', ("config.json is not valid JSON",)),
        ("[]", ("config.json",)),
        (
            '{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, '
            '"num_attention_heads": 8, "vocab_size": 99}',
            ("num_hidden_layers",),
        ),
        (
            '{"architectures": ["XyzForCausalLM"], "model_type": "xyz", "hidden_size": 64}',
            ("xyz",),
        ),
        (None, ("no config.json",)),
    ],
    ids=["cut off", "no object", "no layers", "unknown architecture", "no config"],
)
@pytest.mark.parametrize("tool", ["plan_deployment", "inspect_model"])
def test_a_damaged_or_unknown_config_is_refused(
    ask: Ask, tmp_path: Path, tool: str, config: str | None, words: tuple[str, ...]
) -> None:
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
    gpu = {"gpu": "H100"} if tool == "plan_deployment" else {}
    result = ask(tool, {"model": str(tmp_path), **gpu})
    assert result.is_error
    _is_a_sentence(text_of(result), words)


def test_a_file_is_no_model(ask: Ask, tmp_path: Path) -> None:
    file = tmp_path / "model.txt"
    file.write_text("no model", encoding="utf-8")
    result = ask("inspect_model", {"model": str(file)})
    assert result.is_error
    _is_a_sentence(text_of(result), ("is a file, not a folder",))


def test_an_architecture_nobody_knows_is_an_answer_of_predict_startup(
    ask: Ask, tmp_path: Path
) -> None:
    config = {"architectures": ["PixtralForConditionalGeneration"], "model_type": "xyz"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = ask("predict_startup", {"model": str(tmp_path), "gpu": "H100"})
    assert not result.is_error
    answer = result.structured_content
    assert answer is not None
    assert answer["startup"]["starts"] is False
    assert answer["startup"]["failure"]["kind"] == "not_modelled"
    assert answer["verdict"]["outcome"] == "not_modelled"
    assert "start_probability" not in answer["verdict"]
    assert "xyz" in answer["startup"]["failure"]["message"]
    assert "weights_gib" not in answer["startup"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("ls -la", ("no vLLM server in 'ls -la'", "vllm serve MODEL")),
        ("vllm serve <model> -tp 2", ("leaves open <model> (the model)", "Write the value")),
        ("vllm serve Qwen/Qwen3-32B -tp 'x", ("quotes",)),
    ],
)
def test_a_command_that_is_none_is_refused(ask: Ask, command: str, words: tuple[str, ...]) -> None:
    result = ask("predict_startup", {"command": command, "gpu": "H100"})
    assert result.is_error
    _is_a_sentence(text_of(result), words)


def test_overhead_larger_than_the_memory_does_not_fit_and_says_so(ask: Ask) -> None:
    result = ask("plan_deployment", {**BASE, "gpus": 1, "overhead_gb": 500})
    assert not result.is_error
    plan = result.structured_content
    assert plan is not None
    assert plan["feasibility"]["headroom_gib"] < 0
    assert any("overhead alone" in warning for warning in plan["warnings"])


@pytest.mark.design("5: a misspelt argument is an error that names the nearest field")
def test_a_misspelt_field_names_the_nearest(ask: Ask) -> None:
    result = ask("plan_deployment", {**BASE, "conccurrency": 4})
    assert result.is_error
    _is_a_sentence(text_of(result), ("'conccurrency'", "did you mean 'concurrency'?"))


def test_a_misspelt_option_names_the_nearest(cli: Cli) -> None:
    run = cli("plan", "Qwen/Qwen3-32B", "--gpu", "H100", "--conccurrency", "4")
    assert run.returncode == 2 and run.stdout == ""
    assert "did you mean --concurrency?" in run.stderr


@pytest.mark.design("6: nothing prints a traceback to a user")
def test_a_bug_is_told_without_its_insides(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("vllm_preflight.reports.model.inspect_model", fails)
    result = ask("inspect_model", {"model": "a/bug"})
    assert result.is_error
    assert "bug in vllm-preflight" in text_of(result)
    assert "secret detail" not in text_of(result)
    assert "secret detail" in caplog.text


def _is_a_sentence(text: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert word in text, text
    assert "Traceback" not in text and "pydantic" not in text
    assert text.endswith((".", "?", "]", "…", '"', "}")) or "Write:" in text or "as:" in text
    assert 20 < len(text) < 700


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--max-modl-len 4", "did you mean --max-model-len?"),
        ("-tp x", "argument --tensor-parallel-size/-tp: invalid int value: 'x'"),
        ("--swap-space 4", "unrecognized arguments: --swap-space 4"),
    ],
)
def test_a_command_that_vllm_refuses_is_an_answer(ask: Ask, words: str, said: str) -> None:
    result = ask(
        "predict_startup", {"command": f"vllm serve Qwen/Qwen3-32B {words}", "gpu": "H100"}
    )
    assert not result.is_error
    answer = result.structured_content
    assert answer is not None
    assert answer["startup"]["failure"]["kind"] == "invalid_arguments"
    assert said in answer["startup"]["failure"]["message"]
