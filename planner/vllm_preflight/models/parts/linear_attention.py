"""Delta-rule and short-convolution mixers: gated delta nets, KDA, LFM2's convolution.

Shapes as vLLM 0.33 lays them out (layers/mamba/gdn, kda, short_conv.py, linear_attn.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.models.architecture import Split, StateCache, Weight
from vllm_preflight.models.parts.blocks import linear, norm
from vllm_preflight.models.parts.state_space import convolution


@dataclass(frozen=True, slots=True)
class GatedDelta:
    """One gated delta net. `merged_names`: one checkpoint tensor per fused projection."""

    hidden_size: int
    num_key_heads: int
    key_head_dim: int
    num_value_heads: int
    value_head_dim: int
    conv_kernel: int
    state_dtype: str | None = None
    merged_names: bool = False
    exports_states: bool = True

    @property
    def key_dim(self) -> int:
        """Width of all key heads."""
        return self.num_key_heads * self.key_head_dim

    @property
    def value_dim(self) -> int:
        """Width of all value heads."""
        return self.num_value_heads * self.value_head_dim

    def cache(self) -> StateCache:
        """One request's convolution window and state."""
        return StateCache(
            "gdn",
            2 * self.key_dim + self.value_dim,
            self.conv_kernel,
            (self.num_value_heads, self.value_head_dim, self.key_head_dim),
            state_dtype=self.state_dtype,
            key_head_dim=self.key_head_dim,
            exports_states=self.exports_states,
        )

    def weights(self, prefix: str = "linear_attn") -> tuple[Weight, ...]:
        """Projections, convolution, decay parameters and the gated norm."""
        qkv, heads = 2 * self.key_dim + self.value_dim, self.num_value_heads
        if self.merged_names:
            parts = ((qkv + self.value_dim, "in_proj_qkvz", ""), (2 * heads, "in_proj_ba", ""))
        else:
            parts = (
                (qkv, "in_proj_qkv", "in_proj_qkvz"),
                (self.value_dim, "in_proj_z", "in_proj_qkvz"),
                (heads, "in_proj_b", "in_proj_ba"),
                (heads, "in_proj_a", "in_proj_ba"),
            )
        weights: tuple[Weight, ...] = ()
        for rows, name, fused in parts:
            weights += linear(
                f"{prefix}.{name}",
                rows,
                self.hidden_size,
                split=Split.COLUMN,
                fused=f"{prefix}.{fused}" if fused else "",
            )
        return (
            *weights,
            *convolution(f"{prefix}.conv1d", qkv, self.conv_kernel),
            Weight(f"{prefix}.dt_bias", heads, split=Split.COLUMN),
            Weight(f"{prefix}.A_log", heads, split=Split.COLUMN, dtype="float32"),
            norm(f"{prefix}.norm", self.value_head_dim),
            *linear(f"{prefix}.out_proj", self.hidden_size, self.value_dim, split=Split.ROW),
        )


