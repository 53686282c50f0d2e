"""Text encoders for embedding and ranking: BERT, RoBERTa, ModernBERT, Nomic.

They attend in both directions and keep no KV cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    Role,
    Rope,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.pooling import dense, num_labels
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    linear,
    mlp_weights,
    norm,
)
from vllm_preflight.models.parts.common import (
    check_positive,
    head_dim,
    model_dtype,
    num_hidden_layers,
)
from vllm_preflight.models.parts.reader import Reader


@dataclass(frozen=True)
class EncoderTraits:
    """What an encoder family fixes in its model class.

    `positions` is "learned" or "rotary"; `padded_positions` says that the first rows of
    the learned table, up to the padding token's, belong to no position. `pooler` is a
    dense layer the checkpoint stores and vLLM leaves out. `up_bias`: whether the first
    feed-forward projection of a biased encoder has one. `first_norm` is false where the
    first layer has one norm less, `local_rope` where local layers rotate by a table of
    their own. `dense_head` is what a classifier of whole texts has before its outputs: a
    biased layer, or an unbiased one and a norm, which a classifier of tokens then has too.
    """

    biased: bool = True
    up_bias: bool = True
    gated: bool = False
    norm_bias: bool = True
    positions: str = "learned"
    padded_positions: bool = False
    token_types: bool = True
    pooler: bool = True
    final_norm: bool = False
    first_norm: bool = True
    local_rope: bool = False
    dense_head: Literal["dense", "normed"] = "dense"
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


# Classes that score every word of the vocabulary (vLLM 0.33 models/bert.py).
_MASKED_HEADS = {"BertForMaskedLM", "BertSpladeSparseEmbeddingModel"}

TRAITS: Mapping[str, EncoderTraits] = {
    "bert": EncoderTraits(defaults={"type_vocab_size": 2}),
    "roberta": EncoderTraits(padded_positions=True),
    "xlm-roberta": EncoderTraits(padded_positions=True),
    "camembert": EncoderTraits(padded_positions=True),
    "modernbert": EncoderTraits(
        biased=False,
        gated=True,
        norm_bias=False,
        positions="rotary",
        token_types=False,
        pooler=False,
        final_norm=True,
        first_norm=False,
        local_rope=True,
        dense_head="normed",
    ),
    "gte": EncoderTraits(gated=True, up_bias=False, positions="rotary", pooler=False),
    "new": EncoderTraits(
        gated=True,
        up_bias=False,
        positions="rotary",
        pooler=False,
        defaults={"type_vocab_size": 1},
    ),
    "nomic_bert": EncoderTraits(
        biased=False,
        gated=True,
        positions="rotary",
        pooler=False,
        defaults={"type_vocab_size": 2, "max_position_embeddings": 2048},
    ),
}


def read_encoder(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of an encoder family listed in `TRAITS`."""
    traits = TRAITS[config.model_type]
    config = config.with_defaults(traits.defaults)
    hidden_size = config.integer("hidden_size", "n_embd")
    vocab_size = config.integer("vocab_size")
    num_heads = config.integer("num_attention_heads", "n_head")
    check_positive(hidden_size, vocab_size, num_heads, num_heads)
    width = head_dim(config, hidden_size, num_heads)
    positions = config.integer("max_position_embeddings", "n_positions")
    inner = config.integer("intermediate_size", "n_inner", default=4 * hidden_size)
    norms = tuple(norm(f"norm_{place}", hidden_size, bias=traits.norm_bias) for place in range(2))
    shape = AttentionShape(
        hidden_size,
        num_heads,
        num_heads,
        width,
        width,
        qkv_bias=traits.biased,
        output_bias=traits.biased,
    )
    weights = (
        *attention_weights(shape),
        *_without_up_bias(
            mlp_weights(hidden_size, inner, gated=traits.gated, bias=traits.biased), traits
        ),
    )
    cache = AttentionCache(num_heads, width, width, num_heads, kind="encoder_only")
    first = Layer((cache,), (*weights, *norms[: 1 + traits.first_norm]))
    others = Layer((cache,), (*weights, *norms)) if not traits.first_norm else first
    rope = (Rope(positions, width),) if _rotary(config, traits) else ()
    return Architecture(
        model_type=config.model_type,
        architecture=next(iter(config.architectures), ""),
        dtype=model_dtype(config, outer),
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        max_position=positions - _padding_rows(config, traits),
        num_attention_heads=num_heads,
        num_kv_heads=num_heads,
        embeddings=_embeddings(config, traits, hidden_size, vocab_size, positions),
        layers=(first, *(others,) * (num_hidden_layers(config) - 1)),
        head=_head(config, traits, hidden_size),
        tied_embeddings=True,
        intermediate_size=inner,
        ropes=rope * (1 + traits.local_rope),
        unloaded=linear("pooler.dense", hidden_size, hidden_size, bias=True)
        if traits.pooler and not _classifies(config)
        else (),
        task="embed",
    )


