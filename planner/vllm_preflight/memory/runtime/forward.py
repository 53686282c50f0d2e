"""What one forward pass keeps at once: the tensors of its widest moment.

A compiled pass keeps, at its feed-forward's activation, the gate and up projections with
their product, beside the attention's output, the residual and the block's input. An eager
pass keeps a few hidden states more, by how the class's code is written. Widths are elements
per token on one rank. Source: vLLM 0.19 to 0.33 model_executor/models (forward of the
feed-forward classes), layers/activation.py, layers/quantization, fused_moe.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from vllm_preflight.base.units import ceil_div
from vllm_preflight.launch.launch import Launch
from vllm_preflight.models.architecture import Layer, Role, Split, StateCache, Weight
from vllm_preflight.models.model import Model

# Projections that end a block where tensor parallelism does not divide it.
_CLOSING = frozenset({"o_proj", "down_proj", "out_proj", "proj", "fc2"})
_SHARED_EXPERTS = ("shared_experts", "shared_mlp", "shared_expert")
_ATTENTION = ("self_attn", "attn", "attention")
# Hidden states an eager pass keeps at a feed-forward, by how its class is written: most hold
# the gate and up projections until the down projection is done (4 with its output); Llama's
# overwrites them with their product; Gemma's norms write no residual in place.
_EAGER_COPIES = 4
_OVERWRITING = frozenset(
    (
        "llama",
        "mistral",
        "mistral3",
        "ministral3",
        "phi3",
        "olmo2",
        "olmo3",
        "glm4",
        "telechat2",
        "jamba",
        "nemotron-nas",
        "bailing_moe",
        "hyperclovax",
        "step1",
    )
)
_OUT_OF_PLACE = ("gemma", "chatglm")


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment of the forward pass: tensors alive at once, as (what, elements per token)."""

    name: str
    tensors: tuple[tuple[str, float], ...]

    @property
    def width(self) -> float:
        """Elements per token over all tensors."""
        return sum(width for _, width in self.tensors)


@dataclass(frozen=True, slots=True)
class Block:
    """A block on one rank: the fused output it opens with, and the input it closes with."""

    produced: int
    consumed: int


@dataclass(frozen=True, slots=True)
class LayerBlocks:
    """A layer's attention, feed-forward, shared experts and recurrent mixer."""

    attention: Block | None
    feed_forward: Block | None
    shared: Block | None
    mixer: Block | None
    queries: int
    keys: int
    convolution: int


def widest_moment(model: Model, launch: Launch) -> Moment:
    """The moment of the forward pass that needs most."""
    moments = [
        moment
        for layer in model.architecture.layer_counts
        for moment in _moments(model, launch, layer)
    ]
    hidden = model.architecture.hidden_size
    return max(
        moments,
        key=lambda moment: moment.width,
        default=Moment("feed_forward", (("hidden states", 3 * hidden),)),
    )


def _moments(model: Model, launch: Launch, layer: Layer) -> list[Moment]:
    blocks = layer_blocks(layer, launch.tensor_parallel_size)
    hidden = model.architecture.hidden_size
    eager = launch.enforce_eager
    moments: list[Moment] = []
    if blocks.feed_forward is not None:
        moments += _feed_forward(model, launch, blocks.feed_forward, blocks, hidden)
    if blocks.shared is not None:
        moments += _feed_forward(model, launch, blocks.shared, blocks, hidden)
    if blocks.attention is not None:
        moments.append(_attention(blocks.attention, blocks, hidden, eager=eager))
    if blocks.mixer is not None:
        width = blocks.mixer.consumed
        # Qwen3-Next interleaves its projections by head and copies them apart.
        reordered = 2 if model.architecture.model_type == "qwen3_next" else 1
        first_mamba = any(
            isinstance(cache, StateCache) and cache.kind == "mamba1" for cache in layer.caches
        )
        moments.append(
            Moment(
                "mixer",
                (
                    ("input projection", reordered * blocks.mixer.produced),
                    ("convolution", blocks.convolution),
                    ("scanned states and output", (2 if first_mamba else 3) * width),
                    ("hidden states", 3 * hidden),
                ),
            )
        )
    if layer.moe is not None:
        copies = 5 + (2 if blocks.shared is not None else 0)
        moments.append(Moment("experts", (("hidden states", copies * hidden),)))
    elif launch.tensor_parallel_size > 1 and blocks.feed_forward is not None:
        inputs = blocks.feed_forward.consumed if eager else 0
        tensors = (("activated input", inputs), ("hidden states", 5 * hidden))
        moments.append(Moment("all_reduce", tensors))
    return moments


