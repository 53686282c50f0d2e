"""Which of a launch's arguments bear on its runtime memory, as a key for what is reckoned.

A search tries launches of one model that differ in length, share of the memory or words
alone; what their runtime takes is the same.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, fields
from operator import attrgetter

from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.model import Model

# What else a launch says: how much memory there is, and where its values come from.
WITHOUT_BEARING = frozenset(
    {
        "gpu_memory_utilization",
        "kv_cache_memory_bytes",
        "num_gpu_blocks_override",
        "free_bytes",
        "max_model_len_auto",
        "version_assumed",
        "defaulted",
        "problems",
        "warnings",
        "reasons",
    }
)
# Keyed apart: they are no plain values, or bear on some launches alone.
_APART = frozenset({"limit_mm_per_prompt", "environment", "max_model_len"})
_bearing = attrgetter(
    *(each.name for each in fields(Launch) if each.name not in WITHOUT_BEARING | _APART)
)


@dataclass(frozen=True, slots=True)
class RuntimeLaunch:
    """A launch that equals every other whose runtime memory is the same."""

    key: Hashable
    launch: Launch = field(compare=False)

    @classmethod
    def of(cls, launch: Launch, model: Model) -> RuntimeLaunch:
        """The launch of this model as a key."""
        key = (
            _bearing(launch),
            tuple(launch.limit_mm_per_prompt.items()),
            tuple(launch.environment.items()),
            launch.max_model_len if sized_by_length(launch, model) else None,
        )
        return cls(key, launch)


def sized_by_length(launch: Launch, model: Model) -> bool:
    """Whether the longest request bears on what the runtime takes.

    On the first runner's block tables, the workspaces of latent attention, and the items an
    encoder is tried with.
    """
    architecture = model.architecture
    latent = architecture.uses_latent_attention
    return launch.model_runner == "v1" or latent or bool(architecture.encoders)
