"""Multi-head latent attention: its shape, weights, cache and sparse indexer.

vLLM 0.33 `layers/attention/mla_attention.py` and `models/deepseek_v2.py`: the
down-projections and the indexer are whole on every rank, the up-projections are
divided by heads, and the two halves of `kv_b_proj` are kept a second time in the
model's dtype after loading.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.models.architecture import (
    Cache,
    IndexerCache,
    LatentCache,
    Role,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import attention_scales, linear, norm


@dataclass(frozen=True, slots=True)
class LatentShape:
    """Heads and ranks of one latent attention layer; `q_lora_rank` is 0 without one.

    `output_gate` adds a gate as wide as the output (Kimi K3).
    """

    hidden_size: int
    num_heads: int
    q_lora_rank: int
    kv_lora_rank: int
    qk_nope_head_dim: int
    qk_rope_head_dim: int
    v_head_dim: int
    output_gate: bool = False

    @property
    def q_rows(self) -> int:
        """Rows of the query projection over all heads."""
        return self.num_heads * (self.qk_nope_head_dim + self.qk_rope_head_dim)

    @property
    def v_rows(self) -> int:
        """Width of all heads' values."""
        return self.num_heads * self.v_head_dim

    @property
    def latent_width(self) -> int:
        """Elements of the compressed vector of one token."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    def cache(self, *, sparse: bool = False) -> LatentCache:
        """What the layer keeps per token."""
        return LatentCache(
            self.num_heads,
            self.kv_lora_rank,
            self.qk_rope_head_dim,
            self.qk_nope_head_dim,
            self.v_head_dim,
            sparse,
        )


def latent_shape(config: ConfigView) -> LatentShape:
    """The latent attention a config describes; raises UnsupportedArchitecture.

    Values are as wide as hidden size over heads where the config is silent (MiniCPM3).
    """
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    return LatentShape(
        hidden_size=hidden_size,
        num_heads=num_heads,
        q_lora_rank=config.integer("q_lora_rank", default=0),
        kv_lora_rank=config.integer("kv_lora_rank"),
        qk_nope_head_dim=config.integer("qk_nope_head_dim"),
        qk_rope_head_dim=config.integer("qk_rope_head_dim"),
        v_head_dim=config.integer("v_head_dim", default=hidden_size // max(1, num_heads)),
        output_gate=config.flag("mla_use_output_gate"),
    )


def latent_weights(
    shape: LatentShape, prefix: str = "self_attn", *, absorbed: bool = True
) -> tuple[Weight, ...]:
    """Query, latent and output projections with their norms.

    With a query rank the two down-projections are one tensor. `absorbed` adds the copies
    of the key and value up-projections; without it the layer runs as ordinary attention.
    """
    down = f"{prefix}.fused_qkv_a_proj" if shape.q_lora_rank and absorbed else ""
    weights: tuple[Weight, ...] = ()
    if shape.q_lora_rank:
        weights += linear(f"{prefix}.q_a_proj", shape.q_lora_rank, shape.hidden_size, fused=down)
        weights += (norm(f"{prefix}.q_a_layernorm", shape.q_lora_rank),)
        weights += linear(f"{prefix}.q_b_proj", shape.q_rows, shape.q_lora_rank, split=Split.COLUMN)
    else:
        weights += linear(f"{prefix}.q_proj", shape.q_rows, shape.hidden_size, split=Split.COLUMN)
    weights += linear(
        f"{prefix}.kv_a_proj_with_mqa", shape.latent_width, shape.hidden_size, fused=down
    )
    weights += (norm(f"{prefix}.kv_a_layernorm", shape.kv_lora_rank),)
    up_rows = shape.num_heads * (shape.qk_nope_head_dim + shape.v_head_dim)
    weights += linear(f"{prefix}.kv_b_proj", up_rows, shape.kv_lora_rank, split=Split.COLUMN)
    if shape.output_gate:
        weights += linear(f"{prefix}.g_proj", shape.v_rows, shape.hidden_size, split=Split.COLUMN)
    weights += linear(f"{prefix}.o_proj", shape.hidden_size, shape.v_rows, split=Split.ROW)
    weights += (attention_scales(prefix),)
    if absorbed:
        weights += tuple(
            Weight(
                f"{prefix}.{name}",
                rows,
                shape.kv_lora_rank,
                split=Split.COLUMN,
                in_checkpoint=False,
            )
            for name, rows in (
                ("W_UK_T", shape.num_heads * shape.qk_nope_head_dim),
                ("W_UV", shape.v_rows),
            )
        )
    return weights


def indexer_weights(config: ConfigView, prefix: str = "self_attn.indexer") -> tuple[Weight, ...]:
    """The lightning indexer that picks a sparse layer's tokens, whole on every rank.

    Its key norm is a float32 LayerNorm with a shift. vLLM joins the key and the weights
    projection and keeps them in 16 bit, whatever the checkpoint stores.
    """
    hidden_size = config.integer("hidden_size")
    heads, width = config.integer("index_n_heads"), config.integer("index_head_dim")
    fused = f"{prefix}.wk_weights_proj"
    return (
        *linear(f"{prefix}.wq_b", heads * width, config.integer("q_lora_rank")),
        *linear(f"{prefix}.wk", width, hidden_size, fused=fused, role=Role.PLAIN),
        Weight(f"{prefix}.k_norm", 2 * width, dtype="float32"),
        *linear(f"{prefix}.weights_proj", heads, hidden_size, fused=fused, role=Role.PLAIN),
    )


def has_own_indexer(config: ConfigView, num_layers: int) -> list[bool]:
    """Which layers pick tokens themselves instead of sharing an earlier layer's pick.

    `indexer_types` names each layer; else `index_topk_freq` layers share one pick after
    the first `index_skip_topk_offset` (GLM-5.2 and later).
    """
    kinds = config.items("indexer_types")
    if len(kinds) >= num_layers:
        return [str(kind) != "shared" for kind in kinds[:num_layers]]
    every = max(1, config.integer("index_topk_freq", default=1))
    offset = config.integer("index_skip_topk_offset", default=0)
    return [max(0, index - offset + 1) % every == 0 for index in range(num_layers)]


def latent_caches(
    shape: LatentShape, config: ConfigView, *, sparse: bool, own_indexer: bool
) -> tuple[Cache, ...]:
    """The caches of one latent layer, with its indexer's keys where it has one."""
    caches: tuple[Cache, ...] = (shape.cache(sparse=sparse),)
    if sparse and own_indexer:
        caches += (IndexerCache(config.integer("index_head_dim")),)
    return caches