@dataclass(frozen=True, slots=True)
class KimiDelta:
    """One Kimi delta attention.

    `full_rank_gate`: an output gate without a bottleneck; `full_rank_decay`: the same for
    the decay. `conv_dtype` is None for the model's.
    """

    hidden_size: int
    num_heads: int
    head_dim: int
    conv_kernel: int
    full_rank_gate: bool = False
    gate_bounded: bool = False
    full_rank_decay: bool = False
    conv_dtype: str | None = "float32"

    @property
    def width(self) -> int:
        """Width of all heads of query, key or value."""
        return self.num_heads * self.head_dim

    def cache(self) -> StateCache:
        """One request's convolution window and float32 state."""
        return StateCache(
            "kda",
            3 * self.width,
            self.conv_kernel,
            (self.num_heads, self.head_dim, self.head_dim),
            state_dtype="float32",
            key_head_dim=self.head_dim,
            gate_bounded=self.gate_bounded,
        )

    def weights(self, prefix: str = "self_attn") -> tuple[Weight, ...]:
        """Projections, convolutions, decay parameters, output gate and norm."""
        hidden, width = self.hidden_size, self.width
        # One tensor with the gates' first projections, as far as they are alike.
        fused = f"{prefix}.in_proj"
        weights: tuple[Weight, ...] = ()
        for name in ("q", "k", "v"):
            weights += linear(
                f"{prefix}.{name}_proj", width, hidden, split=Split.COLUMN, fused=fused
            )
            weights += convolution(
                f"{prefix}.{name}_conv1d", width, self.conv_kernel, dtype=self.conv_dtype
            )
        if self.full_rank_decay:
            weights += linear(f"{prefix}.f_proj", width, hidden, split=Split.COLUMN)
        else:
            weights += linear(f"{prefix}.f_a_proj", self.head_dim, hidden, fused=fused)
            weights += linear(f"{prefix}.f_b_proj", width, self.head_dim, split=Split.COLUMN)
        weights += linear(
            f"{prefix}.b_proj", self.num_heads, hidden, split=Split.COLUMN, fused=fused
        )
        if self.full_rank_gate:
            weights += linear(f"{prefix}.g_proj", width, hidden, split=Split.COLUMN)
        else:
            weights += linear(f"{prefix}.g_a_proj", self.head_dim, hidden)
            weights += linear(f"{prefix}.g_b_proj", width, self.head_dim, split=Split.COLUMN)
        return (
            *weights,
            Weight(f"{prefix}.dt_bias", width, split=Split.COLUMN, dtype="float32"),
            Weight(f"{prefix}.A_log", self.num_heads, split=Split.COLUMN, dtype="float32"),
            norm(f"{prefix}.o_norm", self.head_dim),
            *linear(f"{prefix}.o_proj", hidden, width, split=Split.ROW),
        )


@dataclass(frozen=True, slots=True)
class ShortConvolution:
    """LFM2's gated convolution over the last `kernel` tokens."""

    hidden_size: int
    channels: int
    kernel: int
    bias: bool = False

    def cache(self) -> StateCache:
        """One request's convolution window."""
        return StateCache("short_conv", self.channels, self.kernel)

    def weights(self, prefix: str = "conv") -> tuple[Weight, ...]:
        """The three-way projection, the convolution and the output projection."""
        return (
            *linear(
                f"{prefix}.in_proj",
                3 * self.channels,
                self.hidden_size,
                split=Split.COLUMN,
                bias=self.bias,
            ),
            *convolution(f"{prefix}.conv", self.channels, self.kernel, bias=self.bias),
            *linear(
                f"{prefix}.out_proj",
                self.hidden_size,
                self.channels,
                split=Split.ROW,
                bias=self.bias,
            ),
        )


@dataclass(frozen=True, slots=True)
class Lightning:
    """Linear attention with a fixed decay per head (MiniMax, Ling 2.5).

    `qk_norm`: norms of queries and keys, one scale per head dimension.
    """

    hidden_size: int
    num_heads: int
    head_dim: int
    qk_norm: bool = False

    def cache(self) -> StateCache:
        """One request's state; there is no convolution."""
        return StateCache("linear", 0, 1, (self.num_heads, self.head_dim, self.head_dim))

    def weights(self, prefix: str = "self_attn") -> tuple[Weight, ...]:
        """Joint query, key and value, the output gate, its norm and the output."""
        width = self.num_heads * self.head_dim
        return (
            *linear(f"{prefix}.qkv_proj", 3 * width, self.hidden_size, split=Split.COLUMN),
            *linear(f"{prefix}.output_gate", width, self.hidden_size, split=Split.COLUMN),
            norm(f"{prefix}.norm", width, split=Split.COLUMN),
            *((Weight(f"{prefix}.qk_norm", 2 * self.head_dim),) if self.qk_norm else ()),
            *linear(f"{prefix}.out_proj", self.hidden_size, width, split=Split.ROW),
        )
