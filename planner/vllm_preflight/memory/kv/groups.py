"""How vLLM groups layers so that all share one pool of equal blocks.

Hybrid models mix layers with different needs. vLLM deals them into groups of the
same number of layers and gives every group the same bytes per block, by making
blocks longer or padding pages. Source: vLLM 0.33 v1/core/kv_cache_planning.py
(get_kv_cache_groups); earlier versions differ in the size of a group.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from vllm_preflight.base.units import ceil_div, round_up
from vllm_preflight.memory.kv.specs import FullSpec, KvSpec, LatentSpec, RequestShape

# How many layers a group takes when kinds occur unequally often: the rarest kind's
# count ("min", up to 0.11), or the commonest's when that is not much more.
GroupRule = Literal["min", "1.25", "1.5"]


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer's cache: the layer's index in the model and what it keeps."""

    layer: int
    spec: KvSpec


@dataclass(frozen=True)
class KvGroup:
    """Layers that share block ids; a request holds the same number of blocks in each."""

    layers: tuple[LayerSpec, ...]
    uniform: bool = False

    @cached_property
    def specs(self) -> tuple[KvSpec, ...]:
        """The distinct specs of the group's layers."""
        return tuple(dict.fromkeys(item.spec for item in self.layers))

    @property
    def block_size(self) -> int:
        """Tokens of one block (the group's layers agree)."""
        return self.layers[0].spec.block_size

    def bytes_per_block(self, stage: range | None = None) -> int:
        """Bytes of one block over the group's layers, or those in a pipeline stage."""
        return sum(
            item.spec.page_bytes for item in self.layers if stage is None or item.layer in stage
        )

    def blocks_for(self, request: RequestShape) -> int:
        """Blocks one request holds in this group."""
        specs = self.specs
        if len(specs) == 1:
            return specs[0].blocks_for(request)
        return max(spec.blocks_for(request) for spec in specs)


def group_layers(
    layers: Sequence[LayerSpec], rule: GroupRule = "1.5", *, packed: bool = False
) -> tuple[KvGroup, ...]:
    """The KV-cache groups of a model, over all its layers.

    `packed` is the block-outermost layout of backends that mix page sizes
    (DeepSeek V4, GLM-5 Next): groups keep their own pages.
    """
    if not layers:
        return ()
    specs = {item.spec for item in layers}
    kinds = {spec.kind for spec in specs}
    if len(kinds) == 1 and len({spec.page_bytes for spec in specs}) == 1:
        return (KvGroup(tuple(layers)),)
    if len(kinds) == 1 and len({spec.block_size for spec in specs}) == 1:
        return (KvGroup(tuple(layers), uniform=True),)
    if packed:
        return _packed_groups(layers)
    return _equal_groups(_unified_pages(layers), rule)


def block_stride_alignment(groups: Sequence[KvGroup], packed: bool) -> int:
    """Bytes a packed block is rounded up to, so that every state starts aligned.

    The least common multiple of the bytes per token of the unpadded token caches.
    """
    if not packed:
        return 1
    sizes = {
        item.spec.token_bytes
        for group in groups
        for item in group.layers
        if item.spec.token_bytes and not item.spec.padded_page_bytes
    }
    return math.lcm(*sizes) if sizes else 1


def _unified_pages(layers: Sequence[LayerSpec]) -> list[LayerSpec]:
    """All pages made as large as the largest: longer blocks where it divides, else padding."""
    largest = max(item.spec.page_bytes for item in layers)
    unified: list[LayerSpec] = []
    for item in layers:
        spec = item.spec
        if spec.page_bytes != largest:
            grows = spec.token_bytes > 0 and largest % spec.page_bytes == 0
            spec = (
                spec.with_block_size(spec.block_size * (largest // spec.page_bytes))
                if grows
                else spec.padded_to(largest)
            )
        unified.append(LayerSpec(item.layer, spec))
    return unified


def _by_kind(layers: Sequence[LayerSpec]) -> list[list[LayerSpec]]:
    kinds: dict[object, list[LayerSpec]] = {}
    for item in layers:
        kinds.setdefault((item.spec.kind, item.spec.block_size), []).append(item)
    return list(kinds.values())


def group_size(counts: Sequence[int], rule: GroupRule) -> int:
    """Layers of one group, given how many layers each kind has."""
    fewest, most = min(counts), max(counts)
    if rule != "min" and most < float(rule) * fewest:
        return most
    return fewest


def _equal_groups(layers: Sequence[LayerSpec], rule: GroupRule) -> tuple[KvGroup, ...]:
    kinds = _by_kind(layers)
    size = group_size([len(kind) for kind in kinds], rule)
    return tuple(KvGroup(tuple(dealt)) for kind in kinds for dealt in _deal(kind, size))


def _deal(layers: list[LayerSpec], size: int) -> list[list[LayerSpec]]:
    """Layers dealt into as few groups of at most `size` as needed."""
    return _round_robin(layers, ceil_div(len(layers), size))


def _round_robin(layers: list[LayerSpec], groups: int) -> list[list[LayerSpec]]:
    return [layers[start::groups] for start in range(groups)]


def _packed_groups(layers: Sequence[LayerSpec]) -> tuple[KvGroup, ...]:
    """Groups that keep their own pages, none wider than the full-attention one.

    Full attention and latent layers stay together; windows and states are dealt into
    as few groups as fit beside them.
    """
    kinds = _by_kind(layers)
    together = [kind for kind in kinds if isinstance(kind[0].spec, FullSpec | LatentSpec)]
    target = max(_page_sum(kind) for kind in together or kinds)
    groups: list[KvGroup] = []
    for kind in kinds:
        parts = 1
        while max(_page_sum(dealt) for dealt in _round_robin(kind, parts)) > target:
            parts += 1
        groups += [KvGroup(tuple(dealt), uniform=True) for dealt in _round_robin(kind, parts)]
    return tuple(groups)


def _page_sum(layers: Sequence[LayerSpec]) -> int:
    return sum(item.spec.page_bytes for item in layers)


def pool_bytes_per_block(
    groups: Sequence[KvGroup], alignment: int = 1, stage: range | None = None
) -> int:
    """Bytes of one block id: what the widest group needs for it on this stage."""
    widest = max((group.bytes_per_block(stage) for group in groups), default=0)
    return round_up(widest, alignment)
