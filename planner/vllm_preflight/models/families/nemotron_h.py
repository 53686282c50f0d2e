"""Nemotron-H and Nemotron 3: one mixer a layer, named letter by letter in the config."""

from __future__ import annotations

from collections.abc import Mapping

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
    linear,
    mlp_weights,
    norm,
    router_weights,
)
from vllm_preflight.models.parts.common import assemble, head_dim
from vllm_preflight.models.parts.predictor import predictor_count
from vllm_preflight.models.parts.reader import Reader
from vllm_preflight.models.parts.state_space import Mamba2, state_dtype

# What the config class fills in (transformers configuration_nemotron_h.py).
_DEFAULTS = {
    "vocab_size": 131072,
    "intermediate_size": 21504,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "mamba_num_heads": 128,
    "mamba_head_dim": 64,
    "max_position_embeddings": 4096,
}
_LETTERS = {"M": "mamba", "*": "attention", "-": "mlp", "E": "moe"}
# How transformers 5 spells the same kinds.
_SPELLINGS = {"linear_attention": "mamba", "full_attention": "attention"}


def _kinds(config: ConfigView, pattern_key: str, *list_keys: str) -> list[str]:
    """The kind of each layer, from the first list of names there is, or a string of letters."""
    lists = (config.items(key) for key in list_keys)
    listed = [str(kind) for kind in next((found for found in lists if found), ())]
    kinds = listed or [_LETTERS.get(letter, letter) for letter in config.text(pattern_key)]
    kinds = [_SPELLINGS.get(kind, kind) for kind in kinds]
    unknown = sorted(set(kinds) - set(_LETTERS.values()))
    if unknown:
        raise UnsupportedArchitecture(
            f"The config's {pattern_key} names layers of kind {', '.join(unknown)}.",
            "Known are M or mamba, * or attention, - or mlp, E or moe.",
            keys=(*list_keys, pattern_key),
        )
    return kinds


def read_nemotron_h(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Nemotron-H: Mamba-2, attention without rope, squared-ReLU blocks or mixtures."""
    config = config.with_defaults(_DEFAULTS)
    kinds = _kinds(config, "hybrid_override_pattern", "layers_block_type", "layer_types")
    if not kinds:
        raise UnsupportedArchitecture(
            "The config has neither layers_block_type nor hybrid_override_pattern.",
            "Give a complete config.json.",
            keys=("layers_block_type", "hybrid_override_pattern"),
        )
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    width = head_dim(config, hidden_size, num_heads)
    bias = config.flag("attention_bias")
    shape = AttentionShape(
        hidden_size, num_heads, kv_heads, width, width, qkv_bias=bias, output_bias=bias
    )
    mixer = Mamba2(
        hidden_size,
        config.integer("mamba_num_heads"),
        config.integer("mamba_head_dim"),
        config.integer("n_groups", "mamba_n_groups", default=8),
        config.integer("ssm_state_size", "mamba_state_dim"),
        config.integer("conv_kernel", "mamba_d_conv", default=4),
        conv_bias=config.flag("use_conv_bias", default=True),
        proj_bias=config.flag("mamba_proj_bias", "use_bias"),
        state_dtype=state_dtype(config, "mamba_ssm_cache_dtype", "float32"),
        chunk=config.integer("mamba_chunk_size", "chunk_size", default=256),
    )
    built: dict[str, Layer] = {}
    layers = [_layer(kind, config, shape, mixer, built) for kind in kinds]
    predictor_kinds = _kinds(config, "mtp_hybrid_override_pattern", "mtp_layers_block_type")
    predictors = [
        _layer(kind, config, shape, mixer, built)
        for _ in range(predictor_count(config, "num_nextn_predict_layers"))
        for kind in predictor_kinds
    ]
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        predictor_layers=_joined(predictors, hidden_size),
        intermediate_size=config.integer("intermediate_size", default=0),
    )


def _joined(layers: list[Layer], hidden_size: int) -> list[Layer]:
    """Predictor layers, the first with what joins the hidden state and the embedding."""
    if not layers:
        return []
    first = layers[0]
    extra = (
        norm("enorm", hidden_size),
        norm("hnorm", hidden_size),
        *linear("eh_proj", hidden_size, 2 * hidden_size),
        norm("final_layernorm", hidden_size),
    )
    return [Layer(first.caches, (*extra, *first.weights), first.moe), *layers[1:]]


def _layer(
    kind: str,
    config: ConfigView,
    shape: AttentionShape,
    mixer: Mamba2,
    built: dict[str, Layer],
) -> Layer:
    if kind not in built:
        before = norm("norm", shape.hidden_size)
        if kind == "mamba":
            built[kind] = Layer((mixer.cache(),), (before, *mixer.weights("mixer")))
        elif kind == "attention":
            cache = AttentionCache(
                shape.num_kv_heads, shape.head_dim, shape.head_dim_v, shape.num_heads
            )
            built[kind] = Layer((cache,), (before, *attention_weights(shape, "mixer")))
        elif kind == "mlp":
            block = mlp_weights(
                shape.hidden_size,
                config.integer("intermediate_size"),
                gated=False,
                bias=config.flag("mlp_bias"),
                prefix="mixer",
            )
            built[kind] = Layer((), (before, *block))
        else:
            weights, moe = _mixture(config, shape.hidden_size)
            built[kind] = Layer((), (before, *weights), moe)
    return built[kind]


def _mixture(config: ConfigView, hidden_size: int) -> tuple[tuple[Weight, ...], MixtureOfExperts]:
    """Ungated experts, in a narrower latent space where the config gives one."""
    experts = config.integer("n_routed_experts")
    width = config.integer("moe_intermediate_size")
    latent = config.integer("moe_latent_size", default=0)
    shared = config.integer("n_shared_experts", default=0) * config.integer(
        "moe_shared_expert_intermediate_size", default=width
    )
    weights = router_weights(
        hidden_size, experts, correction_bias=True, name="mixer.gate", dtype="router"
    )
    if latent:
        weights += linear("mixer.fc1_latent_proj", latent, hidden_size)
        weights += linear("mixer.fc2_latent_proj", hidden_size, latent)
    weights += expert_weights(
        latent or hidden_size, width, experts, gated=False, prefix="mixer.experts"
    )
    if shared:
        weights += mlp_weights(hidden_size, shared, gated=False, prefix="mixer.shared_experts")
    top_k = config.integer("num_experts_per_tok", default=1)
    return weights, MixtureOfExperts(experts, top_k, width, shared)


READERS: Mapping[str, Reader] = {
    "nemotron_h": read_nemotron_h,
    "nemotron_h_puzzle": read_nemotron_h,
}
