"""Families with Mamba layers: Nemotron-H, Granite 4, Falcon-H1, Bamba, Jamba, pure Mamba."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    MixtureOfExperts,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    expert_weights,
    mlp_weights,
    norm,
    router_weights,
)
from vllm_preflight.models.parts.common import (
    assemble,
    head_dim,
    layer_kinds,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.reader import Reader
from vllm_preflight.models.parts.state_space import Mamba1, Mamba2, time_step_rank


def _attention(config: ConfigView) -> AttentionShape:
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    width = head_dim(config, hidden_size, num_heads)
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    bias = config.flag("attention_bias")
    return AttentionShape(
        hidden_size, num_heads, kv_heads, width, width, qkv_bias=bias, output_bias=bias
    )


def _cache(shape: AttentionShape) -> AttentionCache:
    return AttentionCache(shape.num_kv_heads, shape.head_dim, shape.head_dim_v, shape.num_heads)


def _mamba2(config: ConfigView, *, gated_norm: bool = True) -> Mamba2:
    """The Mamba-2 mixer under the names IBM and TII give its keys."""
    hidden_size = config.integer("hidden_size")
    heads = config.integer("mamba_n_heads", default=128)
    inner = config.integer("mamba_d_ssm", default=0)
    inner = inner or config.integer("mamba_expand", default=2) * hidden_size
    width = config.get("mamba_d_head")
    return Mamba2(
        hidden_size,
        heads,
        width if isinstance(width, int) else inner // max(1, heads),
        config.integer("mamba_n_groups", default=1),
        config.integer("mamba_d_state", default=256),
        config.integer("mamba_d_conv", default=4),
        conv_bias=config.flag("mamba_conv_bias", default=True),
        proj_bias=config.flag("mamba_proj_bias"),
        gated_norm=gated_norm,
        chunk=config.integer("mamba_chunk_size", "chunk_size", default=256),
    )


# How transformers 5 spells a layer's kind.
_SPELLINGS = {"linear_attention": "mamba", "full_attention": "attention"}


def _two_norms(hidden_size: int) -> tuple[Weight, ...]:
    return (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))


def read_granite_hybrid(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Granite 4: Mamba-2 or attention, then a mixture and a shared block, or that alone."""
    shape, mixer = _attention(config), _mamba2(config)
    hidden_size = shape.hidden_size
    num_layers = num_hidden_layers(config)
    experts = config.integer("num_local_experts", default=0)
    width = config.integer("intermediate_size")
    shared = config.integer("shared_intermediate_size", default=0)
    block = mlp_weights(hidden_size, shared, prefix="shared_mlp") if shared else ()
    moe = None
    if experts:
        block += router_weights(hidden_size, experts, name="block_sparse_moe.router.layer")
        block += expert_weights(hidden_size, width, experts, prefix="block_sparse_moe")
        top_k = config.integer("num_experts_per_tok", default=1)
        moe = MixtureOfExperts(experts, top_k, width, shared)
    block += _two_norms(hidden_size)
    kinds = layer_kinds(config, num_layers) or ["mamba"] * num_layers
    kinds = [_SPELLINGS.get(kind, kind) for kind in kinds]
    by_kind = {
        "mamba": Layer((mixer.cache(),), (*mixer.weights(), *block), moe),
        "attention": Layer((_cache(shape),), (*attention_weights(shape), *block), moe),
    }
    rotated = config.text("position_embedding_type") == "rope" and "attention" in kinds
    return assemble(
        config,
        _pick(by_kind, kinds),
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, shape.head_dim)) if rotated else (),
        intermediate_size=shared or width,
    )


def _pick(by_kind: Mapping[str, Layer], kinds: Sequence[str]) -> list[Layer]:
    unknown = sorted(set(kinds) - set(by_kind))
    if unknown:
        raise UnsupportedArchitecture(
            f"The config names layers of kind {', '.join(unknown)}, which this family has not.",
            f"Known kinds are {', '.join(by_kind)}.",
            keys=("layer_types",),
        )
    return [by_kind[kind] for kind in kinds]


def read_falcon_h1(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Falcon-H1: attention and Mamba-2 side by side in every layer, then a dense block."""
    shape = _attention(config)
    mixer = _mamba2(config, gated_norm=config.flag("mamba_rms_norm"))
    width = config.integer("intermediate_size")
    weights = (
        *attention_weights(shape),
        *mixer.weights(),
        *mixer.multipliers(),
        *mlp_weights(shape.hidden_size, width, bias=config.flag("mlp_bias"), prefix="feed_forward"),
        *_two_norms(shape.hidden_size),
    )
    layer = Layer((_cache(shape), mixer.cache()), weights)
    return assemble(
        config,
        (layer,) * num_hidden_layers(config),
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, shape.head_dim)),
        intermediate_size=width,
    )


def read_bamba(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Bamba: Mamba-2 layers with attention at the listed places, each with a dense block."""
    shape, mixer = _attention(config), _mamba2(config)
    num_layers = num_hidden_layers(config)
    width = config.integer("intermediate_size")
    block = (
        *mlp_weights(shape.hidden_size, width, prefix="feed_forward"),
        *_two_norms(shape.hidden_size),
    )
    attended = set(config.items("attn_layer_indices"))
    attention = Layer((_cache(shape),), (*attention_weights(shape), *block))
    recurrent = Layer((mixer.cache(),), (*mixer.weights(), *block))
    return assemble(
        config,
        [attention if index in attended else recurrent for index in range(num_layers)],
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, rope_dims(config, shape.head_dim)),
        intermediate_size=width,
    )


