"""Is every class of vLLM 0.33's registry understood, and by what evidence?

    python benchmarks/architectures.py [--all]

The committed cases hold, for each class, a config (a checkpoint's, the defaults of its config
class, or a made-up shape of the class's own keys), what vLLM 0.33's own class allocates for it
on tensor-parallel rank 0 of 1, 2, 4 and 8, and the caches its layers ask for. Exit status 1
when a case differs by more than 0.5 % or a category falls below its target.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import PreflightError, UnsupportedArchitecture
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.weights.weights import weights_per_rank
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Cache,
    LatentCache,
    StateCache,
)
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import read_quantization

CASES = Path(__file__).with_name("data") / "architecture_cases.jsonl"
TOLERANCE = 0.005
TARGETS: Mapping[str, float] = {"text generation": 0.95, "pooling": 0.90, "multimodal": 0.90}
_CAPABILITY = (9, 0)


@dataclass(frozen=True, slots=True)
class Case:
    """A class with a config, its source, and vLLM's own numbers for it.

    `weights` are bytes on rank 0 by tensor-parallel size, `caches` how many layers ask for
    each cache; both are empty where vLLM's class could not be built outside a GPU.
    """

    name: str
    category: str
    source: str
    config: Mapping[str, Any] | None
    max_model_len: int
    weights: Mapping[int, int]
    caches: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a class: why it is refused, or how far ours is from vLLM's."""

    case: Case
    refused: str
    errors: Mapping[int, float]
    caches: Mapping[str, int]

    @property
    def understood(self) -> bool:
        """Whether a config of the class is read."""
        return not self.refused

    @property
    def agrees(self) -> bool:
        """Whether weights and caches are what vLLM's own class has."""
        near = all(abs(error) <= TOLERANCE for error in self.errors.values())
        return near and (not self.case.caches or self.caches == self.case.caches)


@cache
def cases() -> tuple[Case, ...]:
    """The committed cases, by category and name."""
    with CASES.open(encoding="utf-8") as stream:
        next(stream)  # where the values come from
        rows = [json.loads(line) for line in stream]
    return tuple(
        Case(
            row["class"],
            row["category"],
            row["source"],
            row.get("config"),
            row.get("max_model_len", 0),
            {int(size): count for size, count in row.get("weights", {}).items()},
            row.get("caches", {}),
        )
        for row in rows
    )


def verdict(case: Case) -> Verdict:
    """Read a case's config and set our weights and caches beside vLLM's."""
    if case.config is None:
        return Verdict(case, case.source, {}, {})
    try:
        architecture = read_architecture(case.config)
    except UnsupportedArchitecture as error:
        return Verdict(case, error.message, {}, {})
    errors: dict[int, float] = {}
    for size, measured in case.weights.items():
        try:
            ours = _weights(case, architecture, size)
        except PreflightError as error:
            return Verdict(case, error.message, {}, {})
        errors[size] = (ours - measured) / measured
    return Verdict(case, "", errors, cache_counts(architecture))


def _weights(case: Case, architecture: Architecture, size: int) -> int:
    config = case.config or {}
    model = Model(case.name, "catalog", "", config, architecture, read_quantization(config))
    launch = Launch(
        version=(0, 33, 0),
        dtype="bfloat16",
        kv_cache_dtype="bfloat16",
        max_model_len=case.max_model_len or architecture.max_position,
        gpu_memory_utilization=0.92,
        max_num_seqs=256,
        max_num_batched_tokens=8192,
        tensor_parallel_size=size,
        pipeline_parallel_size=1,
        enable_expert_parallel=False,
    )
    return max(stage.exact for stage in weights_per_rank(model, launch, _CAPABILITY).stages)


def cache_counts(architecture: Architecture) -> dict[str, int]:
    """How many caches of each shape the layers keep, whole model, one rank."""
    counts: Counter[str] = Counter()
    for layer, count in architecture.layer_counts.items():
        for kept in layer.caches:
            if name := cache_name(kept):
                counts[name] += count
    return dict(sorted(counts.items()))


def cache_name(kept: Cache) -> str:
    """A cache's kind and shape in one word, empty for one that keeps nothing."""
    if isinstance(kept, AttentionCache):
        if kept.kind == "encoder_only":
            return ""
        shape = f"{kept.num_kv_heads}x{kept.head_dim}"
        if kept.kind == "cross":
            return f"cross {shape}"
        if kept.window:
            return f"window {kept.window} {shape}"
        return f"chunk {kept.chunk} {shape}" if kept.chunk else f"full {shape}"
    if isinstance(kept, LatentCache):
        return f"latent {kept.kv_lora_rank + kept.qk_rope_head_dim}"
    if isinstance(kept, StateCache):
        elements = 1
        for part in kept.state_shape:
            elements *= part
        conv = kept.conv_channels * (kept.conv_kernel - 1)
        return f"state {conv}+{elements if kept.state_shape else 0}"
    return type(kept).__name__


def shares(verdicts: Sequence[Verdict]) -> dict[str, tuple[int, int]]:
    """Understood classes and all classes of each category."""
    found: dict[str, tuple[int, int]] = {}
    for one in verdicts:
        good, total = found.get(one.case.category, (0, 0))
        found[one.case.category] = (good + one.understood, total + 1)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="print every class")
    options = parser.parse_args(arguments)
    verdicts = [verdict(case) for case in cases()]
    passed = True
    for one in verdicts:
        if options.all or not one.agrees or one.refused:
            shown = " ".join(f"tp{size} {error:+.3%}" for size, error in one.errors.items())
            print(f"{one.case.name:46} {one.refused or shown or 'read, not measured'}")
        passed &= one.agrees or not one.understood
    for category, (good, total) in shares(verdicts).items():
        target = TARGETS.get(category, 0.0)
        print(f"{category}: {good} of {total} classes understood, {good / total:.1%}")
        passed &= good / total >= target
    measured = [one for one in verdicts if one.errors]
    equal = sum(one.agrees for one in measured)
    print(f"{equal} of {len(measured)} measured classes within {TOLERANCE:.1%}, caches equal")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
