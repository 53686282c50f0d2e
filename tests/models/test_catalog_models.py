from __future__ import annotations

from dataclasses import replace

import pytest

from vllm_preflight.models.catalog.checkpoints import checkpoints_of
from vllm_preflight.models.catalog.entries import CatalogEntry, catalog_entry, catalog_ids
from vllm_preflight.models.catalog_models import catalog_model
from vllm_preflight.models.config_reader import states_length
from vllm_preflight.models.derived import derived_model
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.sources import load_model

PART = CatalogEntry(
    id="org/part",
    config={
        "model_type": "llama",
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 256,
        "max_position_embeddings": 512,
    },
    completeness="subset",
    source="a page",
    date="2026-11-24",
)
# 256 × 64 for the embedding, 36,864 a layer with its two norms, the last norm.
TIED_TOTAL = 256 * 64 + 2 * (64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64) + 64


@pytest.mark.parametrize(
    ("total", "tied"), [(TIED_TOTAL, True), (TIED_TOTAL + 256 * 64, False), (TIED_TOTAL + 1, False)]
)
def test_the_published_total_tells_whether_the_head_shares_the_embedding(
    total: int, tied: bool
) -> None:
    model = catalog_model(replace(PART, params_total=total))
    assert model.architecture.tied_embeddings is tied
    assert any("shares the embedding" in note for note in model.notes) is tied
    if total != TIED_TOTAL + 1:
        assert count_parameters(model.architecture).total == total


def test_a_stated_or_whole_config_is_left_as_it_is() -> None:
    stated = {**PART.config, "tie_word_embeddings": False}
    for entry in (
        replace(PART, params_total=TIED_TOTAL, config=stated),
        replace(PART, params_total=TIED_TOTAL, completeness="full"),
    ):
        model = catalog_model(entry)
        assert not model.architecture.tied_embeddings
        assert model.config == entry.config


def test_the_length_of_a_silent_part_is_unknown_and_of_a_whole_config_the_classs() -> None:
    silent = {key: value for key, value in PART.config.items() if key != "max_position_embeddings"}
    facts = {"max_position_embeddings": "unknown"}
    part = catalog_model(replace(PART, config=silent, facts=facts))
    assert not part.architecture.max_position_known
    assert [one.fact for one in part.assumed] == ["max_position_embeddings"]
    assert any("longest length" in note and "2,048" in note for note in part.notes)
    whole = catalog_model(replace(PART, config=silent, completeness="full"))
    assert whole.architecture.max_position_known
    assert whole.architecture.max_position == 2048
    assert catalog_model(PART).architecture.max_position_known


def test_no_catalogued_part_gives_a_default_length_for_a_fact() -> None:
    for name in catalog_ids():
        entry = catalog_entry(name)
        assert entry is not None
        if entry.completeness == "subset" and not states_length(entry.config):
            assert not catalog_model(entry).architecture.max_position_known, name


def test_a_name_that_suggests_embedding_is_a_note_and_decides_nothing() -> None:
    named = catalog_model(replace(PART, id="org/Part-Embedding-1B"))
    assert any("--runner pooling" in note for note in named.notes)
    assert named.architecture.pools_since is None
    assert not any("--runner pooling" in note for note in catalog_model(PART).notes)


@pytest.mark.parametrize(
    ("name", "predictors"),
    [("zai-org/GLM-4.5-Air", 1), ("Qwen/Qwen3.8-27B", 1), ("Qwen/Qwen3-Coder-Next", 0)],
)
def test_prediction_layers_that_a_part_leaves_out_show_in_the_total(
    name: str, predictors: int
) -> None:
    model = load_model(name, source="catalog")
    assert len(model.architecture.predictor_layers) == predictors
    assert count_parameters(model.architecture).total == model.params_published
    assert any("published parameter total says" in note for note in model.notes)


def test_an_embedder_that_is_known_to_pool_pools_and_stores_no_head() -> None:
    model = load_model("Qwen/Qwen3-Embedding-8B", source="catalog")
    assert model.architecture.embeds and model.architecture.pools_since is not None
    assert not model.assumed
    assert not any("--runner pooling" in note for note in model.notes)


def test_a_multimodal_checkpoint_has_its_towers() -> None:
    model = load_model("zai-org/GLM-4.1V-9B-Thinking", source="catalog")
    assert model.architecture.encoders and not model.assumed


def test_named_checkpoints_are_of_their_model_and_quantised() -> None:
    for name in checkpoints_of("meta-llama/Llama-3.3-70B-Instruct"):
        found = derived_model(name)
        assert found is not None and found.quantization.method != "none"
        assert found.id == name and found.assumed


def test_how_a_config_was_written_down_is_for_readers_of_the_facts_alone() -> None:
    told = replace(PART, note="a copy", params_note="a count", conflict="its length is 1, but 2")
    model = catalog_model(told)
    assert model.remarks == ("Of the config: a copy.", "Of the published parameters: a count.")
    assert not set(model.remarks) & set(model.notes)
    assert "Sources disagree on org/part: its length is 1, but 2." in model.notes


def test_a_conflict_that_leaves_a_fact_open_is_told_once() -> None:
    model = catalog_model(replace(PART, conflict="x", facts={"max_position_embeddings": "unknown"}))
    assert model.assumed and not any("Sources disagree" in note for note in model.notes)
