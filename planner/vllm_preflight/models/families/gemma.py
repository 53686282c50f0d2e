"""Gemma 3n and Gemma 4 text models: shared caches, per-layer embeddings, two head widths.

Later layers of the small models read the cache of an earlier one of their kind; each
layer takes an embedding of its own; Gemma 4's global layers have wider and fewer heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    MixtureOfExperts,
    Role,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.attention import attention_shape, layer_windows
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    expert_weights,
    linear,
    mlp_weights,
    norm,
    router_weights,
)
from vllm_preflight.models.parts.common import (
    assemble,
    num_hidden_layers,
    rope_dims,
    rope_tables,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.reader import Reader

_TRAITS = DecoderTraits(qk_norm="head", tied=True, window_layers="pattern", window_pattern=6)
_DEFAULTS_3N = {
    "vocab_size": 262400,
    "vocab_size_per_layer_input": 262144,
    "hidden_size": 2048,
    "hidden_size_per_layer_input": 256,
    "intermediate_size": 16384,
    "num_hidden_layers": 35,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "max_position_embeddings": 32768,
    "sliding_window": 512,
    "num_kv_shared_layers": 15,
    "laurel_rank": 64,
    "altup_num_inputs": 4,
    "sliding_window_pattern": 5,
}
_DEFAULTS_4 = {"head_dim": 256, "global_head_dim": 512, "sliding_window": 512}


def read_gemma3n(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The text model of Gemma 3n (AltUp, LAuReL, per-layer embeddings)."""
    config = config.with_defaults(_DEFAULTS_3N)
    shape = attention_shape(config, _TRAITS)
    hidden_size = shape.hidden_size
    num_layers = num_hidden_layers(config)
    inputs = config.integer("altup_num_inputs")
    first_shared = num_layers - config.integer("num_kv_shared_layers")
    extra = (
        *_altup_weights(config, hidden_size, inputs),
        *_layer_input_weights(config, hidden_size),
    )
    layers: list[Layer] = []
    unloaded: tuple[Weight, ...] = ()
    for index, window in enumerate(layer_windows(config, _TRAITS, num_layers)):
        width = config.integer_at(index, "intermediate_size")
        weights = (
            *_attention(shape, shared=index >= first_shared),
            *mlp_weights(hidden_size, width),
            *_norms(hidden_size, 4),
            *extra,
        )
        caches = (_cache(shape, window),) if index < first_shared else ()
        layers.append(Layer(caches, weights))
        unloaded += _shared_kv(shape) if index >= first_shared else ()
    # AltUp keeps several copies of the hidden state, made and merged by projections.
    projections = tuple(
        replace(weight, copies=inputs - 1)
        for name in ("altup_projections", "altup_unembed_projections")
        for weight in linear(f"model.{name}", hidden_size, hidden_size, split=Split.COLUMN)
    )
    dims = (shape.head_dim, shape.head_dim)
    return assemble(
        config,
        layers,
        tied=True,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_kv_heads,
        outer=outer,
        ropes=rope_tables(config, dims),
        extra_embeddings=(*_layer_embeddings(config, hidden_size, num_layers), *projections),
        intermediate_size=config.integer_at(0, "intermediate_size"),
        unloaded=unloaded,
        # Only the multimodal class keeps the inputs of the layers over a batch.
        batch_buffer_width=_layer_inputs_width(config, num_layers) if outer is not None else 0,
    )


def _altup_weights(config: ConfigView, hidden_size: int, inputs: int) -> tuple[Weight, ...]:
    rank = config.integer("laurel_rank")
    return (
        norm("altup.correct_output_scale", hidden_size),
        Weight("altup.correction_coefs", inputs, inputs),
        Weight("altup.prediction_coefs", inputs * inputs, inputs),
        Weight("altup.modality_router", inputs, hidden_size),
        norm("altup.router_norm", hidden_size),
        *linear("laurel.linear_left", rank, hidden_size, split=Split.COLUMN),
        *linear("laurel.linear_right", hidden_size, rank, split=Split.ROW),
        norm("laurel.post_laurel_norm", hidden_size),
    )


