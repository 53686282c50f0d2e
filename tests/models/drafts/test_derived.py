"""Heads that are derived from their target: the rule, its bound, and what is left out."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest

from vllm_preflight.models.architecture import AttentionCache
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.drafts.derived import derived_head

TABLE: dict[str, Any] = json.loads(
    resources.files("vllm_preflight.models.drafts")
    .joinpath("derived.json")
    .read_text(encoding="utf-8")
)


def test_the_table_states_its_rule_and_where_each_name_is_from() -> None:
    assert TABLE["basis"] == "derived"
    assert TABLE["rule"] and TABLE["rule_source"] and TABLE["date"]
    for entry in TABLE["heads"]:
        assert entry["method"] in {"eagle", "eagle3"}
        assert entry["named_in"]
        assert catalog_entry(entry["target"]) is not None


@pytest.mark.parametrize("entry", TABLE["heads"], ids=lambda entry: entry["id"])
def test_a_derived_head_caches_what_a_layer_of_its_target_caches(entry: dict[str, Any]) -> None:
    head, target = derived_head(entry["id"]), catalog_entry(entry["target"])
    assert head is not None and target is not None
    whole = read_architecture(target.config)
    assert len(head.architecture.layers) == 1
    cache, own = whole.layers[0].caches[0], head.architecture.layers[0].caches[0]
    assert isinstance(cache, AttentionCache)
    assert own == cache
    assert head.architecture.drafts == entry["method"]


def test_the_vocabulary_of_a_derived_head_is_bounded_and_said_to_be() -> None:
    head = derived_head("RedHatAI/Llama-3.1-8B-Instruct-speculator.eagle3")
    assert head is not None
    assert "the most it can be" in head.notes[0]
    assert any(w.name == "lm_head" and w.rows == 128256 for w in head.architecture.head)
    known = derived_head("yuhuili/EAGLE3-LLaMA3.1-Instruct-8B")
    assert known is not None and "vocabulary" not in known.notes[0]
    assert any(w.name == "lm_head" and w.rows == 32000 for w in known.architecture.head)


@pytest.mark.parametrize(
    "name", ["yuhuili/EAGLE3-LLaMA3.3-Instruct-70B", "nvidia/gpt-oss-120b-Eagle3-v3", "a/b"]
)
def test_heads_whose_shape_the_target_does_not_give_are_not_derived(name: str) -> None:
    assert derived_head(name) is None