def _padding_rows(config: ConfigView, traits: EncoderTraits) -> int:
    """Rows of the position table before the first token's.

    RoBERTa counts from the padding token's id on (vLLM models/roberta.py); vLLM learns it
    from the tokenizer's model_max_length, which is as much shorter.
    """
    if not traits.padded_positions:
        return 0
    padding = config.get("pad_token_id")
    return (padding if type(padding) is int else 1) + 1


def _rotary(config: ConfigView, traits: EncoderTraits) -> bool:
    stated = config.text("position_embedding_type")
    return traits.positions == "rotary" or stated in ("rotary", "rope")


def _without_up_bias(weights: tuple[Weight, ...], traits: EncoderTraits) -> tuple[Weight, ...]:
    if traits.up_bias:
        return weights
    return tuple(
        weight
        for weight in weights
        if not weight.name.endswith(".bias") or weight.name.startswith("mlp.down_proj")
    )


def _embeddings(
    config: ConfigView,
    traits: EncoderTraits,
    hidden_size: int,
    vocab_size: int,
    positions: int,
) -> tuple[Weight, ...]:
    tables = [("word_embeddings", vocab_size)]
    learned = not _rotary(config, traits)
    if learned:
        tables.append(("position_embeddings", positions))
    if traits.token_types and config.get("type_vocab_size") != 0:
        tables.append(("token_type_embeddings", config.integer("type_vocab_size", default=1)))
    weights = tuple(
        Weight(f"embeddings.{name}", rows, hidden_size, Split.VOCAB, Role.EMBEDDING)
        for name, rows in tables
    )
    if learned:
        ids = Weight("embeddings.position_ids", positions, dtype="int64", in_checkpoint=False)
        weights += (ids,)
    return (*weights, norm("embeddings.norm", hidden_size, bias=traits.norm_bias))


def _classifies(config: ConfigView) -> Literal["", "texts", "tokens"]:
    """What a model classifies, by its class; empty for a model without such a head."""
    for name in config.architectures:
        if "Classification" in name:
            return "tokens" if "TokenClassification" in name else "texts"
    return ""


def _head(config: ConfigView, traits: EncoderTraits, hidden_size: int) -> tuple[Weight, ...]:
    """The final norm and, of a classifier or a masked language model, what is on top."""
    weights: tuple[Weight, ...] = ()
    if traits.final_norm:
        weights += (norm("final_norm", hidden_size, bias=traits.norm_bias),)
    if set(config.architectures) & _MASKED_HEADS:
        vocab_size = config.integer("vocab_size")
        return (
            *weights,
            *linear("mlm_head.dense", hidden_size, hidden_size, bias=True),
            norm("mlm_head.layer_norm", hidden_size, bias=True),
            Weight("mlm_head.decoder", vocab_size, hidden_size),
            Weight("mlm_head.decoder.bias", vocab_size),
        )
    kind = _classifies(config)
    if not kind:
        return weights
    normed = traits.dense_head == "normed"
    if kind == "texts" or normed:
        # A classifier of tokens keeps its dense layer in the model's dtype.
        on_top = dense("classifier.dense", hidden_size, hidden_size, bias=not normed)
        if normed:
            on_top += (Weight("classifier.norm", hidden_size, dtype="float32"),)
        dtype = "float32" if kind == "texts" else None
        weights += tuple(replace(weight, dtype=dtype) for weight in on_top)
    return weights + dense("classifier.out_proj", num_labels(config), hidden_size)


READERS: Mapping[str, Reader] = dict.fromkeys(TRAITS, read_encoder)
