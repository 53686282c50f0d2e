"""Well-known heads whose config is not at hand, derived from the target they are made for.

An EAGLE head repeats one decoder layer of its target (`derived.json` states the rule and
its source). What the rule leaves open is bounded: the size of the draft's vocabulary, of
which the target's is the most. Heads of targets whose layers do not give the head's shape
(mixtures of experts, Llama 3.3 70B, whose head has another hidden size) are not derived.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.drafts.heads import read_head
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import Quantization

# Keys of the target that its head does not repeat.
_NOT_REPEATED = ("quantization_config", "architectures", "layer_types", "max_window_layers")


@cache
def derived_head(identifier: str) -> Model | None:
    """The head of that id by the architecture's rule; None for any other id.

    Its `verifier` is in the config where vLLM would read it from there.
    """
    table = _table()
    entry = next((e for e in table["heads"] if e["id"].lower() == identifier.lower()), None)
    target = entry and catalog_entry(entry["target"])
    if entry is None or target is None:
        return None
    method = entry["method"]
    repeated = {key: value for key, value in target.config.items() if key not in _NOT_REPEATED}
    config = {**repeated, "num_hidden_layers": 1, "architectures": [_CLASSES[method]]}
    vocabulary = entry.get("draft_vocab_size")
    if vocabulary:
        config["draft_vocab_size"] = vocabulary
    if entry.get("speculators"):
        config["speculators_config"] = {"verifier": {"name_or_path": target.id}}
    bound = (
        f" The size of its vocabulary is not known: it is counted as the target's "
        f"{target.config['vocab_size']:,} tokens, which is the most it can be."
        if method == "eagle3" and not vocabulary
        else ""
    )
    return Model(
        id=entry["id"],
        origin="catalog",
        provenance=f"derived from {target.id}: {table['rule']} ({table['rule_source']})",
        config=config,
        # The head rotates as its target does, with the same table.
        architecture=replace(read_head(config, method), ropes=()),
        quantization=Quantization(),
        notes=(
            f"The draft {entry['id']} is derived from {target.id}, not read from its config.json: "
            f"one layer of the target's dimensions.{bound}",
        ),
    )


_CLASSES = {"eagle": "EagleLlamaForCausalLM", "eagle3": "LlamaForCausalLMEagle3"}


@cache
def _table() -> Mapping[str, Any]:
    text = (
        resources.files("vllm_preflight.models.drafts")
        .joinpath("derived.json")
        .read_text(encoding="utf-8")
    )
    return json.loads(text)
