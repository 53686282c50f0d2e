"""The feed-forward half of a layer: dense, or a mixture of experts, by config keys."""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.models.architecture import MixtureOfExperts, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.blocks import (
    expert_weights,
    linear,
    mlp_weights,
    router_weights,
)
from vllm_preflight.models.families.traits import DecoderTraits

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
    return config.integer(
        "intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim", default=4 * hidden_size
    )


def is_moe_layer(config: ConfigView, index: int) -> bool:
    """Whether layer `index` routes to experts, by the keys the families use.

    Qwen (`mlp_only_layers`, `decoder_sparse_step`), DeepSeek (`first_k_dense_replace`,
    `moe_layer_freq`), Ernie (`moe_layer_start_index`, …), Llama 4
    (`interleave_moe_layer_step`), and lists naming each layer (`mlp_layer_types`).
    """
    kinds = config.items("mlp_layer_types")
    if kinds:
        return str(kinds[index]) in {"sparse", "moe"}
    frequency = config.get("moe_layer_freq")
    if isinstance(frequency, list):
        return bool(config.items("moe_layer_freq")[index])
    if index in config.items("mlp_only_layers"):
        return False
    if config.get("moe_layers"):
        return index in config.items("moe_layers")
    first = config.integer("first_k_dense_replace", "num_dense_layers", default=0)
    start = config.get("moe_layer_start_index")
    if start is not None:
        first = min(
            config.items("moe_layer_start_index") or [config.integer("moe_layer_start_index")]
        )
    end = (
        config.integer("moe_layer_end_index", default=2**30)
        if not config.items("moe_layer_end_index")
        else max(config.items("moe_layer_end_index"))
    )
    step = config.integer(
        "decoder_sparse_step",
        "interleave_moe_layer_step",
        "moe_layer_interval",
        "moe_layer_freq",
        default=1,
    )
    if index < first or index > end or step == 0:
        return False
    aligned = index if config.get("moe_layer_freq") is not None else index + 1
    return aligned % step == 0


def feed_forward(config: ConfigView, traits: DecoderTraits, index: int) -> FeedForward:
    """The feed-forward block of layer `index`."""
    hidden_size = config.integer("hidden_size", "n_embd", "d_model")
    num_experts = config.integer(*_EXPERT_KEYS, default=0)
    if num_experts > 1 and is_moe_layer(config, index):
        return moe_block(config, traits, hidden_size, num_experts)
    bias = traits.mlp_bias
    if bias is None:
        bias = config.flag("mlp_bias", "use_mlp_bias", "use_bias", "bias", "add_bias_linear")
    size = config.integer("intermediate_size_mlp", "dense_intermediate_size", default=0)
    return FeedForward(
        mlp_weights(
            hidden_size,
            size or dense_intermediate(config, hidden_size),
            gated=traits.gated_mlp,
            bias=bias,
        )
    )


def shared_intermediate(config: ConfigView, moe_intermediate: int) -> int:
    """Width of the shared expert (all shared experts as one block), 0 without."""
    explicit = config.integer(
        "shared_expert_intermediate_size",
        "moe_shared_expert_intermediate_size",
        "shared_intermediate_size",
        default=0,
    )
    count = config.integer(
        "n_shared_experts",
        "num_shared_experts",
        "num_shared_expert",
        "moe_num_shared_experts",
        default=0,
    )
    return explicit or count * moe_intermediate


def moe_block(
    config: ConfigView, traits: DecoderTraits, hidden_size: int, num_experts: int
) -> FeedForward:
    """Router, routed experts and shared expert of one layer."""
    intermediate = config.integer("moe_intermediate_size", "expert_intermediate_size", default=0)
    intermediate = intermediate or dense_intermediate(config, hidden_size)
    shared = shared_intermediate(config, intermediate)
    correction = traits.correction_bias or config.flag(
        "use_routing_bias", "moe_router_enable_expert_bias", "moe_use_aux_free"
    )
    weights = router_weights(
        hidden_size,
        num_experts,
        bias=traits.router_bias,
        correction_bias=correction,
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
    moe = MixtureOfExperts(
        num_experts, config.integer(*_TOP_K_KEYS, default=1), intermediate, shared
    )
    return FeedForward(weights, moe)