def _feed_forward(
    model: Model, launch: Launch, block: Block, blocks: LayerBlocks, hidden: int
) -> list[Moment]:
    scheme = quantised_inputs(model, launch)
    if not launch.enforce_eager:
        attention = blocks.attention or blocks.mixer
        output = attention.consumed if attention is not None else hidden
        # Block-wise FP8 is fused with the activation: the product exists in FP8 alone.
        product = block.consumed / 2 if scheme == "fp8_block" else block.consumed
        tensors = (
            ("gate and up projections", block.produced),
            ("activated product", product),
            ("attention output", output),
            ("residual and block input", 2 * hidden),
        )
        return [Moment("feed_forward", tensors)]
    quantised = block.consumed / 2 if scheme else 0
    copies = _eager_copies(model)
    if model.architecture.model_type in _OVERWRITING:
        return [
            Moment(
                "feed_forward",
                (
                    ("gate and up projections", block.produced),
                    ("activated product", block.consumed),
                    ("hidden states", (copies - 1) * hidden),
                ),
            ),
            Moment(
                "down_projection",
                (
                    ("activated product", block.consumed + quantised),
                    ("hidden states", copies * hidden),
                ),
            ),
        ]
    return [
        Moment(
            "feed_forward",
            (
                ("gate and up projections", block.produced),
                ("activated product", block.consumed + quantised),
                ("hidden states", copies * hidden),
            ),
        )
    ]


def _eager_copies(model: Model) -> int:
    """Hidden states of an eager pass; multimodal models start from a buffer of the runner."""
    architecture = model.architecture
    copies = _EAGER_COPIES + architecture.model_type.startswith(_OUT_OF_PLACE)
    return copies - bool(architecture.encoders)


def _attention(block: Block, blocks: LayerBlocks, hidden: int, *, eager: bool) -> Moment:
    """Queries, keys and values, their normalised copies, and the heads' output."""
    copies = 1 if eager else 2
    normalised = copies * blocks.queries + blocks.keys if blocks.keys else 0
    return Moment(
        "attention",
        (
            ("queries, keys and values", block.produced),
            ("normalised queries and keys", normalised),
            ("attention output", block.consumed),
            ("hidden states", (3 if eager else 2) * hidden),
        ),
    )


def quantised_inputs(model: Model, launch: Launch) -> str | None:
    """The scheme by which linear layers quantise their inputs; None where they do not."""
    scheme = model.quantization.default
    if launch.quantization == "fp8" and scheme is None:
        return "fp8_tensor"
    if launch.quantization == "none" or scheme is None or scheme.weight_only:
        return None
    kinds = {"fp8_tensor", "fp8_channel", "fp8_block", "int8_channel", "mxfp8"}
    return scheme.kind if scheme.kind in kinds else None


@lru_cache(maxsize=4096)
def layer_blocks(layer: Layer, tensor_parallel: int) -> LayerBlocks:
    """The blocks of a layer, on one of `tensor_parallel` ranks."""
    found = blocks_of(layer.weights, tensor_parallel, Role.LINEAR)
    states = [cache for cache in layer.caches if isinstance(cache, StateCache)]
    attention = feed_forward = shared = mixer = None
    for name, block in found.items():
        if name.split(".")[-1] in _SHARED_EXPERTS:
            shared = block
        elif name.split(".")[-1] in _ATTENTION:
            attention = block
        elif states and feed_forward_like(name) is False:
            mixer = _wider(mixer, block)
        elif _opens_attention(layer.weights, name):
            attention = block
        else:
            feed_forward = _wider(feed_forward, block)
    normed = {weight.name.rpartition(".")[2] for weight in layer.weights if weight.columns == 1}
    queries, keys = _heads(layer.weights, tensor_parallel)
    return LayerBlocks(
        attention,
        feed_forward,
        shared,
        mixer,
        queries,
        keys if "q_norm" in normed else 0,
        max((ceil_div(state.conv_channels, tensor_parallel) for state in states), default=0),
    )


def feed_forward_like(name: str) -> bool:
    """Whether a block's name is a feed-forward's."""
    return name.split(".")[-1] in {"mlp", "feed_forward", "ffn", "shared_mlp"}


def _opens_attention(weights: tuple[Weight, ...], block: str) -> bool:
    return any(weight.name == f"{block}.q_proj" for weight in weights)


def _wider(one: Block | None, other: Block) -> Block:
    if one is None or other.produced + other.consumed > one.produced + one.consumed:
        return other
    return one


def _heads(weights: tuple[Weight, ...], tensor_parallel: int) -> tuple[int, int]:
    sizes = {"q_proj": 0, "k_proj": 0}
    for weight in weights:
        name = weight.name.rpartition(".")[2]
        if name in sizes and weight.columns > 1:
            sizes[name] = ceil_div(weight.rows, tensor_parallel)
    return sizes["q_proj"], sizes["k_proj"]


def blocks_of(weights: tuple[Weight, ...], tensor_parallel: int, role: Role) -> dict[str, Block]:
    """A layer's blocks by name: what opens each, and the input to what closes it."""
    produced: defaultdict[str, int] = defaultdict(int)
    consumed: defaultdict[str, int] = defaultdict(int)
    for weight in weights:
        # Latent attention projects keys and values up only while it prefills.
        if weight.role is not role or weight.columns == 1 or weight.name.endswith("kv_b_proj"):
            continue
        block, _, name = weight.name.rpartition(".")
        ranks = 1 if weight.split is Split.REPLICATED else tensor_parallel
        if name in _CLOSING or weight.split is Split.ROW:
            consumed[block] = max(consumed[block], ceil_div(weight.columns, ranks))
        else:
            produced[block] += ceil_div(weight.rows, ranks)
    return {block: Block(produced[block], width) for block, width in consumed.items()}
