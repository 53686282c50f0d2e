"""Families with multi-head latent attention: DeepSeek V2 to V3.2, Kimi K2, GLM-5 and kin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    MixtureOfExperts,
    Rope,
    Split,
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
    max_position,
    num_hidden_layers,
    rope_tables,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import dense_intermediate, feed_forward
from vllm_preflight.models.parts.latent import (
    LatentShape,
    has_own_indexer,
    indexer_weights,
    latent_caches,
    latent_shape,
    latent_weights,
)
from vllm_preflight.models.parts.predictor import predictor_count, predictor_layer
from vllm_preflight.models.parts.reader import Reader


@dataclass(frozen=True)
class LatentTraits:
    """What a latent family fixes in its model class.

    `absorbed` is false where vLLM expands the latent into ordinary heads (MiniCPM3), and
    `rotary` where the model runs in transformers' code, which keeps no table.
    `correction_bias` is None where the config's `topk_method` decides.
    `predictor_embeddings`: whether checkpoints repeat embedding and head in the
    prediction layers. A config's `more_norms_key` adds two norms a layer.
    """

    absorbed: bool = True
    rotary: bool = True
    correction_bias: bool | None = None
    router_dtype: str | None = None
    mixture: bool = True
    predictor_embeddings: bool = True
    norms: int = 2
    more_norms_key: str = ""
    tied: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


_DEEPSEEK = {"first_k_dense_replace": 0, "moe_layer_freq": 1}
# What DeepSeek V3's config class fills in beside that.
_DEEPSEEK_V3 = {**_DEEPSEEK, "max_position_embeddings": 4096}

TRAITS: Mapping[str, LatentTraits] = {
    "deepseek_v2": LatentTraits(defaults=_DEEPSEEK),
    "deepseek_v3": LatentTraits(defaults=_DEEPSEEK_V3),
    "deepseek_v32": LatentTraits(defaults=_DEEPSEEK_V3),
    "kimi_k2": LatentTraits(defaults=_DEEPSEEK_V3),
    "glm_moe_dsa": LatentTraits(
        correction_bias=True,
        predictor_embeddings=False,
        defaults={"first_k_dense_replace": 3, "moe_layer_freq": 1},
    ),
    "glm4_moe_lite": LatentTraits(
        correction_bias=True, router_dtype="float32", defaults={"first_k_dense_replace": 1}
    ),
    "axk1": LatentTraits(
        correction_bias=True, norms=3, defaults={"first_k_dense_replace": 1, "moe_layer_freq": 1}
    ),
    "mistral4": LatentTraits(defaults=_DEEPSEEK),
    "youtu": LatentTraits(mixture=False, tied=True, rotary=False),
    "pangu_ultra_moe": LatentTraits(more_norms_key="sandwich_norm"),
    "sarvam_mla": LatentTraits(correction_bias=True, defaults={"first_k_dense_replace": 1}),
    "minicpm3": LatentTraits(mixture=False, absorbed=False, tied=True),
}


def read_latent(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of a family listed in `TRAITS`."""
    traits = TRAITS[config.model_type]
    config = config.with_defaults(traits.defaults)
    num_layers = num_hidden_layers(config)
    if not config.flag("use_mla", default=True) or config.get("kv_lora_rank") is None:
        return _read_expanded(config, outer, traits, num_layers)
    shape = latent_shape(config)
    attention = latent_weights(shape, absorbed=traits.absorbed)
    sparse = config.get("index_topk") is not None
    own_indexer = has_own_indexer(config, num_layers)
    layers: list[Layer] = []
    for index in range(num_layers):
        block = feed_forward(config, _feed_forward_traits(config, traits), index)
        weights = (*attention, *block.weights, *_norms(config, traits, shape.hidden_size))
        if sparse and own_indexer[index]:
            weights += indexer_weights(config)
        caches = (
            latent_caches(shape, config, sparse=sparse, own_indexer=own_indexer[index])
            if traits.absorbed
            else (_expanded_cache(shape),)
        )
        layers.append(Layer(caches, weights, block.moe))
    last = layers[-1]
    if sparse and not own_indexer[-1]:
        # A prediction layer never shares another layer's pick.
        caches = latent_caches(shape, config, sparse=True, own_indexer=True)
        last = Layer(caches, (*last.weights, *indexer_weights(config)), last.moe)
    return _assembled(config, outer, traits, layers, shape.qk_rope_head_dim, last)


def _norms(config: ConfigView, traits: LatentTraits, hidden_size: int) -> tuple[Weight, ...]:
    count = traits.norms + 2 * config.flag(traits.more_norms_key)
    return tuple(norm(f"norm_{number}", hidden_size) for number in range(count))


def _feed_forward_traits(config: ConfigView, traits: LatentTraits) -> DecoderTraits:
    correction = traits.correction_bias
    if correction is None:
        correction = config.text("topk_method") == "noaux_tc"
    return DecoderTraits(
        mlp_bias=False,
        correction_bias=correction,
        router_dtype=traits.router_dtype,
        # A config that does not mention experts is cut short, unless the family is dense.
        mixture=traits.mixture and "n_routed_experts" not in config.raw,
    )


