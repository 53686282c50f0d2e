"""Step 3: one key-value head and a query of low rank that all heads share (MFA)."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import Architecture, AttentionCache, Layer, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import attention_scales, linear, norm
from vllm_preflight.models.parts.common import assemble, num_hidden_layers, rope_tables
from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.feed_forward import dense_intermediate, feed_forward
from vllm_preflight.models.parts.reader import Reader

_MIXTURE = DecoderTraits(mixture=True, mlp_bias=False)


def read_step3_text(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Step 3: a whole low-rank projection on every rank, heads divided behind it."""
    if config.get("max_position_embeddings") is None:
        config = config.with_defaults(
            {"max_position_embeddings": config.integer("max_position_embedding", default=65536)}
        )
    hidden_size = config.integer("hidden_size")
    num_heads, width = config.integer("num_attention_heads"), config.integer("head_dim")
    query = config.integer("share_q_dim", default=width)
    attention: tuple[Weight, ...] = (
        *linear("self_attn.qkv_proj", query + 2 * width, hidden_size),
        norm("self_attn.inter_norm", query),
        *linear("self_attn.wq", num_heads * width, query, split=Split.COLUMN),
        *linear("self_attn.o_proj", hidden_size, num_heads * width, split=Split.ROW),
        attention_scales("self_attn"),
    )
    norms = (norm("input_layernorm", hidden_size), norm("post_attention_layernorm", hidden_size))
    cache = AttentionCache(1, width, width, num_heads)
    layers: list[Layer] = []
    for index in range(num_hidden_layers(config)):
        block = feed_forward(config, _MIXTURE, index)
        layers.append(Layer((cache,), (*attention, *block.weights, *norms), block.moe))
    return assemble(
        config,
        layers,
        tied=False,
        num_heads=num_heads,
        num_kv_heads=1,
        outer=outer,
        ropes=rope_tables(config, (width,)),
        intermediate_size=dense_intermediate(config, hidden_size),
    )


READERS: Mapping[str, Reader] = {"step3_text": read_step3_text}