def read_gemma4(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The text model of Gemma 4, dense or with experts beside the dense block."""
    config = config.with_defaults(_DEFAULTS_4)
    local = attention_shape(config, _TRAITS)
    hidden_size = local.hidden_size
    num_layers = num_hidden_layers(config)
    first_shared = num_layers - config.integer("num_kv_shared_layers", default=0)
    double = config.flag("use_double_wide_mlp")
    moe = _moe(config) if config.flag("enable_moe_block") else None
    layers: list[Layer] = []
    unloaded: tuple[Weight, ...] = ()
    for index, window in enumerate(layer_windows(config, _TRAITS, num_layers)):
        shape = local if window else _global_shape(config, local)
        shared = index >= first_shared
        width = config.integer("intermediate_size") * (2 if double and shared else 1)
        weights = (
            *_attention(shape, shared=shared),
            *mlp_weights(hidden_size, width),
            *_norms(hidden_size, 4),
            Weight("layer_scalar", 1),
            *_layer_input_weights(config, hidden_size),
            *(_moe_weights(hidden_size, moe) if moe else ()),
        )
        layers.append(Layer(() if shared else (_cache(shape, window),), weights, moe))
        unloaded += _shared_kv(shape) if shared else ()
    dims = rope_dims(config, local.head_dim)
    wide = _global_shape(config, local).head_dim
    # The global rope's table spans the whole wide head, rotated only in part.
    tables = rope_tables(config, (wide, *dims[1:]) if len(dims) > 1 else (wide, local.head_dim))
    return assemble(
        config,
        layers,
        tied=True,
        num_heads=local.num_heads,
        num_kv_heads=local.num_kv_heads,
        outer=outer,
        ropes=tables,
        extra_embeddings=_layer_embeddings(config, hidden_size, num_layers),
        intermediate_size=config.integer("intermediate_size"),
        unloaded=unloaded,
        # Only the multimodal class keeps the inputs of the layers over a batch.
        batch_buffer_width=_layer_inputs_width(config, num_layers) if outer is not None else 0,
    )


def _global_shape(config: ConfigView, local: AttentionShape) -> AttentionShape:
    """Global layers: wider heads, and with `attention_k_eq_v` fewer, whose keys are values."""
    width = config.integer("global_head_dim")
    kv_heads = local.num_kv_heads
    same = config.flag("attention_k_eq_v")
    if same:
        kv_heads = config.integer("num_global_key_value_heads", default=kv_heads)
    return replace(local, head_dim=width, head_dim_v=width, num_kv_heads=kv_heads, own_v=not same)


def _attention(shape: AttentionShape, *, shared: bool) -> tuple[Weight, ...]:
    """Attention whose unscaled value norm vLLM builds with ones; sharing layers lack K and V.

    A layer whose keys are its values has no value projection in the checkpoint, but
    vLLM's fused projection has room for one.
    """
    if shared:
        return attention_weights(replace(shape, own_kv=False))
    weights = attention_weights(shape)
    if not shape.own_v:
        full = attention_weights(replace(shape, own_v=True))
        weights += tuple(
            replace(weight, in_checkpoint=False)
            for weight in full
            if weight.name.endswith("v_proj")
        )
    return (*weights, Weight("self_attn.v_norm", shape.head_dim, in_checkpoint=False))


def _shared_kv(shape: AttentionShape) -> tuple[Weight, ...]:
    """The K and V of a sharing layer, which checkpoints store and vLLM leaves out."""
    names = ("k_proj", "v_proj", "k_norm")
    return tuple(weight for weight in attention_weights(shape) if weight.name.endswith(names))


def _cache(shape: AttentionShape, window: int | None) -> AttentionCache:
    return AttentionCache(
        shape.num_kv_heads, shape.head_dim, shape.head_dim_v, shape.num_heads, window
    )


def _norms(hidden_size: int, count: int) -> tuple[Weight, ...]:
    return tuple(norm(f"norm_{number}", hidden_size) for number in range(count))


def _moe(config: ConfigView) -> MixtureOfExperts:
    return MixtureOfExperts(
        config.integer("num_experts"),
        config.integer("top_k_experts", "num_experts_per_tok"),
        config.integer("moe_intermediate_size", "expert_intermediate_size"),
    )


def _moe_weights(hidden_size: int, moe: MixtureOfExperts) -> tuple[Weight, ...]:
    return (
        *router_weights(hidden_size, moe.num_experts, name="router.proj"),
        norm("router.scale", hidden_size),
        Weight("router.norm", hidden_size, in_checkpoint=False),
        Weight("router.per_expert_scale", moe.num_experts),
        *expert_weights(hidden_size, moe.intermediate_size, moe.num_experts, prefix="experts"),
        *_norms(hidden_size, 3),
    )


def _layer_input_weights(config: ConfigView, hidden_size: int) -> tuple[Weight, ...]:
    """What each layer does with its own embedding."""
    width = config.integer("hidden_size_per_layer_input", default=0)
    if not width:
        return ()
    return (
        *linear("per_layer_input_gate", width, hidden_size),
        *linear("per_layer_projection", hidden_size, width),
        norm("post_per_layer_input_norm", hidden_size),
    )


def _layer_inputs_width(config: ConfigView, num_layers: int) -> int:
    # vLLM keeps the per-layer inputs of a whole batch in a buffer of the model.
    return num_layers * config.integer("hidden_size_per_layer_input", default=0)


def _layer_embeddings(config: ConfigView, hidden_size: int, num_layers: int) -> tuple[Weight, ...]:
    """The embedding of all layers at once, and its projection from the hidden state."""
    width = config.integer("hidden_size_per_layer_input", default=0)
    if not width:
        return ()
    vocab_size = config.integer("vocab_size_per_layer_input", default=0) or config.integer(
        "vocab_size"
    )
    total = num_layers * width
    return (
        Weight("model.embed_tokens_per_layer", vocab_size, total, Split.VOCAB, Role.EMBEDDING),
        *linear("model.per_layer_model_projection", total, hidden_size, split=Split.COLUMN),
        norm("model.per_layer_projection_norm", width),
    )


READERS: Mapping[str, Reader] = {
    "gemma3n_text": read_gemma3n,
    "gemma4_text": read_gemma4,
    "gemma4_unified_text": read_gemma4,
}
