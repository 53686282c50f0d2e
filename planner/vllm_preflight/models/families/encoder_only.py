"""Text encoders for embedding and ranking: BERT, RoBERTa, ModernBERT, Nomic.

They attend in both directions and keep no KV cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    dense layer the checkpoint stores and vLLM leaves out.
    """

    biased: bool = True
    gated: bool = False
    norm_bias: bool = True
    positions: str = "learned"
    padded_positions: bool = False
    token_types: bool = True
    pooler: bool = True
    final_norm: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])


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
        *mlp_weights(hidden_size, inner, gated=traits.gated, bias=traits.biased),
        *norms,
    )
    cache = AttentionCache(num_heads, width, width, num_heads, kind="encoder_only")
    layer = Layer((cache,), weights)
    rotary = traits.positions == "rotary"
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
        layers=(layer,) * num_hidden_layers(config),
        head=_head(config, traits, hidden_size),
        tied_embeddings=True,
        intermediate_size=inner,
        ropes=(Rope(positions, width),) if rotary else (),
        unloaded=linear("pooler.dense", hidden_size, hidden_size, bias=True)
        if traits.pooler and not _classes(config)
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


def _embeddings(
    config: ConfigView,
    traits: EncoderTraits,
    hidden_size: int,
    vocab_size: int,
    positions: int,
) -> tuple[Weight, ...]:
    tables = [("word_embeddings", vocab_size)]
    if traits.positions == "learned":
        tables.append(("position_embeddings", positions))
    if traits.token_types:
        tables.append(("token_type_embeddings", config.integer("type_vocab_size", default=1)))
    weights = tuple(
        Weight(f"embeddings.{name}", rows, hidden_size, Split.VOCAB, Role.EMBEDDING)
        for name, rows in tables
    )
    if traits.positions == "learned":
        ids = Weight("embeddings.position_ids", positions, dtype="int64", in_checkpoint=False)
        weights += (ids,)
    return (*weights, norm("embeddings.norm", hidden_size, bias=traits.norm_bias))


def _classes(config: ConfigView) -> int:
    """Outputs of a classification head, 0 for a model without one."""
    if not any("Classification" in name for name in config.architectures):
        return 0
    labels = config.section("id2label")
    return config.integer("num_labels", default=len(labels.raw) if labels is not None else 1)


def _head(config: ConfigView, traits: EncoderTraits, hidden_size: int) -> tuple[Weight, ...]:
    weights: tuple[Weight, ...] = ()
    if traits.final_norm:
        weights += (norm("final_norm", hidden_size, bias=traits.norm_bias),)
    classes = _classes(config)
    if classes:
        weights += linear("classifier.dense", hidden_size, hidden_size, bias=True)
        weights += linear("classifier.out_proj", classes, hidden_size, bias=True)
    return weights


READERS: Mapping[str, Reader] = dict.fromkeys(TRAITS, read_encoder)