def _expanded_cache(shape: LatentShape) -> AttentionCache:
    """The cache of a latent layer run as ordinary attention: every head, values padded."""
    width = shape.qk_nope_head_dim + shape.qk_rope_head_dim
    return AttentionCache(shape.num_heads, width, width, shape.num_heads)


def _read_expanded(
    config: ConfigView, outer: ConfigView | None, traits: LatentTraits, num_layers: int
) -> Architecture:
    """A DeepSeek V2 without latent attention (`use_mla` false): plain heads."""
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    num_kv_heads = config.integer("num_key_value_heads", default=num_heads)
    width = hidden_size // max(1, num_heads)
    attention = attention_weights(
        AttentionShape(hidden_size, num_heads, num_kv_heads, width, width)
    )
    cache = AttentionCache(num_kv_heads, width, width, num_heads)
    layers: list[Layer] = []
    for index in range(num_layers):
        block = feed_forward(config, _feed_forward_traits(config, traits), index)
        weights = (*attention, *block.weights, *_norms(config, traits, hidden_size))
        layers.append(Layer((cache,), weights, block.moe))
    return _assembled(config, outer, traits, layers, width, layers[-1])


def _assembled(
    config: ConfigView,
    outer: ConfigView | None,
    traits: LatentTraits,
    layers: Sequence[Layer],
    rotary: int,
    repeated: Layer,
) -> Architecture:
    """The whole from its layers; prediction layers are like `repeated`."""
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    predictors = predictor_count(config, "num_nextn_predict_layers")
    vocab_size = config.integer("vocab_size") if traits.predictor_embeddings else 0
    predictor = predictor_layer(repeated, hidden_size, vocab_size)
    return assemble(
        config,
        layers,
        tied=traits.tied,
        num_heads=num_heads,
        num_kv_heads=config.integer("num_key_value_heads", default=num_heads),
        outer=outer,
        ropes=rope_tables(config, (rotary,)) if traits.rotary else (),
        predictor_layers=(predictor,) * predictors,
        intermediate_size=dense_intermediate(config, hidden_size),
    )


def read_longcat(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """LongCat-Flash: two latent attentions and two dense blocks beside one mixture a layer.

    Zero experts take part in routing but hold no weights.
    """
    shape = latent_shape(config)
    hidden_size = shape.hidden_size
    dense = config.integer("ffn_hidden_size", "intermediate_size")
    width = config.integer("expert_ffn_hidden_size", "moe_intermediate_size")
    experts = config.integer("n_routed_experts")
    routed = experts + config.integer("zero_expert_num", default=0)
    weights: tuple[Weight, ...] = ()
    for half in range(2):
        weights += latent_weights(shape, f"self_attn.{half}")
        weights += mlp_weights(hidden_size, dense, prefix=f"mlps.{half}")
        weights += (
            norm(f"input_layernorm.{half}", hidden_size),
            norm(f"post_attention_layernorm.{half}", hidden_size),
        )
    weights += router_weights(
        hidden_size, routed, correction_bias=True, name="mlp.router.classifier", dtype="float32"
    )
    weights += expert_weights(hidden_size, width, experts)
    moe = MixtureOfExperts(experts, config.integer("moe_topk", "num_experts_per_tok"), width)
    layer = Layer((shape.cache(), shape.cache()), weights, moe)
    return assemble(
        config,
        (layer,) * num_hidden_layers(config),
        tied=False,
        num_heads=shape.num_heads,
        num_kv_heads=shape.num_heads,
        outer=outer,
        ropes=(Rope(max_position(config), shape.qk_rope_head_dim),),
        intermediate_size=dense,
    )


def read_longcat_ngram(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """LongCat-Flash with embeddings of n-grams beside the tokens'.

    Source: vLLM 0.33 models/longcat_flash_ngram.py.
    """
    base = read_longcat(config, outer)
    hidden_size = config.integer("hidden_size")
    splits, neighbours = config.integer("emb_split_num"), config.integer("emb_neighbor_num")
    tables = splits * (neighbours - 1)
    width = hidden_size // max(1, tables)
    rows = config.integer("ngram_vocab_size_ratio") * config.integer("vocab_size")
    # Table i has rows + 2i + 1 entries, so that their hashes differ.
    total = tables * rows + tables * tables
    extra = (
        Weight("ngram.embedder", total, width, Split.VOCAB),
        Weight("ngram.projection", tables * width, hidden_size),
    )
    return replace(base, embeddings=(*base.embeddings, *extra))


READERS: Mapping[str, Reader] = {
    "longcat_flash_ngram": read_longcat_ngram,
    **dict.fromkeys(TRAITS, read_latent),
    "longcat_flash": read_longcat,
}
