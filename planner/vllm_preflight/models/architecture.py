"""The frozen facts of a model: what each layer stores and which weights it holds.

An `Architecture` is everything the engine knows about a model. It is read from
`config.json` by `config_reader`, holds whole-model numbers (never per GPU) and no
policy. Two views are derived from it elsewhere: `memory.weights` (bytes per rank)
and `memory.kv_cache` (pages per rank).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Literal


class Split(StrEnum):
    """How vLLM divides a weight over tensor-parallel ranks."""

    REPLICATED = "replicated"  # full copy on every rank
    COLUMN = "column"  # output features divided
    ROW = "row"  # input features divided
    KV_HEADS = "kv_heads"  # output divided by KV heads, replicated when tp exceeds them
    VOCAB = "vocab"  # output padded to a multiple of 64, then divided


class Role(StrEnum):
    """What a weight is for; quantisation schemes treat roles differently."""

    LINEAR = "linear"  # a vLLM linear layer: quantised when the scheme says so
    EXPERT = "expert"  # a stacked MoE expert weight
    PLAIN = "plain"  # norms, routers, convolutions, states: never quantised
    EMBEDDING = "embedding"
    LM_HEAD = "lm_head"
    VISION = "vision"  # a linear layer of a vision or audio encoder


@dataclass(frozen=True, slots=True)
class Weight:
    """One weight of the checkpoint: `copies` matrices of `rows` × `columns` elements.

    `name` is the Hugging Face path inside its layer (`self_attn.q_proj`), which is
    what quantisation ignore-lists match. `fused` is the parameter vLLM stacks it
    into (`self_attn.qkv_proj`); weights of one layer with the same `fused` share a
    tensor. `units` counts the indivisible parts of the divided dimension (KV heads
    for `Split.KV_HEADS`); 1 where it can be cut anywhere. A bias or a vector has
    `columns` 1. `in_checkpoint` is false for what vLLM allocates although the checkpoint
    holds no such tensor.
    `dtype` is set where it differs from the model's ("float32"). "router" is a router in
    float32 except where the GPU's router kernel takes the model's (Hopper and datacentre
    Blackwell).
    """

    name: str
    rows: int
    columns: int = 1
    split: Split = Split.REPLICATED
    role: Role = Role.PLAIN
    copies: int = 1
    units: int = 1
    fused: str = ""
    dtype: str | None = None
    in_checkpoint: bool = True

    @property
    def elements(self) -> int:
        """Elements over all copies, before any padding or splitting."""
        return self.rows * self.columns * self.copies


@dataclass(frozen=True, slots=True)
class AttentionCache:
    """Keys and values per token: full, sliding-window or chunked local attention.

    `window` and `chunk` are in tokens.
    """

    num_kv_heads: int
    head_dim: int
    head_dim_v: int
    num_heads: int
    window: int | None = None
    chunk: int | None = None
    kind: Literal["decoder", "encoder_only", "cross"] = "decoder"


@dataclass(frozen=True, slots=True)
class LatentCache:
    """Multi-head latent attention: one compressed vector per token, the same on all ranks."""

    num_heads: int
    kv_lora_rank: int
    qk_rope_head_dim: int
    qk_nope_head_dim: int
    v_head_dim: int
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class IndexerCache:
    """Keys of a sparse-attention indexer (DeepSeek V3.2, GLM-5): `head_dim` per token.

    `compress_ratio` tokens share one key. `packed` keys are FP8 with a float32 scale per
    128; others (MiniMax M3) stay in the model's dtype.
    """

    head_dim: int
    compress_ratio: int = 1
    packed: bool = True


@dataclass(frozen=True, slots=True)
class CompressedCache:
    """One shared key-and-value vector per `compress_ratio` tokens (DeepSeek V4).

    `head_dim` includes `rope_dim`. With a `window` only its last tokens are kept.
    """

    head_dim: int
    rope_dim: int
    compress_ratio: int = 1
    window: int | None = None


@dataclass(frozen=True, slots=True)
class CompressorCache:
    """Float32 values waiting to be compressed (DeepSeek V4): `width` per token.

    A window of `window` tokens in blocks of `block_size`.
    """

    width: int
    block_size: int
    window: int


@dataclass(frozen=True, slots=True)
class RingCache:
    """A ring of a request's last `tokens` tokens, `width` elements each (GLM-5 Next)."""

    width: int
    tokens: int


