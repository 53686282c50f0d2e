"""Flags a user adds: into the plan's question, into the command, or refused."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.artifacts.extra_flags import with_flags
from vllm_preflight.artifacts.profile import changed_plan
from vllm_preflight.base.errors import InvalidRequest, PlanRefused
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.generate import generate_artifacts


def asked(words: list[str], version: str = "0.33.0", **fields: Any) -> PlanRequest:
    request = {"model": "Qwen/Qwen3-8B", "gpu": "H100", "vllm_version": version, **fields}
    return with_flags(validate_request(PlanRequest, request), words)


@pytest.mark.parametrize(
    ("words", "fields", "kept"),
    [
        ([], {}, None),
        (["--reasoning-parser", "qwen3"], {}, "--reasoning-parser qwen3"),
        (["--served_model_name", "a", "b"], {}, "--served_model_name a b"),
        (["--max_model_len=8k", "--seed", "3"], {"max_model_len": 8000}, "--seed 3"),
        (["-tp", "2", "-O3"], {"tensor_parallel_size": 2}, "-O3"),
        (["--no-enable-prefix-caching"], {"enable_prefix_caching": False}, None),
        (
            ["--compilation-config.cudagraph_mode", "NONE"],
            {},
            "--compilation-config.cudagraph_mode NONE",
        ),
        (
            ["--enable-lora", "--lora-modules", "a=/x y"],
            {"enable_lora": True},
            "--lora-modules 'a=/x y'",
        ),
    ],
)
def test_what_a_plan_knows_is_planned_with(
    words: list[str], fields: dict[str, object], kept: str | None
) -> None:
    found = asked(words)
    assert {name: getattr(found, name) for name in fields} == fields
    assert found.vllm_args == kept


def test_flags_follow_those_the_request_has() -> None:
    found = asked(["--seed", "2"], vllm_args="-tp 2 --reasoning-parser qwen3")
    assert found.tensor_parallel_size == 2
    assert found.vllm_args == "--reasoning-parser qwen3 --seed 2"
    with pytest.raises(InvalidRequest, match="Give it once"):
        asked(["-tp", "2"], tensor_parallel_size=4)
    with pytest.raises(InvalidRequest, match="Close every quote"):
        asked([], vllm_args="--x 'y")


def test_keys_of_one_argument_become_its_field() -> None:
    words = ["--speculative-config.method", "ngram", "--seed", "1"]
    words += ["--speculative-config.num_speculative_tokens", "3"]
    found = asked(words)
    assert found.vllm_args == "--seed 1"
    assert found.speculative_config is not None and "ngram" in found.speculative_config


@pytest.mark.parametrize(
    ("words", "version", "says"),
    [
        (["--no-such", "3"], "0.33.0", "unrecognized arguments"),
        (["--swap-space", "4"], "0.33.0", "unrecognized arguments"),
        (["--max-model-len", "x"], "0.33.0", "--max-model-len"),
        (["--port", "9"], "0.33.0", "--port is for the files"),
        (["--config", "x.yaml"], "0.33.0", "--config is for the files"),
        (["--node_rank=1"], "0.33.0", "--node-rank is for the files"),
        (["--api-key", "secret"], "0.33.0", "write a secret"),
        (["--ssl-keyfile", "x"], "0.33.0", "probes"),
        (["other/model"], "0.33.0", "only flags"),
        (["--model", "other/model"], "0.33.0", "only flags"),
    ],
)
def test_what_cannot_be_added_is_refused(words: list[str], version: str, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        asked(words, version)


def test_an_older_release_has_its_own_flags() -> None:
    assert asked(["--swap-space", "4"], "0.10.0").vllm_args == "--swap-space 4"


def test_the_whole_command_is_checked() -> None:
    plan = changed_plan(None, {"model": "Qwen/Qwen3-8B", "gpu": "H100", "gpus": 1})
    words = ["--compilation-config.cudagraph_mode", "NONE"]
    report = generate_artifacts(plan, ["serve"], words)
    assert "--compilation-config.cudagraph_mode NONE" in report.serve_command
    assert "--compilation-config.cudagraph_mode NONE" in report.files["serve.sh"]
    with pytest.raises(PlanRefused, match="would fail"):
        generate_artifacts(plan, ["serve"], ["--num-gpu-blocks-override", "1"])
