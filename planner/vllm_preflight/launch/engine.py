"""Which launches of early releases run in the V0 engine, which is not described here.

Source: vLLM 0.8 to 0.11 engine/arg_utils.py:_is_v1_supported_oracle (`defaults.json`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.launch.acceptance.attention import falls_back_to_v0
from vllm_preflight.launch.acceptance.tables import ATTENTION_VARIABLE
from vllm_preflight.launch.caching import has_cache
from vllm_preflight.launch.defaults import v0_engine_rules
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import Launch, LaunchProblem, Version
from vllm_preflight.launch.nested import json_object
from vllm_preflight.launch.versions import format_version
from vllm_preflight.models.architecture import LatentCache

_ENGINE_VARIABLE = "VLLM_USE_V1"
# The first releases without the V0 engine, and without the variable.
_V1_ALONE_SINCE: Version = (0, 11, 0)
_VARIABLE_UNTIL: Version = (0, 11, 1)
_HOPPER, _BLACKWELL = (9, 0), (10, 0)
_FLASH_ATTENTION = frozenset({None, "FLASH_ATTN_VLLM_V1"})
_LOOKUPS = frozenset({"ngram", "[ngram]"})
_EAGLE = frozenset({"eagle", "eagle3"})
# Methods that the V1 engine drafts with since 0.9, by the name alone.
_V1_METHODS = frozenset({"medusa", "deepseek_mtp", *_EAGLE})
_V1_METHODS_SINCE: Version = (0, 9, 0)
_BLACKWELL_FP8_SINCE: Version = (0, 10, 0)
_BACK_ENDS_WITH_FP8_SINCE: Version = (0, 10, 2)


@dataclass(frozen=True, slots=True)
class _Fallback:
    """What leaves the V1 engine; experimental: VLLM_USE_V1=1 stays in it."""

    says: str
    experimental: bool = False


def check_engine(inputs: LaunchInputs, launch: Launch) -> LaunchProblem | None:
    """Why the release does not run this launch in the V1 engine that is asked for.

    Raises UnsupportedArchitecture naming what it runs in its V0 engine, because that engine
    sizes memory by other rules.
    """
    version = launch.version
    if version >= _VARIABLE_UNTIL:
        return None
    forced = inputs.switch(_ENGINE_VARIABLE)
    found = [*_by_feature(inputs, launch), *_by_argument(inputs, version)]
    if variable := falls_back_to_v0(inputs):
        found.append(_Fallback(f"everything with {variable}"))
    if forced is False:
        found.append(_Fallback(f"everything with {_ENGINE_VARIABLE}=0"))
    if forced or version >= _V1_ALONE_SINCE:
        found = [fallback for fallback in found if not fallback.experimental]
    if not found:
        return None
    if version >= _V1_ALONE_SINCE:
        return LaunchProblem(
            f"AssertionError: assert envs.{_ENGINE_VARIABLE}. vLLM {format_version(version)} left "
            f"the V0 engine, and would run {found[0].says} in it."
        )
    if forced:
        return LaunchProblem(
            f"{_ENGINE_VARIABLE}=1 is not supported with {found[0].says}.",
            (f"no {_ENGINE_VARIABLE}",),
        )
    raise UnsupportedArchitecture(
        f"vLLM {format_version(version)} runs {found[0].says} in its V0 engine, whose "
        "memory sizing is not described here.",
        "Ask for vllm_version 0.11.0 or later.",
    )


def _by_argument(inputs: LaunchInputs, version: Version) -> Iterator[_Fallback]:
    for rule in v0_engine_rules("arguments", version):
        value = inputs.extra.get(rule["argument"])
        if value is None or value is False or value == []:
            continue
        word: object = value.partition(":")[0] if isinstance(value, str) else value
        unusual = word in rule["values"] if "values" in rule else word not in rule.get("usual", ())
        if unusual:
            yield _Fallback(f"--{rule['argument'].replace('_', '-')}")


def _by_feature(inputs: LaunchInputs, launch: Launch) -> Iterator[_Fallback]:
    for rule in v0_engine_rules("rules", launch.version):
        if _uses(rule["feature"], inputs, launch):
            yield _Fallback(rule["says"], rule.get("experimental", False))


def _uses(feature: str, inputs: LaunchInputs, launch: Launch) -> bool:
    capability = inputs.gpu.compute_capability
    executor = inputs.text("distributed_executor_backend")
    stages = launch.pipeline_parallel_size > 1
    match feature:
        case "capability_below_8":
            return capability is not None and capability[0] < 8
        case "hybrid":
            return inputs.architecture.is_hybrid
        case "pooling":
            return launch.pooling
        case "encoder_decoder":
            return has_cache(inputs.architecture, "cross")
        case "pipeline":
            return stages
        case "pipeline_without_ray":
            return stages and executor != "ray"
        case "pipeline_unnamed":
            return stages and executor not in {"ray", "mp", "external_launcher"}
        case "lora":
            return launch.lora is not None
        case "ngrams" | "eagle" | "other_drafts":
            return _drafts(inputs, launch.version) == feature
        case "float32":
            return launch.dtype == "float32"
        case "fp8_kv_cache":
            return launch.kv_cache_dtype.startswith("fp8") and not _caches_fp8(inputs)
        case _:
            raise KeyError(feature)


def _drafts(inputs: LaunchInputs, version: Version) -> str | None:
    """How the oracle of early releases calls a launch's drafts, None where V1 has them."""
    text = inputs.request.speculative_config
    if text is None:
        return None
    given: Mapping[str, Any] = json_object("speculative_config", text)
    method = given.get("method")
    if method in _LOOKUPS or (not method and given.get("model") in _LOOKUPS):
        return "ngrams"
    if version >= _V1_METHODS_SINCE:
        return None if method in _V1_METHODS else "other_drafts"
    return "eagle" if method in _EAGLE else "other_drafts"


def _caches_fp8(inputs: LaunchInputs) -> bool:
    """Whether the V1 engine caches in FP8 on this GPU (is_kv_cache_dtype_supported)."""
    capability, version = inputs.gpu.compute_capability, inputs.notes.version
    asked = inputs.environment.get(ATTENTION_VARIABLE)
    if capability == _BLACKWELL and version >= _BLACKWELL_FP8_SINCE:
        return True
    if version < _BACK_ENDS_WITH_FP8_SINCE:
        return asked in _FLASH_ATTENTION and capability == _HOPPER
    layers = inputs.architecture.layer_counts
    if any(isinstance(cache, LatentCache) for layer in layers for cache in layer.caches):
        return asked in {None, "FLASHMLA", "CUTLASS_MLA"}
    if asked == "FLASHINFER":
        return True
    if asked == "TRITON_ATTN_VLLM_V1":
        return capability is not None and capability >= (8, 9)
    return asked in _FLASH_ATTENTION and capability == _HOPPER
