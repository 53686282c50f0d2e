"""Varied launches: each row is what asking alone would say, and tells what moved."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.vary import VariedRequest, VariedResponse
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.vary import MOST_LAUNCHES, predict_varied

LAUNCH: dict[str, Any] = {"model": "Qwen/Qwen3-32B", "gpu": "H100"}
VARIED = {"kv_cache_dtype": ["auto", "fp8"], "vllm_version": ["0.10.0", "0.33.0"]}


def ask(vary: object, **fields: Any) -> VariedResponse:
    return predict_varied(validate_request(VariedRequest, {**LAUNCH, **fields, "vary": vary}))


def test_each_row_is_what_the_launch_alone_says() -> None:
    rows = ask(VARIED).launches
    assert rows is not None and len(rows) == 4
    for row in rows:
        alone = predict_startup(validate_request(StartupRequest, {**LAUNCH, **row.values}))
        assert row.outcome == alone.verdict.outcome
        assert row.start_probability == alone.verdict.start_probability
        assert row.kv_cache_tokens == alone.startup.kv_cache_tokens


def test_what_moved_between_releases_is_named_with_its_rule() -> None:
    rows = ask({"vllm_version": ["0.10.0", "0.33.0"]}).launches
    assert rows is not None
    assert rows[0].moved == []
    assert any(" → " in text and "(" in text for text in rows[1].moved)
    # 0.10 sorts all logits in the sampler of the profile pass; 0.33 does not.
    assert rows[1].moved[0].startswith("activation_sampler_sorted")


def test_without_vary_it_is_the_launch() -> None:
    answer = predict_varied(validate_request(VariedRequest, LAUNCH)).to_json_dict()
    assert answer == predict_startup(validate_request(StartupRequest, LAUNCH)).to_json_dict()


@pytest.mark.parametrize(
    ("vary", "says"),
    [
        ({}, "names no argument"),
        ({"kv_cache_dtype": "fp8"}, "no list of values for kv_cache_dtype"),
        ({"max_num_seqs": list(range(1, MOST_LAUNCHES + 2))}, "at most 32"),
        ({"kv_cache_dtyp": ["fp8"]}, "did you mean 'kv_cache_dtype'"),
        (json.dumps([1]), "vary"),
    ],
)
def test_what_cannot_be_varied_is_a_sentence(vary: object, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        ask(vary)


def test_a_command_is_varied_beside_what_it_says() -> None:
    rows = ask({"max_model_len": [4096, 8192]}, command="vllm serve Qwen/Qwen3-32B").launches
    assert rows is not None and [row.max_model_len for row in rows] == [4096, 8192]
    with pytest.raises(InvalidRequest, match="Give it once"):
        ask({"max_model_len": [4096]}, command="vllm serve Qwen/Qwen3-32B --max-model-len 512")
