"""Which method drafts, with what, and what each release refuses in its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vllm_preflight.launch.launch import Launch

Draft = Callable[..., Launch]
QWEN = "Qwen/Qwen3-8B"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
R1 = "deepseek-ai/DeepSeek-R1"
V4 = "deepseek-ai/DeepSeek-V4-Flash-0731"
EAGLE3 = "yuhuili/EAGLE3-LLaMA3.1-Instruct-8B"


def problem(launch: Launch) -> tuple[str, str]:
    (found,) = launch.problems
    return found.kind, found.message


@pytest.mark.parametrize(
    ("model", "config", "method", "tokens"),
    [
        (R1, {"method": "mtp", "num_speculative_tokens": 2}, "mtp", 2),
        (R1, {"method": "deepseek_mtp"}, "mtp", 1),
        (R1, {"model": R1, "num_speculative_tokens": 1}, "mtp", 1),
        (QWEN, {"model": "[ngram]", "num_speculative_tokens": 4}, "ngram", 4),
        (QWEN, {"method": "suffix"}, "suffix", 24),
        (QWEN, {"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 5}, "draft_model", 5),
        (LLAMA, {"model": EAGLE3, "num_speculative_tokens": 3}, "eagle3", 3),
        (
            LLAMA,
            {"model": "yuhuili/EAGLE-LLaMA3.1-Instruct-8B", "num_speculative_tokens": 3},
            "eagle",
            3,
        ),
        (V4, {"method": "dspark"}, "dspark", 5),
    ],
)
def test_the_method_is_found_as_vllm_finds_it(
    draft: Draft, model: str, config: dict[str, Any], method: str, tokens: int
) -> None:
    launch = draft(model, config)
    assert launch.problems == ()
    assert launch.speculation is not None
    assert (launch.speculation.method, launch.speculative_tokens) == (method, tokens)


@pytest.mark.parametrize(
    ("model", "config", "version", "said"),
    [
        (QWEN, {"num_speculative_tokens": 2}, "0.33.0", "without speculative model"),
        (R1, {"num_speculative_tokens": 1}, "0.11.0", "without speculative model"),
        (QWEN, {"method": "eagle3", "num_speculative_tokens": 2}, "0.33.0", "without speculative"),
        (R1, {"method": "mtp", "num_speculative_tokens": 0}, "0.33.0", "greater than zero"),
        (R1, {"method": "mtp", "num_speculative_tokens": "two"}, "0.33.0", "greater than zero"),
        (QWEN, {"method": "ngram"}, "0.33.0", "num_speculative_tokens must be provided"),
        (QWEN, {"model": "Qwen/Qwen3-0.6B"}, "0.33.0", "num_speculative_tokens must be provided"),
        (
            "Qwen/Qwen3-32B",
            {"method": "mtp", "num_speculative_tokens": 1},
            "0.33.0",
            "Unsupported speculative method: 'mtp'",
        ),
        (R1, {"method": "mtp", "num_speculative_tokens": 1}, "0.10.2", "Input should be one of"),
        (QWEN, {"method": "dflash", "num_speculative_tokens": 4}, "0.19.1", "'dflash'"),
        (QWEN, {"method": "medusa", "model": "x/y", "num_speculative_tokens": 2}, "0.33.0", "medu"),
        (
            QWEN,
            {"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 2},
            "0.14.1",
            "Draft model speculative decoding is not supported yet.",
        ),
        (
            "deepseek-ai/DeepSeek-V3",
            {"method": "eagle3", "model": EAGLE3, "num_speculative_tokens": 2},
            "0.16.0",
            "Eagle3 is only supported for",
        ),
        (
            QWEN,
            {"model": "meta-llama/Llama-3.2-1B-Instruct", "num_speculative_tokens": 2},
            "0.33.0",
            "should have the same vocabulary size",
        ),
        (QWEN, {"method": "dspark", "num_speculative_tokens": 7}, "0.33.0", "qwen3 has none"),
        (
            QWEN,
            {"method": "mlp_speculator", "model": "x/y", "num_speculative_tokens": 2},
            "0.32.0",
            "MLPSpeculatorPreTrainedModel",
        ),
    ],
)
def test_what_a_release_refuses_is_said_in_its_words(
    draft: Draft, model: str, config: dict[str, Any], version: str, said: str
) -> None:
    kind, message = problem(draft(model, config, vllm_version=version))
    assert kind == "invalid_arguments"
    assert said in message


def test_prediction_layers_drafted_unasked_until_0_10(draft: Draft) -> None:
    launch = draft(R1, {"num_speculative_tokens": 1}, vllm_version="0.10.2")
    assert launch.speculation is not None and launch.speculation.own_layers


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (QWEN, {"model": "nosuch/thing", "num_speculative_tokens": 3}),
        (QWEN, {"method": "eagle3", "model": "nosuch/eagle3", "num_speculative_tokens": 3}),
        (QWEN, {"method": "dflash", "model": "z-lab/nothing-DFlash", "num_speculative_tokens": 3}),
        (QWEN, {"method": "eagle3", "model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}),
        (QWEN, {"method": "custom_class", "model": "a.B", "num_speculative_tokens": 3}),
        (QWEN, {"method": "extract_hidden_states", "num_speculative_tokens": 1}),
        (R1, {"method": "mtp", "model": "x/other", "num_speculative_tokens": 1}),
        ("deepseek-ai/DeepSeek-V4-Flash", {"method": "dspark", "num_speculative_tokens": 5}),
        # States beside a draft of another width, and a draft with states of its own.
        (
            "Qwen/Qwen3.5-27B",
            {
                "model": "Qwen/Qwen3-0.6B",
                "num_speculative_tokens": 1,
                "use_heterogeneous_vocab": True,
            },
        ),
        ("Qwen/Qwen3.5-27B", {"model": "Qwen/Qwen3.5-4B", "num_speculative_tokens": 1}),
        # An independent model whose layers keep another kind of cache.
        (
            R1,
            {
                "model": "Qwen/Qwen3-0.6B",
                "num_speculative_tokens": 1,
                "use_heterogeneous_vocab": True,
            },
        ),
    ],
)
def test_what_is_not_known_of_a_draft_is_not_modelled(
    draft: Draft, model: str, config: dict[str, Any]
) -> None:
    launch = draft(model, config)
    assert {item.kind for item in launch.problems} == {"not_modelled"}
    assert launch.speculation is None or launch.speculation.num_speculative_tokens > 0


@pytest.mark.parametrize(
    ("size", "version", "kind"),
    [
        (4, "0.33.0", None),
        (2, "0.33.0", "invalid_arguments"),
        (1, "0.30.0", "invalid_arguments"),
        (1, "0.33.0", "not_modelled"),
    ],
)
def test_ranks_of_a_draft_model_follow_the_target(
    draft: Draft, size: int, version: str, kind: str | None
) -> None:
    config = {
        "model": "Qwen/Qwen3-0.6B",
        "num_speculative_tokens": 3,
        "draft_tensor_parallel_size": size,
    }
    launch = draft(QWEN, config, tensor_parallel_size=4, vllm_version=version)
    assert [item.kind for item in launch.problems] == ([kind] if kind else [])


def test_a_draft_must_divide_over_the_ranks_as_well(draft: Draft) -> None:
    config = {"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}
    launch = draft("Qwen/Qwen3-32B", config, tensor_parallel_size=32)
    assert any("attention heads (16)" in item.message for item in launch.problems)


def test_a_derived_head_says_so(draft: Draft) -> None:
    launch = draft(LLAMA, {"method": "eagle3", "model": EAGLE3, "num_speculative_tokens": 3})
    assert any("derived from meta-llama/Llama-3.1-8B-Instruct" in w for w in launch.warnings)


def test_a_speculators_head_brings_its_target(draft: Draft) -> None:
    name = "RedHatAI/Llama-3.1-8B-Instruct-speculator.eagle3"
    launch = draft(name, {"num_speculative_tokens": 3})
    assert launch.speculation is not None and launch.speculation.method == "eagle3"
    assert launch.speculation.drafter is not None
    kind, message = problem(draft(name, None))
    assert kind == "not_modelled" and "How many tokens" in message


def test_a_head_served_alone_is_refused(draft: Draft) -> None:
    kind, message = problem(draft(EAGLE3, None))
    assert kind == "unsupported" and "cannot serve it alone" in message


@pytest.mark.parametrize(("version", "length"), [("0.32.0", 131072), ("0.33.0", 40960)])
def test_the_newest_release_serves_no_longer_than_a_draft_model(
    draft: Draft, version: str, length: int
) -> None:
    config = {
        "model": "Qwen/Qwen3-0.6B",
        "num_speculative_tokens": 3,
        "use_heterogeneous_vocab": True,
    }
    launch = draft(LLAMA, config, vllm_version=version)
    assert launch.max_model_len == length


def test_a_step_of_several_layers_predicts_one_token(draft: Draft) -> None:
    name = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-BF16"
    launch = draft(name, {"method": "mtp", "num_speculative_tokens": 3})
    assert launch.problems == ()
    assert draft(name, {"method": "mtp"}).speculative_tokens == 1


def test_drafted_tokens_are_whole_passes_of_the_prediction_layers(draft: Draft) -> None:
    name = "stepfun-ai/Step-3.7-Flash"
    assert draft(name, {"method": "mtp", "num_speculative_tokens": 6}).problems == ()
    kind, message = problem(draft(name, {"method": "mtp", "num_speculative_tokens": 4}))
    assert kind == "invalid_arguments" and "must be divisible by n_predict=3" in message


def test_what_the_old_engine_took_over_is_not_modelled(draft: Draft) -> None:
    config = {"model": "Qwen/Qwen3-0.6B", "num_speculative_tokens": 3}
    kind, message = problem(draft(QWEN, config, vllm_version="0.10.2"))
    assert kind == "not_modelled" and "V0 engine" in message


@pytest.mark.parametrize(
    ("config", "version", "said"),
    [
        ({"foo": 1}, "0.33.0", "foo: Unexpected keyword argument"),
        ({"method": 3}, "0.33.0", "method: Input should be a valid string"),
        ({"foo": 1}, "0.9.0", "foo: Unexpected keyword argument"),
        # Pydantic leaves out what it does not know unless told to forbid it.
        ({"foo": 1}, "0.12.0", None),
        ({"disable_by_batch_size": 8}, "0.16.0", None),
        ({"disable_by_batch_size": 8}, "0.17.0", "disable_by_batch_size: Unexpected"),
        ({"prompt_lookup_min": 5, "prompt_lookup_max": 2}, "0.8.3", "must be <= prompt_lookup_max"),
        ({"prompt_lookup_min": 2, "prompt_lookup_max": 5}, "0.33.0", None),
        ({"prompt_lookup_max": 0}, "0.10.0", "prompt_lookup_max=0 must be > 0"),
    ],
)
def test_keys_and_lookups_of_the_release(
    draft: Draft, config: dict[str, Any], version: str, said: str | None
) -> None:
    whole = {"method": "ngram", "num_speculative_tokens": 3, **config}
    problems = draft(QWEN, whole, vllm_version=version).problems
    if said is None:
        assert problems == ()
    else:
        assert any(said in problem.message for problem in problems)
