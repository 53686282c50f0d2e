"""Whether a release has the model's class, by the registry of each release.

Source: vLLM model_executor/models/registry.py (_raise_for_unsupported, _normalize_arch,
_try_resolve_transformers) of the wheels named in registry.json.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from vllm_preflight.launch.acceptance.tables import releases_with, span_of, table
from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.launch.versions import format_version
from vllm_preflight.models.config_files import as_object
from vllm_preflight.models.config_view import ConfigView

# Endings that vLLM exchanges for one another when it looks for the class to convert.
_ENDINGS = (
    "ForCausalLM",
    "ForConditionalGeneration",
    "ChatModel",
    "LMHeadModel",
    "ForTextEncoding",
    "EmbeddingModel",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForAudioClassification",
    "ForImageClassification",
    "ForVideoClassification",
    "ClassificationModel",
    "ForRewardModeling",
    "RewardModel",
    "Model",
)
# The first release that converts any ending; 0.9.0 converts classifiers alone.
_CONVERTS_SINCE: Version = (0, 10, 1)
_CONVERTS_CLASSIFIERS_SINCE: Version = (0, 9, 0)
# The first release that accepts classes which only take an attention implementation.
_SETTABLE_SINCE: Version = (0, 30, 0)
_DRAFTER = "speculative_decoding"
_OWN_MODULES = "transformers_supported"


def refused_class(
    config: Mapping[str, Any],
    version: Version,
    *,
    trust_remote_code: bool = False,
    model_impl: str | None = None,
) -> LaunchProblem | None:
    """Why the release does not run the class that a config names; None where it does.

    A config without `architectures` is not judged. A class that only transformers' own
    modules, or code of the repository, may run is not modelled rather than refused.
    """
    names = ConfigView(config).architectures
    if not names:
        return None
    remote = trust_remote_code and _names_a_model(config.get("auto_map"))
    found = _judged(names, version, remote)
    if found is None and model_impl == "transformers" and _group(names[0], version) != _OWN_MODULES:
        return LaunchProblem(
            f"With --model-impl transformers vLLM runs {names[0]} in the modules of transformers, "
            "whose buffers and graphs are not modelled here.",
            kind="not_modelled",
        )
    return found


@lru_cache(maxsize=1024)
def _judged(names: tuple[str, ...], version: Version, remote: bool) -> LaunchProblem | None:
    groups = [_group(name, version) for name in names]
    if any(group and group != _DRAFTER for group in groups):
        return None
    release = format_version(version)
    if _DRAFTER in groups:
        return LaunchProblem(
            f"{names[groups.index(_DRAFTER)]} is a draft model: vLLM {release} loads it beside "
            "the model it drafts for, named by --speculative-config, and cannot serve it alone.",
            kind="unsupported",
        )
    before = next((said for name in names if (said := _said_before(name, version))), None)
    if (remote and before is None) or any(_in_transformers(name, version) for name in names):
        return LaunchProblem(
            f"vLLM {release} has no class of its own for {', '.join(names)} and turns to "
            f"{'the code of the repository' if remote else 'the modules of transformers'} (the "
            "Transformers backend). Whether that starts, and with how much memory beside "
            "weights and KV cache, is not modelled here.",
            kind="not_modelled",
        )
    spans = _spans()
    turn = next((to for name in names if (to := releases_with(spans.get(name, ()), version))), None)
    message = before or f"Model architectures {list(names)} are not supported for now."
    if turn is not None and before is None:
        message = f"{message} {names[0]} needs {turn}."
    return LaunchProblem(message, (turn,) if turn else (), kind="unsupported")


def class_group(name: str, version: Version) -> str | None:
    """The registry's group of a class in a release, None where the release lacks it."""
    span = span_of(_spans().get(name, ()), version)
    return None if span is None else span["group"]


def _spans() -> Mapping[str, Any]:
    return table("registry")["classes"]


def _group(name: str, version: Version) -> str | None:
    found = class_group(name, version)
    if found or version < _CONVERTS_CLASSIFIERS_SINCE:
        return found
    if version < _CONVERTS_SINCE:
        base = name.replace("ForSequenceClassification", "ForCausalLM")
        return class_group(base, version) if base != name else None
    ending = next((ending for ending in _ENDINGS if name.endswith(ending)), None)
    if ending is None:
        return None
    bases = (name.replace(ending, other) for other in _ENDINGS)
    return next((group for base in bases if (group := class_group(base, version))), None)


def _said_before(name: str, version: Version) -> str | None:
    """What the release says of a class that an earlier one had."""
    registry = table("registry")
    span = span_of(registry["previously_supported"].get(name, ()), version)
    if span is not None:
        return (
            f"Model architecture {name} was supported in vLLM until v{span['last']}, and is not "
            "supported anymore. Please use an older version of vLLM if you want to use this "
            "model architecture."
        )
    span = span_of(registry["plugins"].get(name, ()), version)
    if span is not None:
        return (
            f"Model architecture {name} is not supported in-tree anymore. Please install the "
            f"plugin at {span['url']} if you want to use this model architecture."
        )
    return None


def _names_a_model(auto_map: object) -> bool:
    """Whether the repository brings a model class of its own."""
    return any(key.startswith("AutoModel") for key in as_object(auto_map))


def _in_transformers(name: str, version: Version) -> bool:
    """Whether transformers, as the release asks for it, has a class the backend accepts."""
    backend = table("registry")["transformers_backend"]
    low, high = _transformers_range(version)
    tables = ("marked", "settable") if version >= _SETTABLE_SINCE else ("marked",)
    return any(
        _numbers(first) <= high and low <= _numbers(last)
        for kind in tables
        if name in backend[kind]
        for first, last in [backend[kind][name]]
    )


@lru_cache(maxsize=128)
def _transformers_range(version: Version) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The versions of transformers a release is installed with.

    From the least it asks for up to its limit; without one, up to the least that the next
    change of the requirement asks for.
    """
    pins = table("registry")["transformers_backend"]["pins"]
    position = next(i for i, pin in enumerate(pins) if span_of([pin], version))
    low = _bound(pins[position]["pin"], ">=")
    assert low is not None
    below = _bound(pins[position]["pin"], "<")
    if below is not None:
        return low, (*below[:-1], below[-1] - 1, 9999)
    following = _bound(pins[position + 1]["pin"], ">=") if position + 1 < len(pins) else None
    return low, max(low, following or low)


def _bound(pin: str, sign: str) -> tuple[int, ...] | None:
    found = re.search(rf"(?:^|,){sign}([\d.]+)", pin)
    return None if found is None else _numbers(found[1])


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