def read_jamba(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Jamba: Mamba-1 with attention every few layers, a mixture every other; no rope."""
    shape = _attention(config)
    hidden_size = shape.hidden_size
    mixer = Mamba1(
        hidden_size,
        config.integer("mamba_expand", default=2) * hidden_size,
        config.integer("mamba_d_state", default=16),
        config.integer("mamba_d_conv", default=4),
        time_step_rank(config.get("mamba_dt_rank"), hidden_size),
        conv_bias=config.flag("mamba_conv_bias", default=True),
        proj_bias=config.flag("mamba_proj_bias"),
        norm_weights=True,
    )
    width = config.integer("intermediate_size")
    experts = config.integer("num_experts", default=16)
    moe = MixtureOfExperts(experts, config.integer("num_experts_per_tok", default=2), width)
    routed = (
        *router_weights(hidden_size, experts, name="feed_forward.router"),
        *expert_weights(hidden_size, width, experts, prefix="feed_forward.experts"),
    )
    dense = mlp_weights(hidden_size, width, prefix="feed_forward")
    attention_every = max(1, config.integer("attn_layer_period", default=8))
    attention_at = config.integer("attn_layer_offset", default=4)
    expert_every = max(1, config.integer("expert_layer_period", default=2))
    expert_at = config.integer("expert_layer_offset", default=1)
    layers: list[Layer] = []
    for index in range(num_hidden_layers(config)):
        sparse = experts > 1 and index % expert_every == expert_at
        attended = index % attention_every == attention_at
        mix = attention_weights(shape) if attended else mixer.weights()
        weights = (*mix, *(routed if sparse else dense), *_two_norms(hidden_size))
        cache = _cache(shape) if attended else mixer.cache()
        layers.append(Layer((cache,), weights, moe if sparse else None))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        intermediate_size=width,
    )


def read_mamba1(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Mamba and Falcon-Mamba: nothing but Mamba-1 layers with one norm each."""
    hidden_size = config.integer("hidden_size", "d_model")
    inner = config.integer("intermediate_size", "d_inner", default=0)
    inner = inner or config.integer("expand", default=2) * hidden_size
    mixer = Mamba1(
        hidden_size,
        inner,
        config.integer("state_size", default=16),
        config.integer("conv_kernel", default=4),
        time_step_rank(config.get("time_step_rank"), hidden_size),
        conv_bias=config.flag("use_conv_bias", default=True),
        proj_bias=config.flag("use_bias"),
    )
    return _recurrent_only(config, outer, Layer((mixer.cache(),), mixer.weights("mixer")))


def read_mamba2(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Mamba-2 without attention (Codestral Mamba)."""
    hidden_size = config.integer("hidden_size", "d_model")
    width = config.integer("head_dim", "headdim", default=64)
    heads = config.integer("num_heads", default=0)
    mixer = Mamba2(
        hidden_size,
        heads or config.integer("expand", default=2) * hidden_size // max(1, width),
        width,
        config.integer("n_groups", "ngroups", default=8),
        config.integer("state_size", "d_state", default=128),
        config.integer("conv_kernel", "d_conv", default=4),
        conv_bias=config.flag("use_conv_bias", default=True),
        proj_bias=config.flag("use_bias"),
        chunk=config.integer("mamba_chunk_size", "chunk_size", default=256),
    )
    return _recurrent_only(config, outer, Layer((mixer.cache(),), mixer.weights("mixer")))


def _recurrent_only(config: ConfigView, outer: ConfigView | None, layer: Layer) -> Architecture:
    hidden_size = config.integer("hidden_size", "d_model")
    full = Layer(layer.caches, (*layer.weights, norm("norm", hidden_size)))
    architecture = assemble(
        config,
        (full,) * num_hidden_layers(config),
        tied=True,
        num_heads=1,
        num_kv_heads=1,
        outer=outer,
    )
    # There is no attention, so nothing for tensor parallelism to divide by heads.
    return replace(architecture, num_attention_heads=0, num_kv_heads=0)


READERS: Mapping[str, Reader] = {
    "granitemoehybrid": read_granite_hybrid,
    "falcon_h1": read_falcon_h1,
    "bamba": read_bamba,
    "jamba": read_jamba,
    "mamba": read_mamba1,
    "falcon_mamba": read_mamba1,
    "mamba2": read_mamba2,
}
