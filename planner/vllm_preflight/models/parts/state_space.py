"""State-space mixers: the weights and states of Mamba-1 and Mamba-2 layers.

Shapes as vLLM 0.33 lays them out (layers/mamba/mamba_mixer.py, mamba_mixer2.py and
mamba_utils.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.base.units import ceil_div
from vllm_preflight.models.architecture import Role, Split, StateCache, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import linear, norm

_STATE_DTYPES = frozenset({"float32", "bfloat16", "float16"})


@dataclass(frozen=True, slots=True)
class Mamba1:
    """One Mamba-1 mixer. `norm_weights`: whether its inner norms have scales (Jamba)."""

    hidden_size: int
    intermediate_size: int
    state_size: int
    conv_kernel: int
    time_step_rank: int
    conv_bias: bool = True
    proj_bias: bool = False
    norm_weights: bool = False

    def cache(self) -> StateCache:
        """One request's convolution window and state."""
        return StateCache(
            "mamba1",
            self.intermediate_size,
            self.conv_kernel,
            (self.intermediate_size, self.state_size),
        )

    def weights(self, prefix: str = "mamba") -> tuple[Weight, ...]:
        """Projections, convolution and the state's own parameters."""
        inner, state, rank = self.intermediate_size, self.state_size, self.time_step_rank
        weights = (
            *linear(
                f"{prefix}.in_proj",
                2 * inner,
                self.hidden_size,
                split=Split.COLUMN,
                bias=self.proj_bias,
            ),
            *convolution(f"{prefix}.conv1d", inner, self.conv_kernel, bias=self.conv_bias),
            *linear(f"{prefix}.x_proj", rank + 2 * state, inner, split=Split.ROW),
            *linear(f"{prefix}.dt_proj", inner, rank, split=Split.COLUMN, bias=True),
            Weight(f"{prefix}.A_log", inner, state, split=Split.COLUMN, dtype="float32"),
            Weight(f"{prefix}.D", inner, split=Split.COLUMN),
            *linear(
                f"{prefix}.out_proj", self.hidden_size, inner, split=Split.ROW, bias=self.proj_bias
            ),
        )
        if self.norm_weights:
            weights += (
                norm(f"{prefix}.dt_layernorm", rank),
                norm(f"{prefix}.b_layernorm", state),
                norm(f"{prefix}.c_layernorm", state),
            )
        return weights


@dataclass(frozen=True, slots=True)
class Mamba2:
    """One Mamba-2 mixer. Groups of B and C are replicated when ranks exceed them.

    `gated_norm`: whether it ends in a norm with a scale. `chunk`: tokens scanned at once.
    """

    hidden_size: int
    num_heads: int
    head_dim: int
    num_groups: int
    state_size: int
    conv_kernel: int
    conv_bias: bool = True
    proj_bias: bool = False
    gated_norm: bool = True
    state_dtype: str | None = None
    chunk: int = 256

    @property
    def intermediate_size(self) -> int:
        """Width of all heads."""
        return self.num_heads * self.head_dim

    def cache(self) -> StateCache:
        """One request's convolution window and state."""
        return StateCache(
            "mamba2",
            self.intermediate_size + 2 * self.num_groups * self.state_size,
            self.conv_kernel,
            (self.num_heads, self.head_dim, self.state_size),
            groups=self.num_groups,
            group_channels=2 * self.state_size,
            state_dtype=self.state_dtype,
            chunk=self.chunk,
        )

    def weights(self, prefix: str = "mamba") -> tuple[Weight, ...]:
        """Projections, convolution and the state's own parameters."""
        inner, grouped = self.intermediate_size, self.num_groups * self.state_size
        weights: tuple[Weight, ...] = ()
        # One projection yields gate, input, B, C and step: parts that divide differently.
        for rows, split, units in (
            (2 * inner, Split.COLUMN, 1),
            (2 * grouped, Split.KV_HEADS, self.num_groups),
            (self.num_heads, Split.COLUMN, 1),
        ):
            weights += linear(
                f"{prefix}.in_proj",
                rows,
                self.hidden_size,
                split=split,
                bias=self.proj_bias,
                units=units,
            )
        name, kernel = f"{prefix}.conv1d", self.conv_kernel
        weights += convolution(name, inner, kernel, bias=self.conv_bias)
        weights += convolution(
            name,
            2 * grouped,
            kernel,
            bias=self.conv_bias,
            split=Split.KV_HEADS,
            units=self.num_groups,
        )
        weights += (
            Weight(f"{prefix}.A_log", self.num_heads, split=Split.COLUMN, dtype="float32"),
            Weight(f"{prefix}.D", self.num_heads, split=Split.COLUMN),
            Weight(f"{prefix}.dt_bias", self.num_heads, split=Split.COLUMN),
        )
        if self.gated_norm:
            weights += (norm(f"{prefix}.norm", inner, split=Split.COLUMN),)
        return weights + linear(
            f"{prefix}.out_proj", self.hidden_size, inner, split=Split.ROW, bias=self.proj_bias
        )

    def multipliers(self, prefix: str = "mamba") -> tuple[Weight, ...]:
        """Falcon-H1's vector of multipliers, one for each output of the projection."""
        grouped = self.num_groups * self.state_size
        name = f"{prefix}.mup_vector"
        return tuple(
            Weight(name, rows, split=split, units=units, fused=name, in_checkpoint=False)
            for rows, split, units in (
                (2 * self.intermediate_size, Split.COLUMN, 1),
                (2 * grouped, Split.KV_HEADS, self.num_groups),
                (self.num_heads, Split.COLUMN, 1),
            )
        )


def convolution(
    name: str,
    channels: int,
    kernel: int,
    *,
    bias: bool = False,
    split: Split = Split.COLUMN,
    units: int = 1,
    dtype: str | None = None,
) -> tuple[Weight, ...]:
    """A depthwise convolution over the last `kernel` tokens; never quantised."""
    weights: tuple[Weight, ...] = (
        Weight(name, channels, kernel, split, Role.PLAIN, units=units, fused=name, dtype=dtype),
    )
    if bias:
        weights += (Weight(f"{name}.bias", channels, split=split, units=units, dtype=dtype),)
    return weights


def state_dtype(config: ConfigView, key: str, default: str | None) -> str | None:
    """The dtype a config gives its recurrent states; `default` where it is silent.

    Raises:
        UnsupportedArchitecture: a dtype that states are not kept in.
    """
    name = config.text(key).removeprefix("torch.")
    if name in {"", "auto"}:
        return default
    if name not in _STATE_DTYPES:
        raise UnsupportedArchitecture(
            f"The config's {config.where}{key} is {name[:40]!r}.",
            f"States are kept in {', '.join(sorted(_STATE_DTYPES))}.",
            keys=(key,),
        )
    return name


def time_step_rank(value: object, hidden_size: int) -> int:
    """The rank of Mamba-1's time step: a number, or "auto" for a sixteenth of hidden."""
    return value if isinstance(value, int) else ceil_div(hidden_size, 16)
