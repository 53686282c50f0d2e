"""--config FILE: read where it is there, and overridden by the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.arguments import parse_command

YAML = """
model: a/b
tensor-parallel-size: 4
max_model_len: 8k
enforce-eager: true
enable-prefix-caching: false
compilation-config:
  cudagraph_mode: NONE
served-model-name: [x, y]
"""


def written(folder: Path, text: str, name: str = "c.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_files_arguments_count_and_the_commands_win(tmp_path: Path) -> None:
    parsed = parse_command(f"vllm serve --config {written(tmp_path, YAML)} -tp 2")
    assert parsed.refusal is None
    assert parsed.fields == {
        "model": "a/b",
        "tensor_parallel_size": 2,
        "max_model_len": 8000,
        "enforce_eager": True,
        "enable_prefix_caching": False,
    }
    assert parsed.extra == {"compilation_config": {"cudagraph_mode": "NONE"}}
    assert parse_command(f"vllm serve c/d --config {tmp_path}/c.yaml").fields["model"] == "c/d"


def test_early_releases_drop_what_is_false(tmp_path: Path) -> None:
    name = written(tmp_path, "model: a\nenable-prefix-caching: false\n")
    assert (
        "enable_prefix_caching" not in parse_command(f"vllm serve --config {name}", "0.27.0").fields
    )
    assert (
        parse_command(f"vllm serve --config {name}", "0.28.0").fields["enable_prefix_caching"]
        is False
    )


def test_a_file_that_is_not_here_is_said(tmp_path: Path) -> None:
    parsed = parse_command(f"vllm serve a --config {tmp_path}/none.yaml -tp 2")
    assert parsed.refusal is None
    assert parsed.fields == {"model": "a", "tensor_parallel_size": 2}
    assert parsed.unread == (f"{tmp_path}/none.yaml",)


def test_vllms_refusals_of_a_file_are_its_words(tmp_path: Path) -> None:
    name = written(tmp_path, "tensor-parallel-size: 2\n")
    for words, said in [
        (f"--config {name}", "No model specified!"),
        ("a --config", "No config file specified!"),
        ("a --config c.json", "must be of a yaml/yml type. json supplied"),
        (f"a --config {name} --config {name}", "More than one config file"),
    ]:
        refusal = parse_command(f"vllm serve {words}").refusal
        assert refusal is not None and said in refusal.message
    removed = written(tmp_path, "swap-space: 4\n", "d.yaml")
    refusal = parse_command(f"vllm serve a --config {removed}").refusal
    assert refusal is not None and "unrecognized arguments: --swap-space 4" in refusal.message


def test_a_file_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    for text in ("[1, 2]", "a: [", "just text"):
        with pytest.raises(InvalidRequest, match="of --config"):
            parse_command(f"vllm serve a --config {written(tmp_path, text)}")