@dataclass(frozen=True, slots=True)
class StateCache:
    """A recurrent state of fixed size per request (Mamba, delta rules, short convolutions).

    `conv_channels` × (`conv_kernel` − 1) is the convolution's window; `state_shape`
    is the temporal state, its first entry divided over tensor-parallel ranks, empty
    when there is none. `grouped_channels` of the conv channels belong to `groups`
    groups, which are replicated when tp does not divide them (Mamba-2).
    `state_dtype` is None for the model's dtype. `gate_bounded` marks a KDA whose gate
    has a lower bound: its prefill kernel keeps a checkpoint of the state.
    `exports_states` is false for a layer whose prefill never keeps one (OLMo Hybrid).
    `chunk` are the tokens that a Mamba layer scans at once; vLLM takes 2,048 for Mamba-1.
    """

    kind: Literal["mamba1", "mamba2", "gdn", "kda", "short_conv", "linear"]
    conv_channels: int
    conv_kernel: int
    state_shape: tuple[int, ...] = ()
    groups: int = 1
    group_channels: int = 0
    state_dtype: str | None = None
    key_head_dim: int = 0
    gate_bounded: bool = False
    exports_states: bool = True
    chunk: int = 2048


Cache = (
    AttentionCache
    | LatentCache
    | IndexerCache
    | CompressedCache
    | CompressorCache
    | RingCache
    | StateCache
)


@dataclass(frozen=True, slots=True)
class MixtureOfExperts:
    """Routed experts of a layer: how many there are and how many a token visits."""

    num_experts: int
    experts_per_token: int
    intermediate_size: int
    shared_intermediate_size: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """One decoder (or encoder) layer: what it caches and which weights it holds."""

    caches: tuple[Cache, ...]
    weights: tuple[Weight, ...]
    moe: MixtureOfExperts | None = None

    def __hash__(self) -> int:
        # Cheap: a model has few kinds of layers; equality compares everything.
        return hash((self.caches, len(self.weights)))


@dataclass(frozen=True, slots=True)
class Rope:
    """A rotary table vLLM keeps on the GPU: positions × dim.

    `dtype` is None for the model's. `once_fourfold` marks a multimodal rope of which releases
    up to 0.31 kept four times as many positions.
    """

    positions: int
    dim: int
    dtype: str | None = None
    once_fourfold: bool = False


@dataclass(frozen=True, slots=True)
class Encoder:
    """A vision or audio tower with its projector.

    `max_tokens_per_item` is the most language-model tokens one image or sound becomes;
    `max_tokens_per_video` the most that vLLM counts for a video, None where that hangs on the
    launch or there is none. `pixels_per_token` are those of an image's token where the
    processor's limit decides its largest size, 0 elsewhere. `unloaded` are weights of its
    checkpoint that vLLM leaves out.
    `divided_heads` are the attention heads that must divide evenly over the tensor-parallel
    ranks, 0 where nothing must.
    """

    kind: Literal["vision", "audio"]
    weights: tuple[Weight, ...]
    hidden_size: int = 0
    max_tokens_per_item: int | None = None
    unloaded: tuple[Weight, ...] = ()
    divided_heads: int = 0
    max_tokens_per_video: int | None = None
    pixels_per_token: int = 0


