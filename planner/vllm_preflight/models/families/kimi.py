"""Kimi-Linear, Kimi K3 and GLM-5 Next: Kimi delta attention beside latent attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.models.architecture import (
    Architecture,
    Cache,
    IndexerCache,
    Layer,
    MixtureOfExperts,
    RingCache,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    expert_weights,
    linear,
    mlp_weights,
    norm,
    router_weights,
)
from vllm_preflight.models.parts.common import (
    assemble,
    layer_kinds,
    num_hidden_layers,
)
from vllm_preflight.models.parts.feed_forward import dense_intermediate, is_moe_layer
from vllm_preflight.models.parts.hyper_connections import hyper_connection
from vllm_preflight.models.parts.latent import (
    has_own_indexer,
    indexer_weights,
    latent_shape,
    latent_weights,
)
from vllm_preflight.models.parts.linear_attention import KimiDelta
from vllm_preflight.models.parts.predictor import predictor_count, predictor_layer
from vllm_preflight.models.parts.reader import Reader

# vLLM keeps at least so much of an expert's intermediate size on a rank, except where
# experts work in a narrower space (vLLM 0.33, 16-bit experts on eight ranks).
_EXPERT_TILE = 256


def _delta(config: ConfigView) -> KimiDelta:
    linear_config = config.section("linear_attn_config") or config
    return KimiDelta(
        config.integer("hidden_size"),
        linear_config.integer("num_heads", "linear_num_heads"),
        linear_config.integer("linear_head_dim", "head_dim"),
        linear_config.integer("short_conv_kernel_size", "linear_conv_kernel_dim", default=4),
        full_rank_gate=linear_config.flag("use_full_rank_gate"),
        gate_bounded=linear_config.get("gate_lower_bound", "linear_lower_bound") is not None,
    )


def _recurrent_layers(config: ConfigView, num_layers: int) -> list[bool]:
    """Which layers are recurrent: by `layer_types`, else Kimi's lists, counted from 1."""
    kinds = layer_kinds(config, num_layers)
    if kinds:
        return [kind in {"linear_attention", "kda_attention"} for kind in kinds]
    linear_config = config.section("linear_attn_config") or config
    recurrent = set(linear_config.items("kda_layers"))
    return [index + 1 in recurrent for index in range(num_layers)]


