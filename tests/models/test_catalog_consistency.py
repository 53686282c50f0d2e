"""Every entry of the catalogue against what else is published of it: agreed, or marked.

What is marked is an `Assumption` of the model: the answer says it, and does not hide it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.models.catalog.entries import CatalogEntry, catalog_entry, catalog_ids
from vllm_preflight.models.catalog_models import LENGTH, SHAPES, STORAGE, catalog_model
from vllm_preflight.models.checkpoint_names import read_name
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.quantization import read_quantization

# A share of the published parameters.
COUNTED_OTHERWISE = 0.01


def entries() -> list[CatalogEntry]:
    found = [catalog_entry(name) for name in catalog_ids()]
    return [entry for entry in found if entry is not None]


ENTRIES = entries()


def marked(model: Model, fact: str) -> bool:
    return any(one.fact == fact for one in model.assumed)


def quantised(entry: CatalogEntry) -> bool:
    return read_quantization(entry.config).method != "none"


def test_every_fact_says_what_settled_it() -> None:
    for entry in ENTRIES:
        assert set(entry.facts) == {LENGTH, STORAGE}, entry.id
        assert all(entry.facts.values()), entry.id
        if entry.completeness == "full":
            assert entry.facts[STORAGE] == "published", entry.id


def test_what_nothing_settles_is_few_and_marked() -> None:
    unknown = Counter[str]()
    for entry in ENTRIES:
        model = catalog_model(entry)
        for fact in (LENGTH, STORAGE):
            if entry.facts[fact] == "unknown":
                assert marked(model, fact), (entry.id, fact)
                unknown[fact] += 1
        assert model.architecture.max_position_known != marked(model, LENGTH), entry.id
    assert unknown[STORAGE] <= 0.03 * len(ENTRIES)
    assert unknown[LENGTH] <= 0.1 * len(ENTRIES)


def test_a_name_that_says_quantised_is_quantised_and_one_that_says_16_bit_is_not() -> None:
    for entry in ENTRIES:
        precision = read_name(entry.id).precision
        if precision is not None:
            assert quantised(entry) == (precision != "16-bit"), entry.id


def test_a_length_in_the_name_is_the_length() -> None:
    for entry in ENTRIES:
        said = re.search(r"[-_](\d{1,4})k(?:[-_]|$)", entry.id, re.IGNORECASE)
        # Of MiniMax-M1-80k it is the length of its thoughts, of TinyLlama training steps.
        if said and entry.id.partition("/")[0] not in {"MiniMaxAI", "TinyLlama"}:
            length = read_architecture(entry.config).max_position
            assert abs(length - int(said[1]) * 1024) <= 0.03 * length, entry.id


def test_published_bytes_agree_with_the_storage() -> None:
    for entry in ENTRIES:
        if not (entry.total_bytes and entry.params_total):
            continue
        stored = entry.total_bytes / entry.params_total
        if quantised(entry):
            assert stored < 1.7, entry.id
        elif stored < 1.8:
            assert marked(catalog_model(entry), STORAGE), entry.id


def test_recipes_agree_on_precision_and_context(shared_dir: Path) -> None:
    for name, precision, context in recipes(shared_dir):
        entry = catalog_entry(name)
        if entry is None or entry.id != name:
            continue
        assert quantised(entry) == (precision != "bf16"), name
        model = catalog_model(entry)
        if context and context > model.architecture.max_position:
            assert marked(model, LENGTH), name


def recipes(shared_dir: Path) -> list[tuple[str, str, int | None]]:
    """Checkpoint, precision and context, once each."""
    found: dict[str, tuple[str, str, int | None]] = {}
    path = shared_dir / "data" / "recipes.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines():
        row: dict[str, Any] = json.loads(line)
        if row["tasks"] == ["omni"]:
            continue
        own = row["model"]["model_id"]
        for variant in row["variants"].values():
            name = variant.get("model_id") or own
            context = row["model"].get("context_length") if name == own else None
            found.setdefault(name, (name, variant["precision"], context))
    return list(found.values())


@pytest.mark.parametrize(
    ("model", "label", "length"),
    [
        # Held in 16 bit, or cut to another project's preset, before.
        ("moonshotai/Kimi-K2-Thinking", "INT4", 262144),
        ("MiniMaxAI/MiniMax-M2", "FP8 block", 196608),
        ("deepseek-ai/DeepSeek-V3.2-Exp", "FP8 block", 163840),
        ("mistralai/Mistral-Small-4-119B-2603", "FP8", None),
        ("mistralai/Ministral-3-3B-Instruct-2512", "FP8", None),
        ("microsoft/Phi-3-mini-128k-instruct", "", 131072),
        ("microsoft/Phi-4-mini-instruct", "", 131072),
        ("meta-llama/Llama-2-7b-chat-hf", "", 4096),
        ("Qwen/Qwen3-Coder-Next", "", 262144),
        ("ibm-granite/granite-4.0-h-small", "", 131072),
        ("nvidia/NVIDIA-Nemotron-Nano-9B-v2", "", 131072),
        ("deepseek-ai/DeepSeek-V2", "", 163840),
    ],
)
def test_the_known_worst(model: str, label: str, length: int | None) -> None:
    entry = catalog_entry(model)
    assert entry is not None
    found = catalog_model(entry)
    assert label in found.quantization.label
    assert (found.quantization.method == "none") == (not label)
    assert length is None or found.architecture.max_position == length


def test_parts_and_copies_count_the_published_parameters_or_are_marked() -> None:
    apart: set[str] = set()
    for entry in ENTRIES:
        if entry.completeness == "full" or not entry.params_total or quantised(entry):
            continue
        model = catalog_model(entry)
        counted = count_parameters(model.architecture).total
        head = model.architecture.vocab_size * model.architecture.hidden_size
        # A model that embeds stores no output head.
        copies = (0, head, -head) if entry.pools else (0, head)
        gaps = [abs(counted + copy - entry.params_total) for copy in copies]
        if min(gaps) > COUNTED_OTHERWISE * entry.params_total:
            apart.add(entry.id)
            assert marked(model, SHAPES), entry.id
    # OLMoE's class defaults are not its checkpoint's, for one.
    assert "allenai/OLMoE-1B-7B-0924" in apart
    assert len(apart) <= 20


def test_what_completes_a_config_makes_the_published_total() -> None:
    completed = [entry for entry in ENTRIES if entry.completed]
    assert {entry.id for entry in completed} >= {"ibm-granite/granite-4.0-h-small"}
    for entry in completed:
        assert count_parameters(catalog_model(entry).architecture).total == entry.params_total
        assert entry.completed_by


def test_shapes_that_count_too_much_are_refuted() -> None:
    refuted: list[str] = []
    for entry in ENTRIES:
        model = catalog_model(entry)
        if quantised(entry) or entry.completeness == "full" or not entry.params_total:
            continue
        if any(one.refuted for one in model.assumed):
            refuted.append(entry.id)
        elif not entry.pools:
            counted = count_parameters(model.architecture).total
            assert counted <= 1.02 * entry.params_total, entry.id
    assert "allenai/OLMoE-1B-7B-0924" in refuted and len(refuted) < 10, refuted