@dataclass(frozen=True, eq=False)
class Architecture:
    """A model as the engine sees it. Counts and shapes only; nothing per GPU.

    Equal only to itself, so that it is a cheap key of caches.

    `max_position` is the length vLLM derives as the model's own maximum;
    `unasked_length` is the length vLLM takes where none is asked for and it is not the
    longest one (LongRoPE). `yarn_length` is the length that a YaRN rope scales to, which
    releases before 0.30 take for `max_position`.
    `max_position_known` is false where only part of the config is at hand and that part is
    silent about it: it is then the class's default, which the whole config may override.
    `pools_since` is the first release that embeds with it whatever its class, since its
    modules.json asks for that; None where it does not.
    `tokenizer_length` is the `model_max_length` of the tokenizer, None where it is not known
    or does not matter.
    `dtype` is the checkpoint's (`torch_dtype`). `layers` repeats identical `Layer`
    objects, so callers can compute per distinct layer. `predictor_layers` are
    multi-token-prediction layers, loaded only when speculating. `packed_kv_layout`
    marks models whose back end keeps pages of different sizes in one block.
    `unloaded` are weights the checkpoint stores and vLLM leaves out. The model object
    keeps a buffer of `batch_buffer_width` elements in the model's dtype for each token
    of a batch (`max_num_batched_tokens`), whole on every rank. `drafts` is the drafting
    method the model is a head for ("eagle3"), empty for a model that can be served.
    """

    model_type: str
    architecture: str
    dtype: str
    hidden_size: int
    vocab_size: int
    max_position: int
    num_attention_heads: int
    num_kv_heads: int
    embeddings: tuple[Weight, ...]
    layers: tuple[Layer, ...]
    head: tuple[Weight, ...]
    tied_embeddings: bool
    intermediate_size: int = 0
    predictor_layers: tuple[Layer, ...] = ()
    encoders: tuple[Encoder, ...] = ()
    ropes: tuple[Rope, ...] = ()
    unloaded: tuple[Weight, ...] = ()
    batch_buffer_width: int = 0
    task: Literal["generate", "embed"] = "generate"
    packed_kv_layout: bool = False
    drafts: str = ""
    max_position_known: bool = True
    unasked_length: int | None = None
    pools_since: tuple[int, int, int] | None = None
    yarn_length: int | None = None
    tokenizer_length: int | None = None
    family_notes: tuple[str, ...] = field(default=())

    def __hash__(self) -> int:
        # Cheap, so that architectures can key caches; equality compares everything.
        return hash((self.model_type, self.hidden_size, self.vocab_size, len(self.layers)))

    @property
    def embeds(self) -> bool:
        """Whether it is made to embed, score or classify, and not to generate."""
        return self.task == "embed" or self.pools_since is not None

    @cached_property
    def layer_counts(self) -> Counter[Layer]:
        """Distinct layers with how often each occurs."""
        return Counter(self.layers)

    @cached_property
    def caches(self) -> tuple[Cache, ...]:
        """The distinct caches of the layers, in their order."""
        return tuple(dict.fromkeys(cache for layer in self.layer_counts for cache in layer.caches))

    @cached_property
    def is_hybrid(self) -> bool:
        """Whether any layer keeps a recurrent state."""
        return any(isinstance(cache, StateCache) for cache in self.caches)

    @cached_property
    def uses_latent_attention(self) -> bool:
        """Whether any layer caches one compressed vector a token (MLA)."""
        return any(isinstance(cache, LatentCache) for cache in self.caches)

    @cached_property
    def moe(self) -> MixtureOfExperts | None:
        """The widest mixture of experts of the model, if it has one."""
        found = [layer.moe for layer in self.layers if layer.moe]
        return max(found, key=lambda moe: moe.num_experts, default=None)

    def all_weights(self) -> Iterator[tuple[str, Weight, int]]:
        """Every checkpoint weight as (where, weight, repetitions)."""
        for weight in self.embeddings:
            yield "embeddings", weight, 1
        for layer, count in self.layer_counts.items():
            for weight in layer.weights:
                yield "layers", weight, count
        for weight in self.head:
            yield "head", weight, 1
        for encoder in self.encoders:
            for weight in encoder.weights:
                yield encoder.kind, weight, 1
        for layer, count in Counter(self.predictor_layers).items():
            for weight in layer.weights:
                yield "predictor", weight, count
