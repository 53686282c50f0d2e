"""Which drafting method a config.json is written for, and the speculators format.

A head says so in its class (`LlamaForCausalLMEagle3`, `DFlashDraftModel`), in its model
type (`medusa`, `eagle`) or in `speculators_model_type`.
Source: vLLM 0.33 transformers_utils/configs/eagle.py and configs/speculators.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from vllm_preflight.base.errors import UnsupportedArchitecture

HeadMethod = Literal["eagle", "eagle3", "dflash", "dspark", "medusa", "mlp_speculator"]

HEAD_METHODS: tuple[HeadMethod, ...] = get_args(HeadMethod)

_SPECULATORS_METHODS: Mapping[str, HeadMethod] = {
    "eagle3": "eagle3",
    "peagle": "eagle3",
    "dflash": "dflash",
    "dspark": "dspark",
}
# A vision-language model whose name begins like EAGLE's heads.
_VISION_MODEL = "Eagle2_5"
_DFLASH_CLASSES = ("DFlashDraftModel", "DFlashQwen3ForCausalLM", "DFlashQwen3Model")
# How vLLM's registry names the classes of other drafts: prediction layers stored apart,
# later kinds of DFlash, assistants.
_OTHER_DRAFTS = re.compile(r"MTP(Model)?$|^DFlash|(Draft|XPress|Assistant|HiddenStates)Model$")
_TYPES: Mapping[str, HeadMethod] = {
    "eagle": "eagle",
    "medusa": "medusa",
    "mlp_speculator": "mlp_speculator",
}


def head_method(config: Mapping[str, Any]) -> HeadMethod | None:
    """The drafting method a config is a head for; None for a model that can be served.

    Raises:
        UnsupportedArchitecture: a draft of a kind that is not known here.
    """
    named = config.get("speculators_model_type")
    if named is not None:
        if named not in _SPECULATORS_METHODS:
            raise UnsupportedArchitecture(
                f"Drafts of the speculators type {named!r} are not modelled.",
                f"Known are {', '.join(_SPECULATORS_METHODS)}.",
                keys=("speculators_model_type",),
            )
        return _SPECULATORS_METHODS[named]
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in _TYPES:
        return _TYPES[model_type]
    for name in _classes(config):
        found = _method_of_class(name)
        if found is None and _OTHER_DRAFTS.search(name):
            raise UnsupportedArchitecture(
                f"Drafts of the class {name} are not modelled.",
                "Their weights and their share of the KV cache are not known.",
                keys=("architectures",),
            )
        if found is not None:
            return found
    return None


def _method_of_class(name: str) -> HeadMethod | None:
    """By the names that vLLM's registry gives the classes of heads."""
    if name.startswith(("Eagle3", "PEagle", "Peagle")) or name.endswith("Eagle3"):
        return "eagle3"
    if name.startswith("Eagle") and not name.startswith(_VISION_MODEL):
        return "eagle"
    if name in _DFLASH_CLASSES:
        return "dflash"
    if name.endswith("DSparkModel") or name == "DSparkDraftModel":
        return "dspark"
    return "medusa" if name == "MedusaModel" else None


def verifier(config: Mapping[str, Any]) -> str | None:
    """The model that a speculators config drafts for, None for any other config."""
    section = config.get("speculators_config")
    if not isinstance(section, Mapping):
        return None
    named = cast(Mapping[str, Any], section).get("verifier")
    name = (
        cast(Mapping[str, Any], named).get("name_or_path") if isinstance(named, Mapping) else None
    )
    return name if isinstance(name, str) and name else None


def own_speculative_config(config: Mapping[str, Any], draft: str) -> dict[str, Any]:
    """The speculative_config that vLLM makes of a speculators config.

    Source: vLLM 0.33 SpeculatorsConfig.extract_vllm_speculative_config, which takes the
    first proposal method alone. Without num_speculative_tokens where the config names none.
    """
    method = head_method(config)
    section = cast(Mapping[str, Any], config.get("speculators_config") or {})
    methods = section.get("proposal_methods")
    first: object = (
        cast(list[object], methods)[0] if isinstance(methods, list) and methods else None
    )
    tokens = (
        cast(Mapping[str, Any], first).get("speculative_tokens")
        if isinstance(first, Mapping)
        else None
    )
    found = {"method": method, "model": draft, "num_speculative_tokens": tokens}
    return {key: value for key, value in found.items() if value is not None}


def plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A head's config with the keys of its decoder layers at the top.

    The speculators format keeps them in `transformer_layer_config`, EAGLE's own in `model`.
    """
    layers = config.get("transformer_layer_config") or config.get("model")
    if not isinstance(layers, Mapping):
        return dict(config)
    nested = {key: value for key, value in config.items() if value is not None}
    nested.pop("architectures", None)
    nested.pop("model_type", None)
    return {**nested, **cast(Mapping[str, Any], layers)}


def _classes(config: Mapping[str, Any]) -> tuple[str, ...]:
    names = config.get("architectures")
    if not isinstance(names, list | tuple):
        return ()
    return tuple(str(name) for name in cast(list[object], names))
