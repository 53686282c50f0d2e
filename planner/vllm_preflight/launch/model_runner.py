"""Which of vLLM's two model runners a launch gets.

The second runner came model by model: first a list of classes, then every dense generative
model, then all. It falls back to the first where it lacks a feature.
Source: `model_runners` in `defaults.json` (config/vllm.py:use_v2_model_runner and
_get_v2_model_runner_unsupported_features of every release from 0.22.0 to 0.33.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vllm_preflight.launch.defaults import model_runner_rule
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import ModelRunner, Speculation
from vllm_preflight.models.architecture import Architecture, StateCache

_RUNNER_VARIABLE = "VLLM_USE_V2_MODEL_RUNNER"
# Arguments the second runner lacked while it was spreading.
_FIRST_RUNNER_FLAGS = ("kv_sharing_fast_prefill", "enable_dbo", "enable_elastic_ep")
_DRAFTS_WITH_ONLY_THE_SECOND = "dspark"


def model_runner(inputs: LaunchInputs, speculation: Speculation | None) -> ModelRunner:
    """The runner that vLLM picks by itself, or that VLLM_USE_V2_MODEL_RUNNER names."""
    asked = inputs.switch(_RUNNER_VARIABLE)
    if asked is not None:
        return "v2" if asked else "v1"
    rule = model_runner_rule(inputs.notes.version)
    if rule is None or _kept_on_amd(inputs, rule):
        return "v1"
    method = speculation.method if speculation else None
    if method == _DRAFTS_WITH_ONLY_THE_SECOND and _drafts_run(method, rule):
        return "v2"
    wanted = rule["models"] == "all" or _spread_to(inputs, rule)
    lacking = (method is not None and not _drafts_run(method, rule)) or any(
        inputs.flag(name) for name in _FIRST_RUNNER_FLAGS
    )
    return "v2" if wanted and not lacking else "v1"


def _kept_on_amd(inputs: LaunchInputs, rule: Mapping[str, Any]) -> bool:
    kept = {name.lower() for name in rule.get("first_on_amd", ())}
    return inputs.gpu.vendor == "AMD" and _class_name(inputs.architecture) in kept


def _drafts_run(method: str, rule: Mapping[str, Any]) -> bool:
    """Whether the release's second runner has the drafting method."""
    if "drafts" in rule:
        return method in rule["drafts"]
    return method not in rule["drafts_lacking"]


def _spread_to(inputs: LaunchInputs, rule: Mapping[str, Any]) -> bool:
    """Whether the release runs this model in the second runner without being told."""
    architecture = inputs.architecture
    if inputs.pooling:
        return False
    listed = _class_name(architecture) in {name.lower() for name in rule["classes"]}
    if rule["models"] == "listed":
        return listed
    if rule["models"] == "listed, unquantised":
        return listed and not _quantised(inputs)
    if architecture.is_hybrid:
        return listed and rule["models"] == "dense and listed hybrids"
    return listed or (architecture.moe is None and not _attention_free(architecture))


def _class_name(architecture: Architecture) -> str:
    """The model's class in lower case; by its type where the config names no class."""
    plain = architecture.model_type.replace("_", "") + "ForCausalLM"
    return (architecture.architecture or plain).lower()


def _quantised(inputs: LaunchInputs) -> bool:
    asked = inputs.request.quantization
    if asked not in {"auto", ""}:
        return asked != "none"
    return inputs.quantization_section is not None


def _attention_free(architecture: Architecture) -> bool:
    caches = [cache for layer in architecture.layer_counts for cache in layer.caches]
    return bool(caches) and all(isinstance(cache, StateCache) for cache in caches)
