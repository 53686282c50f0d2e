"""Which launches of early releases run in the V0 engine, which is not described here.

Source: vLLM 0.8 engine/arg_utils.py:_is_v1_supported_oracle and published start-ups.
"""

from __future__ import annotations

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.launch.acceptance.attention import falls_back_to_v0
from vllm_preflight.launch.caching import has_cache
from vllm_preflight.launch.defaults import v0_engine_features
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.versions import format_version

_ENGINE_VARIABLE = "VLLM_USE_V1"
_HOPPER = (9, 0)


def check_engine(inputs: LaunchInputs, launch: Launch) -> None:
    """Refuse what the release runs in its V0 engine.

    Raises UnsupportedArchitecture naming the feature, because that engine sizes memory
    by other rules. VLLM_USE_V1=1 keeps the V1 engine, as in vLLM.
    """
    forced = inputs.switch(_ENGINE_VARIABLE)
    if forced:
        return
    features = v0_engine_features(launch.version)
    reasons = [says for name, says in features.items() if _uses(name, inputs, launch)]
    if forced is False and launch.version < (0, 11, 0):
        reasons.append(f"everything with {_ENGINE_VARIABLE}=0")
    if variable := falls_back_to_v0(inputs):
        reasons.append(f"everything with {variable}")
    if reasons:
        raise UnsupportedArchitecture(
            f"vLLM {format_version(launch.version)} runs {reasons[0]} in its V0 engine, whose "
            "memory sizing is not described here.",
            "Ask for vllm_version 0.11.0 or later.",
        )


def _uses(feature: str, inputs: LaunchInputs, launch: Launch) -> bool:
    capability = inputs.gpu.compute_capability
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
            return launch.pipeline_parallel_size > 1
        case "drafts":
            return launch.speculation is not None and launch.speculation.method != "ngram"
        case "fp8_kv_cache":
            return launch.kv_cache_dtype.startswith("fp8") and capability != _HOPPER
        case _:
            raise KeyError(feature)
