"""The tables of what each release accepts: shape, order, and the facts people rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.launch.acceptance.classes import class_group
from vllm_preflight.launch.acceptance.tables import names_in, releases_with, span_of, table
from vllm_preflight.launch.versions import NEWEST_KNOWN, OLDEST_KNOWN, parse_version
from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight.models.sources import load_model


def _spans() -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    registry, quantization = table("registry"), table("quantization")
    for part in (registry["classes"], registry["previously_supported"], registry["plugins"]):
        yield from part.items()
    for name in ("methods", "deprecated", "kv_cache_dtypes"):
        yield from quantization[name].items()


def test_every_span_is_of_releases_in_order() -> None:
    releases = [parse_version(name) for name in table("registry")["releases"]]
    assert releases == sorted(set(releases))
    assert (releases[0], releases[-1]) == (OLDEST_KNOWN, NEWEST_KNOWN)
    for name, spans in _spans():
        before = (0, 0, 0)
        for span in spans:
            since = parse_version(span["since"])
            until = parse_version(span["until"]) if "until" in span else NEWEST_KNOWN
            assert before < since <= until, name
            assert since in releases and until in releases, name
            before = until


@pytest.mark.parametrize("name", ["registry", "quantization", "kernels", "names"])
def test_every_table_says_what_where_from_and_when(name: str) -> None:
    for key in ("description", "source", "date"):
        assert len(table(name)[key]) >= 10


def test_the_newest_registry_is_vllms_own(shared_dir: Path) -> None:
    path = shared_dir / "data" / "vllm_0_33_registry.json"
    theirs = json.loads(path.read_text(encoding="utf-8"))["categories"]
    removed, plugins = theirs.pop("previously_supported"), theirs.pop("oot_supported")
    ours = set(names_in(table("registry")["classes"], NEWEST_KNOWN))
    assert ours == {name for names in theirs.values() for name in names}
    said = table("registry")["previously_supported"]
    found = {name: span_of(spans, NEWEST_KNOWN) for name, spans in said.items()}
    assert {name: span["last"] for name, span in found.items() if span} == removed
    assert set(names_in(table("registry")["plugins"], NEWEST_KNOWN)) == set(plugins)


@pytest.mark.parametrize(
    ("name", "since", "until"),
    [
        ("GptOssForCausalLM", "0.10.1", None),
        ("DeepseekV32ForCausalLM", "0.11.0", None),
        ("Qwen3ForCausalLM", "0.8.4", None),
        ("Gemma4ForConditionalGeneration", "0.19.0", None),
        ("MllamaForConditionalGeneration", "0.8.0", "0.10.2"),
        ("MptForCausalLM", "0.8.0", "0.28.0"),
    ],
)
def test_when_well_known_classes_came_and_went(name: str, since: str, until: str | None) -> None:
    spans = table("registry")["classes"][name]
    assert (spans[0]["since"], spans[-1].get("until")) == (since, until)


def test_every_class_of_the_catalogue_is_one_of_vllms() -> None:
    unknown: set[str] = set()
    for identifier in catalog_ids():
        for name in load_model(identifier, source="catalog").config.get("architectures") or ():
            stems = (name, name.replace("ForSequenceClassification", "ForCausalLM"))
            if not any(stem in table("registry")["classes"] for stem in stems):
                unknown.add(name)
    assert not unknown


def test_where_to_turn_is_the_next_release_that_has_it_or_the_last_that_had() -> None:
    spans = table("registry")["classes"]
    assert releases_with(spans["GptOssForCausalLM"], (0, 10, 0)) == "vLLM 0.10.1 or later"
    assert releases_with(spans["MptForCausalLM"], (0, 33, 0)) == "vLLM 0.28.0"
    assert releases_with((), (0, 33, 0)) is None


def test_a_build_of_the_main_branch_may_have_what_comes_next() -> None:
    gemma = "Gemma4ForConditionalGeneration"
    assert class_group(gemma, (0, 17, 1)) is None
    assert class_group(gemma, (0, 17, 2)) == "multimodal"
    assert class_group(gemma, (0, 18, 0)) is None


def test_kernels_begin_at_turing_since_the_wheels_are_built_with_cuda_13() -> None:
    floors = {entry["since"]: min(entry["capabilities"]) for entry in table("kernels")["history"]}
    assert floors["0.12.0"] == 70
    assert floors["0.20.0"] == 75
