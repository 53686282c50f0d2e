"""What the arguments of a command mean to the engine: fields of a request, or the launch's own.

Flags of older releases that later became keys of another argument are read as these.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import number_problem
from vllm_preflight.launch.flags.bearing import AUTO_LENGTH, Flag, flag_of
from vllm_preflight.launch.flags.parser import Given
from vllm_preflight.launch.flags.refusals import Refusal
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import format_version

# Flags that are keys of --speculative-config.
_DRAFT_KEYS = {
    "speculative_model": "model",
    "num_speculative_tokens": "num_speculative_tokens",
    "ngram_prompt_lookup_max": "prompt_lookup_max",
    "speculative_draft_tensor_parallel_size": "draft_tensor_parallel_size",
    "spec_method": "method",
    "spec_model": "model",
    "spec_tokens": "num_speculative_tokens",
}
# vllm/engine/arg_utils.py (create_speculative_config): --x.num-y is num_y.
_DASHED_DRAFT_KEYS_SINCE: Version = (0, 26, 0)
_UNNAMED = "unnamed"


def bearing_values(
    given: Sequence[Given], version: Version, warnings: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of a request and arguments of the launch, the later of two winning.

    A flag that may change memory and that the engine does not follow is warned of. `None`
    takes an argument back.
    """
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    unreckoned: dict[str, Flag] = {}
    for item in given:
        name = item.argument.dest
        flag = flag_of(name)
        if flag is None or item.missing:
            continue
        target = fields if flag.target == "request" else extra
        target.pop(name, None)
        unreckoned.pop(name, None)
        if item.value is None:
            continue
        target[name] = _value(flag, item.value)
        if not flag.reckoned and item.value is not False:
            unreckoned[name] = flag
    warnings.extend(
        f"{flag.flag} may change memory, but is not taken into account."
        for flag in unreckoned.values()
    )
    if fields.get("max_model_len") == -1:
        fields.pop("max_model_len")
        extra["max_model_len"] = AUTO_LENGTH
    _modernise(fields, extra, version)
    return fields, extra


def _value(flag: Flag, value: Any) -> Any:
    if flag.kind in {"json_text", "limits"} and not isinstance(value, str):
        return json.dumps(value)
    is_level = flag.name == "optimization_level" and str(value).isdigit()
    return int(value) if is_level else value


def _modernise(fields: dict[str, Any], extra: dict[str, Any], version: Version) -> None:
    """Older and shorter spellings, as the arguments they stand for."""
    if version >= _DASHED_DRAFT_KEYS_SINCE and "speculative_config" in fields:
        given: object = json.loads(fields["speculative_config"])
        if isinstance(given, dict):
            items = cast(dict[str, Any], given).items()
            named = {key.replace("-", "_"): value for key, value in items}
            fields["speculative_config"] = json.dumps(named)
    draft = {key: extra.pop(name) for name, key in _DRAFT_KEYS.items() if name in extra}
    if draft:
        whole = json.loads(fields.get("speculative_config", "{}"))
        fields["speculative_config"] = json.dumps({**whole, **draft})
    if sizes := extra.pop("cuda_graph_sizes", None):
        # One number is the largest size, several are the sizes.
        largest = {"max_cudagraph_capture_size": sizes[0]}
        listed = {"cudagraph_capture_sizes": sizes}
        extra.update(largest if len(sizes) == 1 else listed)
    if extra.pop("enable_multimodal_encoder_data_parallel", False):
        extra.setdefault("mm_encoder_tp_mode", "data")


def refuse_values(
    fields: Mapping[str, Any], extra: Mapping[str, Any], version: Version
) -> Refusal | None:
    """The refusal of a number with which no release runs, whatever its own checks say."""
    problem = number_problem(StartupRequest, {**fields, "model": _UNNAMED})
    if problem is not None:
        name, rule = problem
        return _refused_number(name, fields[name], rule, version)
    for name, value in extra.items():
        flag = flag_of(name)
        values = cast(list[object], value if isinstance(value, list) else [value])
        low = [v for v in values if _is_number(v) and flag is not None and v < flag.minimum]
        if flag is not None and low:
            rule = f"be greater than or equal to {flag.minimum}"
            return _refused_number(name, low[0], rule, version)
    adapters = fields.get("max_loras", 1)
    kept = extra.get("max_cpu_loras")
    if fields.get("enable_lora") and kept is not None and kept < adapters:
        return Refusal(f"max_cpu_loras ({kept}) must be >= max_loras ({adapters})")
    overrides = extra.get("hf_overrides")
    if isinstance(overrides, str):
        # The parser takes any text, the config only an object (config/model.py).
        said = f"Input should be a valid dictionary [input_value={overrides!r}]"
        return Refusal(f"1 validation error for ModelConfig: hf_overrides\n  {said}")
    return None


def _refused_number(name: str, value: object, rule: str, version: Version) -> Refusal:
    if name == "gpu_memory_utilization" and isinstance(value, float) and value > 1:
        return Refusal(f"GPU memory utilization must be less than 1.0. Got {value}.")
    return Refusal(f"vLLM {format_version(version)} cannot run with {name}={value}: it must {rule}")


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
