"""Whether a release has the model's class, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.launch.acceptance.classes import refused_class
from vllm_preflight.launch.acceptance.unread import refused_config
from vllm_preflight.launch.launch import LaunchProblem, Version

NEWEST: Version = (0, 33, 0)


def judged(name: str, version: Version = NEWEST, **given: Any) -> LaunchProblem | None:
    config = {"architectures": [name], **given.pop("config", {})}
    return refused_class(config, version, **given)


def refused(name: str, version: Version = NEWEST, **given: Any) -> LaunchProblem:
    found = judged(name, version, **given)
    assert found is not None
    return found


def test_a_class_that_vllm_never_had_is_refused_in_its_words() -> None:
    found = refused("FooForCausalLM")
    assert found.kind == "unsupported"
    assert found.message == "Model architectures ['FooForCausalLM'] are not supported for now."


def test_a_class_that_comes_later_names_its_first_release() -> None:
    found = refused("DeepseekV32ForCausalLM", (0, 9, 0))
    assert found.message.endswith("DeepseekV32ForCausalLM needs vLLM 0.11.0 or later.")
    assert found.remedies == ("vLLM 0.11.0 or later",)
    assert judged("DeepseekV32ForCausalLM", (0, 11, 0)) is None


@pytest.mark.parametrize(
    ("name", "last", "remedy"),
    [
        # vLLM's own sentence says 0.23.0; the registry of 0.24.0 still had it.
        ("BaiChuanForCausalLM", "0.23.0", "vLLM 0.24.0"),
        ("MiniMaxText01ForCausalLM", "0.23.0", None),
        ("MPTForCausalLM", "0.28.0", None),
        ("QWenLMHeadModel", "0.23.0", None),
        ("Phi3SmallForCausalLM", "0.9.2", None),
    ],
)
def test_a_class_that_left_is_refused_with_its_last_release(
    name: str, last: str, remedy: str | None
) -> None:
    found = refused(name)
    assert found.kind == "unsupported"
    assert f"was supported in vLLM until v{last}, and is not supported anymore" in found.message
    assert remedy is None or found.remedies == (remedy,)


def test_a_class_of_a_plugin_names_the_plugin() -> None:
    found = refused("Nemotron3_5AsrForRNNT")
    assert "Please install the plugin at https://" in found.message


@pytest.mark.parametrize("name", ["MllamaForConditionalGeneration", "HeliumForCausalLM"])
def test_what_transformers_may_run_is_not_modelled(name: str) -> None:
    found = refused(name)
    assert found.kind == "not_modelled"
    assert "Transformers backend" in found.message


def test_classes_that_only_take_an_attention_count_since_0_30() -> None:
    assert refused("BambaForCausalLM", (0, 29, 0)).kind == "unsupported"
    assert refused("BambaForCausalLM", (0, 30, 0)).kind == "not_modelled"


def test_the_transformers_of_the_release_decides() -> None:
    # transformers has had it since 4.55, which no vLLM before 0.10.0 is installed with.
    assert refused("Exaone4ForCausalLM", (0, 9, 2)).kind == "unsupported"
    assert refused("GptOssForCausalLM", (0, 10, 0)).kind == "not_modelled"


@pytest.mark.parametrize("name", ["LlamaForCausalLMEagle3", "DeepSeekMTPModel"])
def test_a_draft_is_no_model(name: str) -> None:
    found = refused(name)
    assert found.kind == "unsupported" and "--speculative-config" in found.message


def test_code_of_the_repository_is_only_run_when_trusted() -> None:
    config = {"auto_map": {"AutoModelForCausalLM": "modeling_foo.FooForCausalLM"}}
    assert refused("FooForCausalLM", config=config).kind == "unsupported"
    trusted = refused("FooForCausalLM", config=config, trust_remote_code=True)
    assert trusted.kind == "not_modelled" and "code of the repository" in trusted.message
    # What vLLM dropped is code from before the Transformers backend.
    old = refused("BaiChuanForCausalLM", config=config, trust_remote_code=True)
    assert old.kind == "unsupported"


@pytest.mark.parametrize(
    "name", ["Qwen3ForSequenceClassification", "LlamaModel", "Qwen3ForTokenClassification"]
)
def test_endings_that_vllm_exchanges_are_accepted(name: str) -> None:
    assert judged(name) is None


def test_endings_were_not_exchanged_from_the_start() -> None:
    assert refused("InternLM2ForTokenClassification", (0, 9, 0)).kind == "unsupported"
    assert judged("InternLM2ForTokenClassification", (0, 11, 0)) is None
    assert judged("LlamaForSequenceClassification", (0, 10, 0)) is None


def test_a_config_without_classes_is_not_judged() -> None:
    assert refused_class({}, NEWEST) is None
    assert refused_class({"architectures": None}, NEWEST) is None


def test_the_transformers_backend_asked_for_is_not_modelled() -> None:
    assert refused("Qwen3ForCausalLM", model_impl="transformers").kind == "not_modelled"
    assert judged("OlmoForCausalLM", model_impl="transformers") is None


def test_configs_nobody_sizes_are_refused_by_their_names_alone() -> None:
    registered = {"architectures": ["PixtralForConditionalGeneration"]}
    assert refused_config(registered, NEWEST) is None
    unknown = {"architectures": ["FooForCausalLM"]}
    found = refused_config(unknown, NEWEST)
    assert found is not None and found.kind == "unsupported"
    hqq = {**registered, "quantization_config": {"quant_method": "hqq"}}
    found = refused_config(hqq, NEWEST)
    assert found is not None and found.message.startswith("Unknown quantization method: hqq.")
    assert refused_config(hqq, (0, 10, 0)) is None
    speculator: dict[str, Any] = {**unknown, "speculators_config": {}}
    assert refused_config(speculator, NEWEST) is None
