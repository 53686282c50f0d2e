"""Whether the attention back end that was asked for fits the model and the GPU.

Source: vLLM platforms/cuda.py (get_attn_backend_cls) and v1/attention/backend.py
(validate_configuration) of the wheels named in names.json; engine/arg_utils.py
(_is_v1_supported_oracle) of those before 0.11.1.
"""

from __future__ import annotations

from vllm_preflight.launch.acceptance.tables import (
    ATTENTION_VARIABLE,
    has_name,
    span_of,
    table,
)
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    CompressedCache,
    LatentCache,
)

# The first release that checks a back end against the launch, and the first without the variable.
_CHECKED_SINCE: Version = (0, 11, 1)
_VARIABLE_UNTIL: Version = (0, 15, 0)
_V0_UNTIL: Version = (0, 11, 0)
_SINK_WORDS_SINCE: Version = (0, 18, 0)
_HOPPER_SINKS_SINCE: Version = (0, 30, 0)
# Capabilities that the table was made for; of others it says nothing.
_KNOWN = frozenset({70, 75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121})


def check_asked_backend(inputs: LaunchInputs) -> None:
    """Note vLLM's refusal of an attention back end for this model or GPU."""
    name, written = _asked(inputs)
    version = inputs.notes.version
    if name is None:
        return
    if version < _CHECKED_SINCE:
        forced = version >= _V0_UNTIL or inputs.switch("VLLM_USE_V1")
        if forced and not has_name("v1_backend", name, version):
            inputs.notes.refuse(
                f"VLLM_USE_V1=1 is not supported with {ATTENTION_VARIABLE}={name}.",
                f"no {ATTENTION_VARIABLE}",
            )
        return
    facts = span_of(table("names")["attention_backend"].get(name, ()), version)
    if facts is None:
        return
    if facts.get("unregistered"):
        inputs.notes.refuse(
            f"Backend {name} must be registered before use. Use register_backend(Backend.{name}, "
            "'your.module.YourClass')",
            f"no {written}",
        )
        return
    reasons = [
        *_of_model(inputs, facts.get("mla")),
        *_of_sinks(inputs, name),
        *_of_gpu(inputs, facts.get("capabilities")),
    ]
    if reasons:
        inputs.notes.problems.append(
            LaunchProblem(
                f"Selected backend AttentionBackendEnum.{name} is not valid for this "
                f"configuration. Reason: {reasons}",
                (f"no {written}",),
            )
        )


def has_sinks(architecture: Architecture) -> bool:
    """Whether the model's attention has sinks, which few back ends have kernels for."""
    return any(
        weight.name.endswith("sinks")
        for layer in architecture.layer_counts
        for weight in layer.weights
    )


def falls_back_to_v0(inputs: LaunchInputs) -> str | None:
    """The variable with its value where it makes an early release take its V0 engine."""
    name = inputs.environment.get(ATTENTION_VARIABLE)
    version = inputs.notes.version
    if name is None or version >= _V0_UNTIL or has_name("v1_backend", name, version):
        return None
    return f"{ATTENTION_VARIABLE}={name}"


def _asked(inputs: LaunchInputs) -> tuple[str | None, str]:
    """The back end by the enumeration's name, and how it was asked for."""
    flag = inputs.text("attention_backend")
    config = inputs.extra.get("attention_config")
    if flag is None and isinstance(config, dict):
        flag = config.get("backend")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if isinstance(flag, str):
        return flag.upper(), "--attention-backend"
    if inputs.notes.version >= _VARIABLE_UNTIL:
        return None, ""
    return inputs.environment.get(ATTENTION_VARIABLE), ATTENTION_VARIABLE


def _of_model(inputs: LaunchInputs, for_latent: bool | None) -> list[str]:
    kinds = {type(cache) for layer in inputs.architecture.layer_counts for cache in layer.caches}
    told = for_latent is not None and kinds & {AttentionCache, LatentCache}
    if not told or CompressedCache in kinds or inputs.switch("VLLM_MLA_DISABLE"):
        return []
    latent = LatentCache in kinds
    if latent == for_latent:
        return []
    return ["MLA not supported" if latent else "non-MLA not supported"]


def _of_sinks(inputs: LaunchInputs, name: str) -> list[str]:
    """Ampere and Ada have no kernels for attention sinks in these, Hopper some only later.

    Source: flashinfer.py (supports_sink), fa_utils.py (flash_attn_supports_sinks).
    """
    capability, version = inputs.gpu.compute_capability, inputs.notes.version
    if capability is None or not has_sinks(inputs.architecture):
        return []
    early = capability[0] == 9 and name == "FLASHINFER" and version < _HOPPER_SINKS_SINCE
    if not early and (capability[0] != 8 or name not in {"FLASHINFER", "FLASH_ATTN"}):
        return []
    words = "attention sinks" if version >= _SINK_WORDS_SINCE else "sink setting"
    return [f"{words} not supported"]


def _of_gpu(inputs: LaunchInputs, capabilities: list[int] | None) -> list[str]:
    capability = inputs.gpu.compute_capability
    if capability is None or capabilities is None:
        return []
    number = capability[0] * 10 + capability[1]
    if number not in _KNOWN or number in capabilities:
        return []
    return ["compute capability not supported"]
