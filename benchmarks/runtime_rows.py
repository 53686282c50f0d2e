"""Measured start-ups as equations for the runtime model's coefficients.

A start-up that prints its activation peak, non-torch memory or graph estimate gives one
equation for each. One that prints only weights and available KV memory gives one for
their sum: requested − weights − available.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from benchmarks.inputs import Inputs

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.memory.runtime.coefficients import Coefficients, Key
from vllm_preflight.memory.runtime.contributions import Phase
from vllm_preflight.memory.runtime.phases import runtime_parts
from vllm_preflight.memory.runtime.runtime import runtime_memory
from vllm_preflight.memory.weights.weights import weights_per_rank

Target = Literal["activation", "non_torch", "graphs", "sum"]

# Standard errors in GiB: rounding of what is printed; totals or weights that are not.
_PRINTED_ERROR = 0.03
_GRAPH_ERROR = 0.08
_UNPRINTED_ERROR = 0.08


@dataclass(frozen=True, eq=False)
class Row:
    """One equation: `target` measured `gib`, with a standard error."""

    inputs: Inputs
    target: Target
    gib: float
    error: float

    @property
    def source(self) -> str:
        """Repository or thread."""
        return self.inputs.case.source


@dataclass(frozen=True)
class Equation:
    """One way a row can come about: a constant and multipliers, GiB per unit."""

    row: Row
    constant: float
    multipliers: tuple[tuple[Key, float], ...]

    def predicted(self, values: Mapping[Key, float]) -> float:
        """What coefficients of these values give, in GiB."""
        return self.constant + sum(values[key] * scale for key, scale in self.multipliers)


def runtime_sum_gib(inputs: Inputs) -> float | None:
    """What a start-up's printed figures leave for everything but weights and KV cache."""
    seen = inputs.case.observed
    if seen.available_kv_gib is None:
        return None
    if inputs.launch.kv_cache_memory_bytes is not None:
        return None
    total = inputs.gpu.visible_bytes / BYTES_TO_GIB
    requested = seen.requested_gib or total * inputs.launch.gpu_memory_utilization
    weights = seen.weights_gib
    if weights is None:
        if inputs.model.quantization.method != "none" or inputs.launch.quantization:
            return None
        # Weights in 16 bit are arithmetic on the checkpoint: where printed, they agree.
        capability = inputs.gpu.compute_capability or (8, 0)
        ranks = weights_per_rank(inputs.model, inputs.launch, capability)
        weights = ranks.fullest.allocated / BYTES_TO_GIB
    return requested - weights - seen.available_kv_gib


def rows_of(inputs: Inputs) -> list[Row]:
    """The equations of one start-up."""
    seen = inputs.case.observed
    rows: list[Row] = []
    if seen.activation_peak_gib is not None:
        rows.append(Row(inputs, "activation", seen.activation_peak_gib, _PRINTED_ERROR))
    non_torch = seen.non_torch_gib
    if non_torch is None and seen.consumed_gib is not None and seen.weights_gib is not None:
        non_torch = seen.consumed_gib - seen.weights_gib
    if non_torch is not None:
        rows.append(Row(inputs, "non_torch", non_torch, _PRINTED_ERROR))
    graphs = _graphs(inputs)
    if graphs is not None:
        rows.append(Row(inputs, "graphs", graphs, _GRAPH_ERROR))
    # Where nobody says whether a start compiled, or which sampler was installed, what that
    # takes is a doubt, not a figure.
    doubt = _open_gib(inputs)
    both = seen.activation_peak_gib is not None and non_torch is not None
    left = None if both or not inputs.case.args_complete else runtime_sum_gib(inputs)
    if left is not None:
        total_printed = inputs.case.total_gib is not None or seen.requested_gib is not None
        printed = total_printed and seen.weights_gib is not None
        error = _PRINTED_ERROR if printed else _UNPRINTED_ERROR
        rows.append(Row(inputs, "sum", left, math.hypot(error, doubt)))
    return rows


def _open_gib(inputs: Inputs) -> float:
    memory = runtime_memory(inputs.model, inputs.launch, inputs.gpu)
    return max(memory.first_start_bytes, memory.leaner_bytes) / BYTES_TO_GIB


def _graphs(inputs: Inputs) -> float | None:
    """The estimate vLLM prints, else what capture took where that is above zero."""
    seen = inputs.case.observed
    if inputs.launch.enforce_eager:
        return None
    if seen.cuda_graph_estimated_gib is not None:
        # Below zero other processes freed memory meanwhile; nothing is charged then.
        return seen.cuda_graph_estimated_gib if seen.cuda_graph_estimated_gib > 0 else None
    if inputs.launch.cudagraph_memory_charged or not seen.cuda_graph_gib:
        return None
    return seen.cuda_graph_gib if seen.cuda_graph_gib > 0 else None


def equation(row: Row, priors: Coefficients, values: Mapping[Key, float]) -> Equation:
    """The row as the phase makes it that peaks under these values."""
    return max(_alternatives(row, priors), key=lambda item: item.predicted(values))


@cache
def _alternatives(row: Row, priors: Coefficients) -> tuple[Equation, ...]:
    """One equation per phase of the profile pass; one where no peak is in it."""
    inputs = row.inputs
    parts = runtime_parts(inputs.model, inputs.launch, inputs.gpu, priors)
    if row.target == "non_torch":
        return (_linear(row, parts.non_torch),)
    if row.target == "graphs":
        return tuple(_linear(row, phase) for phase in parts.graphs.values())
    rests: list[Phase] = [()]
    if row.target == "sum":
        rests = [parts.non_torch]
        if inputs.launch.cudagraph_memory_charged and parts.graphs:
            rests = [parts.non_torch + phase for phase in parts.graphs.values()]
    return tuple(_linear(row, phase + rest) for phase in parts.last.values() for rest in rests)


def _linear(row: Row, parts: Phase) -> Equation:
    constant = 0.0
    scales: dict[Key, float] = {}
    for part in parts:
        gib = part.quantity / BYTES_TO_GIB
        if part.coefficient is None:
            constant += gib
        else:
            key = part.coefficient.key
            scales[key] = scales.get(key, 0.0) + gib
    return Equation(row, constant, tuple(scales.items()))