def read_kimi_linear(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Kimi-Linear and the text model of Kimi K3."""
    config = config.with_defaults({"first_k_dense_replace": 0, "moe_layer_freq": 1})
    shape, delta = latent_shape(config), _delta(config)
    hidden_size = shape.hidden_size
    num_layers = num_hidden_layers(config)
    norms = _kimi_norms(config, hidden_size)
    layers: list[Layer] = []
    for index, recurrent in enumerate(_recurrent_layers(config, num_layers)):
        mix = delta.weights() if recurrent else latent_weights(shape)
        cache: Cache = delta.cache() if recurrent else shape.cache()
        block, moe = _feed_forward(config, hidden_size, index)
        layers.append(Layer((cache,), (*mix, *block, *norms), moe))
    predictors = predictor_count(config, "num_nextn_predict_layers")
    predictor = predictor_layer(layers[-1], hidden_size, config.integer("vocab_size"))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=config.integer("num_key_value_heads", default=shape.num_heads),
        outer=outer,
        predictor_layers=(predictor,) * predictors,
        extra_head=_residual_attention("model.output", config, hidden_size),
        intermediate_size=dense_intermediate(config, hidden_size),
    )


def _residual_attention(name: str, config: ConfigView, hidden_size: int) -> tuple[Weight, ...]:
    """Attention over earlier blocks' outputs (Kimi K3): one query and one norm."""
    if not config.integer("attn_res_block_size", default=0):
        return ()
    return (
        Weight(f"{name}_attn_res_proj", 1, hidden_size),
        norm(f"{name}_attn_res_norm", hidden_size),
    )


def _kimi_norms(config: ConfigView, hidden_size: int) -> tuple[Weight, ...]:
    return (
        norm("input_layernorm", hidden_size),
        norm("post_attention_layernorm", hidden_size),
        *_residual_attention("self_attention", config, hidden_size),
        *_residual_attention("mlp", config, hidden_size),
    )


def _feed_forward(
    config: ConfigView, hidden_size: int, index: int, *, prefix: str = "block_sparse_moe"
) -> tuple[tuple[Weight, ...], MixtureOfExperts | None]:
    """A dense block, or experts that may work in a narrower space (Kimi K3)."""
    experts = config.integer("num_experts", "n_routed_experts", default=0)
    if not experts or not is_moe_layer(config, index):
        return mlp_weights(hidden_size, dense_intermediate(config, hidden_size)), None
    width = config.integer("moe_intermediate_size")
    shared = width * config.integer("num_shared_experts", "n_shared_experts", default=0)
    weights = router_weights(hidden_size, experts, correction_bias=True, name=f"{prefix}.gate")
    latent = config.integer("routed_expert_hidden_size", default=0)
    if latent:
        weights += linear(f"{prefix}.routed_expert_down_proj", latent, hidden_size)
        weights += linear(f"{prefix}.routed_expert_up_proj", hidden_size, latent)
        if config.flag("latent_moe_use_norm"):
            weights += (norm(f"{prefix}.routed_expert_norm", latent),)
    weights += tuple(
        replace(weight, units=1 if latent else max(1, width // _EXPERT_TILE))
        for weight in expert_weights(
            latent or hidden_size, width, experts, prefix=f"{prefix}.experts"
        )
    )
    if shared:
        weights += mlp_weights(hidden_size, shared, prefix=f"{prefix}.shared_experts")
    top_k = config.integer("num_experts_per_token", "num_experts_per_tok", default=1)
    return weights, MixtureOfExperts(experts, top_k, width, shared)


def read_glm5_next(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """GLM-5 Next: delta attention, sparse latent attention with pooled indexer keys."""
    config = config.with_defaults({"first_k_dense_replace": 3, "index_kpool": 4})
    shape, delta = latent_shape(config), _delta(config)
    hidden_size = shape.hidden_size
    num_layers = num_hidden_layers(config)
    width, pool = config.integer("index_head_dim"), max(1, config.integer("index_kpool"))
    connections = (
        *hyper_connection("attn_hc", config, hidden_size),
        *hyper_connection("ffn_hc", config, hidden_size),
    )
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    own_indexer = has_own_indexer(config, num_layers)
    layers: list[Layer] = []
    for index, recurrent in enumerate(_recurrent_layers(config, num_layers)):
        caches: tuple[Cache, ...] = (delta.cache(),)
        mix = delta.weights()
        if not recurrent:
            caches, mix = (shape.cache(sparse=True),), latent_weights(shape)
            if own_indexer[index]:
                caches += (IndexerCache(width, pool), RingCache(2 * width, pool))
                mix += (*indexer_weights(config), *_pooling(hidden_size, width, pool))
        block, moe = _feed_forward(config, hidden_size, index, prefix="mlp")
        layers.append(Layer(caches, (*mix, *block, *norms, *connections), moe))
    predictors = predictor_count(config, "num_nextn_predict_layers")
    block, moe = _feed_forward(config, hidden_size, num_layers - 1, prefix="mlp")
    # The prediction layer attends sparsely and has a single residual stream.
    repeated = Layer(
        (shape.cache(sparse=True), IndexerCache(width, pool), RingCache(2 * width, pool)),
        (
            *latent_weights(shape),
            *indexer_weights(config),
            *_pooling(hidden_size, width, pool),
            *block,
            *norms,
        ),
        moe,
    )
    architecture = assemble(
        config,
        layers,
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=config.integer("num_key_value_heads", default=shape.num_heads),
        outer=outer,
        predictor_layers=(predictor_layer(repeated, hidden_size),) * predictors,
        intermediate_size=dense_intermediate(config, hidden_size),
    )
    return replace(architecture, packed_kv_layout=True)


def _pooling(hidden_size: int, width: int, pool: int) -> tuple[Weight, ...]:
    """What pools the indexer's keys: a gate, and a bias for each place in the pool."""
    prefix = "self_attn.indexer.compressor"
    return (
        Weight(f"{prefix}.wgate", width, hidden_size),
        Weight(f"{prefix}.ape", pool, width, dtype="float32"),
    )


READERS: Mapping[str, Reader] = {
    "kimi_linear": read_kimi_linear,
    "glm5_next_text": read_glm5_next,
}
