"""Drafts found like models, and models that are served by the name of their draft."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import PreflightError, UnknownModel, UnsupportedArchitecture
from vllm_preflight.models import served
from vllm_preflight.models.served import as_head, load_draft, load_served
from vllm_preflight.models.sources import load_model

LAYER = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": 1,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))


def folder(tmp_path: Path, config: dict[str, Any]) -> str:
    place = tmp_path / "draft"
    place.mkdir()
    (place / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(place)


def test_a_speculators_folder_serves_its_verifier(tmp_path: Path) -> None:
    config = {
        "speculators_model_type": "eagle3",
        "draft_vocab_size": 32000,
        "transformer_layer_config": LAYER,
        "speculators_config": {
            "proposal_methods": [{"speculative_tokens": 3}],
            "verifier": {"name_or_path": "meta-llama/Llama-3.1-8B-Instruct"},
        },
    }
    found = load_served(folder(tmp_path, config))
    assert found.id == "meta-llama/Llama-3.1-8B-Instruct"
    assert found.speculator is not None and found.speculator.architecture.drafts == "eagle3"
    assert load_served(found.speculator.id) is found


def test_a_verifier_is_never_a_folder_of_this_machine(tmp_path: Path) -> None:
    config = {
        "speculators_model_type": "eagle3",
        "transformer_layer_config": LAYER,
        "speculators_config": {"verifier": {"name_or_path": str(tmp_path)}},
    }
    with pytest.raises(PreflightError):
        load_served(folder(tmp_path, config))


def test_a_model_that_drafts_for_nothing_is_served_itself() -> None:
    found = load_served("Qwen/Qwen3-8B")
    assert found.id == "Qwen/Qwen3-8B" and found.speculator is None


def test_what_is_unknown_stays_so() -> None:
    with pytest.raises(UnknownModel):
        load_served("nosuch/thing")


def test_a_draft_that_was_not_found_is_not_looked_for_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def missing(name: str, **_: object) -> None:
        asked.append(name)
        raise UnknownModel(f"no {name}", "")

    monkeypatch.setattr(served, "load_model", missing)
    for _ in range(3):
        with pytest.raises(PreflightError):
            load_draft("nosuch/counted-once")
    assert asked == ["nosuch/counted-once"]


def test_a_plain_config_is_a_head_where_the_method_says_so(tmp_path: Path) -> None:
    plain = load_model(folder(tmp_path, {**LAYER, "architectures": ["LlamaForCausalLM"]}))
    assert as_head(plain, "eagle").architecture.drafts == "eagle"
    assert as_head(plain, "eagle") is as_head(plain, "eagle")


def test_a_whole_model_of_the_catalogue_is_no_head() -> None:
    with pytest.raises(UnsupportedArchitecture, match="a whole model by its config"):
        as_head(load_model("Qwen/Qwen3-0.6B", source="catalog"), "eagle3")


def test_stages_in_another_deepseek_checkpoint_are_read_from_its_config() -> None:
    named = load_model("deepseek-ai/DeepSeek-V4-Flash-0731", source="catalog")
    stages = as_head(named, "dspark")
    assert stages.architecture.drafts == "dspark" and len(stages.architecture.layers) == 3
