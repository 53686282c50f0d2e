"""Configs put together from published dimensions, kept where they count exactly as published.

A scrape of the Hub has the main dimensions of many models and the number of their stored
parameters. For three classes those dimensions are all that shapes layers and caches: the others
of their keys are on or off, and show in the number of parameters. Only a config that makes
exactly the published number is kept.

Likewise a text model's class defaults stand for a multimodal checkpoint only in part; the
defaults of the class around it are taken where they count exactly as published.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.checkpoint_names import read_name
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.parameters import count_parameters

Json = dict[str, Any]
CASES = Path(__file__).parent.parent / "benchmarks/data/architecture_cases.jsonl"

# The class of each model type; none has windows or other caches than by its dimensions unless a
# switch is set that these models' publishers do not set (`use_sliding_window`).
CLASSES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
}
DIMENSIONS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
)
# The scrape's context length where it could not read the config.
UNREAD_CONTEXT = 4096


def composed(row: Json, dimensions: Mapping[str, Any]) -> Json | None:
    """The config of a 16-bit model of the scrape, or None where the sum is not exact."""
    model_type, total = dimensions.get("model_type"), row["params_total"]
    quantised = row.get("quant_from_name") or read_name(row["model"]).precision not in (
        None,
        "16-bit",
    )
    if model_type not in CLASSES or not total or quantised:
        return None
    if any(key not in dimensions for key in DIMENSIONS):
        return None
    for config in spellings(model_type, dimensions):
        try:
            counted = count_parameters(read_architecture(config)).total
        except UnsupportedArchitecture:
            continue
        if counted == total:
            context = row.get("context_length_llmfit")
            if context and context != UNREAD_CONTEXT:
                config["max_position_embeddings"] = context
            return config
    return None


def spellings(model_type: str, dimensions: Mapping[str, Any]) -> Iterable[Json]:
    """The config with each setting of the switches that change how much is stored."""
    known = {key: dimensions[key] for key in (*DIMENSIONS, "head_dim") if key in dimensions}
    biases = (False, True) if model_type == "llama" else (None,)
    for tied, bias in itertools.product((False, True), biases):
        config = {
            "architectures": [CLASSES[model_type]],
            "model_type": model_type,
            "hidden_act": "silu",
            "torch_dtype": "bfloat16",
            "tie_word_embeddings": tied,
            **known,
        }
        yield config if bias is None else {**config, "attention_bias": bias}


def wrapped(config: Mapping[str, Any], total: int | None) -> tuple[str, Json] | None:
    """The class around a text model and its defaults, where they make exactly `total`."""
    if not total or not str(config.get("model_type", "")).endswith("_text"):
        return None
    for source, whole in _class_defaults():
        text = whole.get("text_config")
        if not isinstance(text, Mapping):
            continue
        same = all(text.get(key) == config.get(key) for key in DIMENSIONS if key in config)
        if same and count_parameters(read_architecture(whole)).total == total:
            return source.removeprefix("transformers "), whole
    return None


@cache
def _class_defaults() -> tuple[tuple[str, Json], ...]:
    """The multimodal classes' configs that are a config class's defaults, by that class."""
    rows = map(json.loads, CASES.read_text(encoding="utf-8").splitlines()[1:])
    return tuple(
        (row["source"], row["config"])
        for row in rows
        if row["category"] == "multimodal"
        and row["source"].startswith("transformers ")
        and not row["source"].endswith("+")
    )
