"""The feed-forward half of a layer: dense, or a mixture of experts, by config keys."""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.models.architecture import MixtureOfExperts, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    expert_weights,
    linear,
    mlp_weights,
    router_weights,
)
from vllm_preflight.models.parts.decoder_traits import DecoderTraits

_EXPERT_KEYS = (
    "num_local_experts",
    "num_experts",
    "n_routed_experts",
    "moe_num_experts",
)
_TOP_K_KEYS = (
    "num_experts_per_tok",
    "num_experts_per_token",
    "experts_per_token",
    "moe_k",
    "moe_topk",
    "moe_top_k",
    "top_k",
    "top_k_experts",
)


@dataclass(frozen=True, slots=True)
class FeedForward:
    """A layer's feed-forward weights and, for routed layers, the mixture's shape."""

    weights: tuple[Weight, ...]
    moe: MixtureOfExperts | None = None


def dense_intermediate(config: ConfigView, hidden_size: int) -> int:
    """Width of a dense feed-forward block; four times hidden where the class says so."""
    width = config.integer(
        "intermediate_size",
        "ffn_hidden_size",
        "ff_intermediate_size",
        "n_inner",
        "ffn_dim",
        default=config.integer("expansion_ratio", default=4) * hidden_size,
    )
    # Qwen 1 states the width of gate and up together.
    return width // 2 if config.model_type == "qwen" else width


def is_moe_layer(config: ConfigView, index: int) -> bool:
    """Whether layer `index` routes to experts, by the keys the families use.

    Qwen (`mlp_only_layers`, `decoder_sparse_step`), DeepSeek (`first_k_dense_replace`,
    `moe_layer_freq`), Ernie (`moe_layer_start_index`, …), Llama 4 (`moe_layers`,
    `interleave_moe_layer_step`), Step 3 (`moe_layers_enum`), and lists naming each
    layer (`mlp_layer_types`).
    """
    kinds = config.items("mlp_layer_types")
    if kinds:
        return index < len(kinds) and str(kinds[index]) in {"sparse", "moe"}
    if config.items("moe_layer_freq"):
        return config.integer_at(index, "moe_layer_freq") > 0
    if index in config.items("mlp_only_layers"):
        return False
    listed = config.items("moe_layers") or config.text("moe_layers_enum").split(",")
    if listed != [""]:
        return str(index) in {str(entry).strip() for entry in listed}
    return _is_moe_by_range(config, index)


def _is_moe_by_range(config: ConfigView, index: int) -> bool:
    first = config.integer("first_k_dense_replace", "num_dense_layers", default=0)
    start, end = config.get("moe_layer_start_index"), config.get("moe_layer_end_index")
    if start is not None:
        first = config.integer_at(0, "moe_layer_start_index")
    # Ernie counts the end from the back when it is negative: -1 is the last layer.
    if isinstance(end, int) and end >= 0 and index > end:
        return False
    step = config.integer(
        "decoder_sparse_step",
        "interleave_moe_layer_step",
        "moe_layer_interval",
        "moe_layer_freq",
        default=1,
    )
    if index < first or step == 0:
        return False
    aligned = index if config.get("moe_layer_freq") is not None else index + 1
    return aligned % step == 0


def feed_forward(config: ConfigView, traits: DecoderTraits, index: int) -> FeedForward:
    """The feed-forward block of layer `index`."""
    hidden_size = config.integer("hidden_size", "n_embd", "n_embed", "d_model")
    num_experts = config.integer(*_EXPERT_KEYS, default=None if traits.mixture else 0)
    if num_experts > 1 and is_moe_layer(config, index):
        return moe_block(config, traits, index)
    bias = traits.mlp_bias
    if bias is None:
        bias = config.flag("mlp_bias", "use_mlp_bias", "use_bias", "bias", "add_bias_linear")
    size = config.integer(
        "intermediate_size_mlp",
        "dense_intermediate_size",
        "prefix_dense_intermediate_size",
        default=0,
    )
    return FeedForward(
        mlp_weights(
            hidden_size,
            size or dense_intermediate(config, hidden_size),
            gated=traits.gated_mlp,
            bias=bias,
            split=traits.split_mlp,
        )
        + _activation(traits)
    )


def _activation(traits: DecoderTraits) -> tuple[Weight, ...]:
    # The xIELU activation learns two scalars and keeps two constants beside them.
    count = traits.activation_parameters
    return (Weight("mlp.act_fn", count),) if count else ()


def shared_intermediate(config: ConfigView, moe_intermediate: int, index: int = 0) -> int:
    """Width of the shared expert (all shared experts as one block), 0 without."""
    explicit = config.integer(
        "shared_expert_intermediate_size",
        "shared_intermediate_size",
        "share_expert_dim",
        default=0,
    )
    count = config.integer_at(
        index,
        "n_shared_experts",
        "num_shared_experts",
        "num_shared_expert",
        "moe_num_shared_experts",
        default=0,
    )
    each = config.integer("moe_shared_expert_intermediate_size", default=moe_intermediate)
    return explicit or count * each


def moe_block(config: ConfigView, traits: DecoderTraits, index: int) -> FeedForward:
    """Router, routed experts and shared expert of layer `index`."""
    hidden_size = config.integer("hidden_size", "d_model")
    num_experts = config.integer(*_EXPERT_KEYS)
    intermediate = config.integer_at(
        index, "moe_intermediate_size", "expert_intermediate_size", default=0
    )
    intermediate = intermediate or dense_intermediate(config, hidden_size)
    shared = shared_intermediate(config, intermediate, index)
    correction = traits.correction_bias or config.flag(
        "use_routing_bias",
        "moe_router_enable_expert_bias",
        "moe_use_aux_free",
        "use_moe_router_bias",
        "router_enable_expert_bias",
    )
    weights = router_weights(
        hidden_size,
        num_experts,
        bias=traits.router_bias,
        correction_bias=correction,
        dtype=traits.router_dtype,
    )
    weights += expert_weights(
        hidden_size,
        intermediate,
        num_experts,
        gated=traits.gated_mlp,
        bias=traits.expert_bias,
    )
    if shared:
        weights += mlp_weights(
            hidden_size, shared, gated=traits.gated_mlp, prefix="mlp.shared_experts"
        )
        if traits.shared_expert_gate:
            weights += linear("mlp.shared_expert_gate", 1, hidden_size)
    top_k = config.integer_at(index, *_TOP_K_KEYS, default=1)
    return FeedForward(weights, MixtureOfExperts(num_experts, top_k, intermediate, shared))
