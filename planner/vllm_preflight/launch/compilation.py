"""What the user and the release say about CUDA graphs.

Source: vLLM 0.33 config/compilation.py, envs.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import ModelRunner

_GRAPH_ESTIMATE_VARIABLE = "VLLM_MEMORY_PROFILER_ESTIMATE_CUDAGRAPHS"


def largest_capture_size(inputs: LaunchInputs) -> int | None:
    """The largest batch to capture, where the user gave it."""
    name = "max_cudagraph_capture_size"
    value = inputs.extra.get(name, _compilation(inputs).get(name))
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def cudagraph_mode(inputs: LaunchInputs) -> tuple[bool, str]:
    """Whether the launch is eager, and vLLM's cudagraph_mode."""
    mode = _compilation(inputs).get("cudagraph_mode")
    if inputs.request.enforce_eager or inputs.extra.get("optimization_level") == 0:
        return bool(inputs.request.enforce_eager), "NONE"
    if isinstance(mode, str):
        return False, mode.upper()
    return False, inputs.notes.versioned("cudagraph_mode")


def capture_sizes(inputs: LaunchInputs) -> tuple[int, ...] | None:
    """The batch sizes to capture, where the user listed them; InvalidRequest otherwise."""
    name = "cudagraph_capture_sizes"
    value = inputs.extra.get(name, _compilation(inputs).get(name))
    if value is None:
        return None
    sizes = cast(list[object], value) if isinstance(value, list | tuple) else [value]
    whole = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool)]
    if len(whole) != len(sizes) or any(size < 1 for size in whole):
        raise InvalidRequest(
            f"{name} is {value!r}, but must be a list of whole numbers of at least 1.",
            "For example [1, 2, 4, 8].",
        )
    return tuple(whole)


def graphs_charged(inputs: LaunchInputs, runner: ModelRunner) -> bool:
    """Whether an estimate of graph memory is taken off the KV cache.

    The second runner had no estimate before 0.29, so whatever was asked there was nothing
    to take off.
    """
    notes = inputs.notes
    if runner == "v2" and not notes.versioned("second_runner_estimates_graphs"):
        return False
    asked = inputs.switch(_GRAPH_ESTIMATE_VARIABLE)
    return bool(notes.versioned("cudagraph_memory_charged")) if asked is None else asked


def _compilation(inputs: LaunchInputs) -> Mapping[str, Any]:
    value = inputs.extra.get("compilation_config")
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
