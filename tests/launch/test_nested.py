from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.launch import Launch, Speculation
from vllm_preflight.launch.nested import read_mm_limits
from vllm_preflight.models.architecture import Architecture

Resolve = Callable[..., Launch]
Models = dict[str, Architecture]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"method": "mtp", "num_speculative_tokens": 2}', Speculation("mtp", 2)),
        ('{"method": "deepseek_mtp", "num_speculative_tokens": 1}', Speculation("mtp", 1)),
        ('{"model": "[ngram]", "num_speculative_tokens": 4}', Speculation("ngram", 4, "[ngram]")),
        (
            '{"model": "yuhuili/EAGLE3-LLaMA", "num_speculative_tokens": 3}',
            Speculation("eagle3", 3, "yuhuili/EAGLE3-LLaMA"),
        ),
        (
            '{"model": "x/small", "num_speculative_tokens": 5}',
            Speculation("draft_model", 5, "x/small"),
        ),
    ],
)
def test_speculation_is_read_from_its_json(resolve: Resolve, text: str, read: Speculation) -> None:
    launch = resolve(speculative_config=text)
    assert launch.speculation == read
    assert launch.speculative_tokens == read.num_speculative_tokens
    assert launch.problems == ()


def test_only_predictor_layers_give_a_number_of_drafts(resolve: Resolve, models: Models) -> None:
    plain = models["llama"]
    predicting = replace(plain, predictor_layers=plain.layers[:1])
    assert resolve(predicting, speculative_config='{"method": "mtp"}').speculative_tokens == 1
    launch = resolve(speculative_config='{"method": "mtp"}')
    assert launch.speculation is None
    assert "num_speculative_tokens must be provided" in launch.problems[0].message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"num_speculative_tokens": 2}', "without speculative model"),
        ('{"method": "mtp", "num_speculative_tokens": 0}', "greater than zero"),
        ('{"method": "mtp", "num_speculative_tokens": "two"}', "greater than zero"),
    ],
)
def test_what_vllm_refuses_is_a_problem(resolve: Resolve, text: str, said: str) -> None:
    (problem,) = resolve(speculative_config=text).problems
    assert said in problem.message


@pytest.mark.parametrize(
    "text", ["{method: mtp}", "[1]", "null", "mtp", '{"method": 3}', "[" * 100_000]
)
def test_what_is_no_json_object_is_invalid(resolve: Resolve, text: str) -> None:
    with pytest.raises(InvalidRequest, match="speculative_config"):
        resolve(speculative_config=text[:10_000])


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ('{"image": 2, "video": 0}', {"image": 2, "video": 0}),
        ('{"image": {"count": 3, "width": 512}}', {"image": 3}),
        ("image=2,video=0", {"image": 2, "video": 0}),
        ("{}", {}),
    ],
)
def test_limits_are_read_in_every_form(text: str, limits: dict[str, int]) -> None:
    assert read_mm_limits(text) == limits


@pytest.mark.parametrize("text", ['{"image": -1}', '{"image": "two"}', "image", '{"image": true}'])
def test_limits_that_are_no_counts_are_invalid(text: str) -> None:
    with pytest.raises(InvalidRequest, match="limit_mm_per_prompt"):
        read_mm_limits(text)
