"""What vLLM refuses of a precision on a GPU or a layout, as rules with their sources.

`constraints.json` holds what depends on a scheme's kernels and on how quantised weights
divide; heads, layers, methods, attention back ends and GPUs of a release are refusals of
`launch.resolve`, which a search asks as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.launch import Launch, LaunchProblem, Version
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.memory.weights.division import Ranks, placed_weights
from vllm_preflight.models.architecture import Layer
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization_requests import requested
from vllm_preflight.models.weight_scheme import Quantization, WeightScheme


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing vLLM refuses.

    It applies to quantisation `methods` and weight `schemes` (empty: any), and is broken
    below `minimum_capability`, from `below_capability` on, or where what `divides` names
    does not divide a rank's share ("group_size", "block"). Releases from `until` on accept
    it.
    """

    id: str
    says: str
    source: str
    methods: frozenset[str] = frozenset()
    schemes: frozenset[str] = frozenset()
    minimum_capability: ComputeCapability | None = None
    below_capability: ComputeCapability | None = None
    divides: str | None = None
    until: Version | None = None

    def covers(self, quantization: Quantization) -> bool:
        """Whether the rule is about checkpoints of this quantisation."""
        if self.methods and quantization.method not in self.methods:
            return False
        return not self.schemes or not self.schemes.isdisjoint(
            scheme.kind for scheme in schemes_of(quantization)
        )

    def allows(self, capability: ComputeCapability) -> bool:
        """Whether GPUs of this compute capability keep the rule."""
        low, high = self.minimum_capability, self.below_capability
        return (low is None or capability >= low) and (high is None or capability < high)


@cache
def load_rules() -> tuple[Rule, ...]:
    """Every rule of the data file, in its order."""
    path = Path(__file__).with_name("constraints.json")
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return tuple(_read(entry) for entry in data["rules"])


def broken_by_gpu(quantization: Quantization, capability: ComputeCapability) -> Rule | None:
    """The first rule that weights of this quantisation break on such a GPU, or None."""
    for rule in load_rules():
        if rule.divides or not rule.covers(quantization):
            continue
        if not rule.allows(capability):
            return rule
    return None


@lru_cache(maxsize=1024)
def refused_precision(
    model: Model, quantization: str | None, capability: ComputeCapability
) -> LaunchProblem | None:
    """What vLLM says of these quantised weights on such a GPU, None where it takes them.

    `quantization` is the launch's: None for the checkpoint's own.
    """
    effective = requested(model.quantization, quantization)
    rule = broken_by_gpu(effective, capability)
    if rule is None or not rule.methods:
        return None
    major, minor = capability
    return LaunchProblem(
        f"The quantization method {effective.method} is not supported for the current GPU of "
        f"compute capability {major}.{minor}: {rule.says}."
    )


def precision_problems(
    model: Model, launch: Launch, capability: ComputeCapability
) -> list[LaunchProblem]:
    """What vLLM says against the launch's quantised weights on such GPUs, split so."""
    problem = refused_precision(model, launch.quantization, capability)
    tensor = launch.tensor_parallel_size
    uneven = broken_by_division(
        model,
        launch.quantization or "auto",
        launch.version,
        tensor,
        tensor * launch.data_parallel_size,
        launch.enable_expert_parallel,
    )
    broken = [] if uneven is None else [LaunchProblem(uneven.says)]
    return broken if problem is None else [problem, *broken]


@lru_cache(maxsize=4096)
def broken_by_division(
    model: Model,
    quantization: str,
    version: Version,
    tensor: int,
    experts: int,
    whole_experts: bool,
) -> Rule | None:
    """The rule that dividing the quantised weights over ranks breaks, or None.

    `tensor` ranks divide a layer and `experts` ranks the routed experts, whole ones with
    `whole_experts`. `quantization` is the request's ("auto": the checkpoint's own).
    """
    scheme_of = requested(model.quantization, quantization)
    ranks = Ranks(tensor, experts, whole_experts)
    for rule in load_rules():
        if rule.divides is None or not rule.covers(scheme_of):
            continue
        if rule.until is not None and version >= rule.until:
            continue
        layers = model.architecture.layer_counts
        if any(_uneven(rule, scheme_of.default, layer, ranks) for layer in layers):
            return rule
    return None


def schemes_of(quantization: Quantization) -> Iterable[WeightScheme]:
    """Every scheme a checkpoint uses."""
    if quantization.default is not None:
        yield quantization.default
    yield from (scheme for _, scheme in quantization.rules if scheme is not None)


def _uneven(rule: Rule, scheme: WeightScheme | None, layer: Layer, ranks: Ranks) -> bool:
    if scheme is None or scheme.kind not in rule.schemes:
        return False
    for placed in placed_weights(layer.weights, ranks):
        matrix = placed.matrix
        if not matrix.expert or matrix.columns == 1:
            continue
        share = matrix.columns if matrix.second else matrix.shards[0]
        if rule.divides == "block" and scheme.block and share % scheme.block[0]:
            return True
        # Only a projection that is divided by inputs can cut a group.
        grouped = rule.divides == "group_size" and matrix.second and scheme.group_size
        if grouped and share % scheme.group_size:
            return True
    return False


def _read(entry: dict[str, Any]) -> Rule:
    return Rule(
        id=entry["id"],
        says=entry["says"],
        source=entry["source"],
        methods=frozenset(entry.get("methods", ())),
        schemes=frozenset(entry.get("schemes", ())),
        minimum_capability=_pair(entry.get("minimum_capability")),
        below_capability=_pair(entry.get("below_capability")),
        divides=entry.get("divides"),
        until=parse_version(entry["until"]) if "until" in entry else None,
    )


def _pair(numbers: list[int] | None) -> tuple[int, int] | None:
    return None if numbers is None else (numbers[0], numbers[1])
