"""DeepSeek V4: windowed and compressed latent attention, hash-routed first layers.

Shapes: transformers modeling_deepseek_v4.py; caches: vLLM 0.33's own key-value groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import (
    Architecture,
    Cache,
    CompressedCache,
    CompressorCache,
    IndexerCache,
    Layer,
    MixtureOfExperts,
    Rope,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision_deepseek_v4 import deepseek_v4_towers
from vllm_preflight.models.parts.blocks import expert_weights, linear, mlp_weights, norm
from vllm_preflight.models.parts.common import assemble, max_position, num_hidden_layers
from vllm_preflight.models.parts.hyper_connections import hyper_connection, hyper_head
from vllm_preflight.models.parts.predictor import predictor_count, predictor_layer
from vllm_preflight.models.parts.reader import Reader

# A layer that compresses 4 tokens into one pools overlapping windows and picks tokens
# with an indexer; the heavier compressions do neither.
_OVERLAPPING_RATIO = 4
# Tokens per block of the heavier compressors' waiting values (vLLM 0.33, deepseek_v4).
_HEAVY_STATE_BLOCK = 8
# DSpark stages of a checkpoint that does not say how many it ships (vLLM 0.33).
_DSPARK_STAGES = 3

_RATIO_OF_KIND = {
    "sliding_attention": 0,
    "compressed_sparse_attention": 4,
    "heavily_compressed_attention": 128,
}


def _compress_ratios(config: ConfigView, num_layers: int) -> list[int]:
    """Tokens per stored vector of each layer, 0 for a layer that only has its window."""
    ratios = config.items("compress_ratios")
    if not ratios:
        rates = config.section("compress_rates")
        ratios = [
            rates.integer(kind, default=_RATIO_OF_KIND.get(kind, 0))
            if rates is not None and _RATIO_OF_KIND.get(kind, 0)
            else _RATIO_OF_KIND.get(kind, 0)
            for kind in (str(kind) for kind in config.items("layer_types"))
        ]
    valid = [ratio for ratio in ratios if isinstance(ratio, int) and 0 <= ratio <= 2**16]
    if len(valid) < num_layers or len(valid) != len(ratios):
        raise UnsupportedArchitecture(
            f"The config gives {len(valid)} compression ratios for {num_layers} layers.",
            "Give a complete config.json.",
            keys=("compress_ratios", "layer_types"),
        )
    return valid[:num_layers]


def _caches(config: ConfigView, ratio: int) -> tuple[Cache, ...]:
    width, rope = config.integer("head_dim"), config.integer("qk_rope_head_dim")
    caches: tuple[Cache, ...] = (
        CompressedCache(width, rope, window=config.integer("sliding_window")),
    )
    if not ratio:
        return caches
    caches += (CompressedCache(width, rope, ratio),)
    if ratio != _OVERLAPPING_RATIO:
        return (*caches, CompressorCache(2 * width, _HEAVY_STATE_BLOCK, ratio))
    index_width = config.integer("index_head_dim")
    return (
        *caches,
        IndexerCache(index_width, ratio),
        CompressorCache(4 * width, ratio, 2 * ratio),
        CompressorCache(4 * index_width, ratio, 2 * ratio),
    )


def _compressor(prefix: str, hidden_size: int, width: int, ratio: int) -> tuple[Weight, ...]:
    """What pools `ratio` tokens: a value and a gate each, twice as wide when overlapping."""
    rows = width * (2 if ratio == _OVERLAPPING_RATIO else 1)
    fused = f"{prefix}.fused_wkv_wgate"
    return (
        Weight(f"{prefix}.wkv", rows, hidden_size, fused=fused),
        Weight(f"{prefix}.wgate", rows, hidden_size, fused=fused),
        Weight(f"{prefix}.ape", ratio, rows, dtype="float32"),
        norm(f"{prefix}.norm", width),
    )


def _attention(config: ConfigView, hidden_size: int, ratio: int) -> tuple[Weight, ...]:
    heads, width = config.integer("num_attention_heads"), config.integer("head_dim")
    rank, groups = config.integer("q_lora_rank"), max(1, config.integer("o_groups"))
    output_rank = config.integer("o_lora_rank")
    down = "attn.fused_wqa_wkv"
    weights = (
        *linear("attn.wq_a", rank, hidden_size, fused=down),
        *linear("attn.wkv", width, hidden_size, fused=down),
        norm("attn.q_norm", rank),
        norm("attn.kv_norm", width),
        *linear("attn.wq_b", heads * width, rank, split=Split.COLUMN),
        *linear("attn.wo_a", groups * output_rank, heads * width // groups, split=Split.COLUMN),
        *linear("attn.wo_b", hidden_size, groups * output_rank, split=Split.ROW),
        Weight("attn.attn_sink", heads, split=Split.COLUMN, dtype="float32"),
    )
    if ratio:
        weights += _compressor("attn.compressor", hidden_size, width, ratio)
    if ratio == _OVERLAPPING_RATIO:
        index_heads, index_width = config.integer("index_n_heads"), config.integer("index_head_dim")
        weights += (
            *linear("attn.indexer.wq_b", index_heads * index_width, rank),
            Weight("attn.indexer.weights_proj", index_heads, hidden_size),
            *_compressor("attn.indexer.compressor", hidden_size, index_width, ratio),
        )
    return weights


def _mixture(
    config: ConfigView, hidden_size: int, index: int
) -> tuple[tuple[Weight, ...], MixtureOfExperts]:
    """Experts routed by score, or by a table over the vocabulary in the first layers."""
    experts, width = config.integer("n_routed_experts"), config.integer("moe_intermediate_size")
    shared = width * config.integer("n_shared_experts", default=0)
    top_k = config.integer("num_experts_per_tok", default=1)
    router: tuple[Weight, ...] = (Weight("ffn.gate", experts, hidden_size),)
    if index < config.integer("num_hash_layers", default=0):
        vocab_size = config.integer("vocab_size")
        router += (Weight("ffn.gate.tid2eid", vocab_size, top_k, dtype="int32"),)
    else:
        router += (Weight("ffn.gate.bias", experts, dtype="float32"),)
    weights = (*router, *expert_weights(hidden_size, width, experts, prefix="ffn.experts"))
    if shared:
        weights += mlp_weights(hidden_size, shared, prefix="ffn.shared_experts")
    return weights, MixtureOfExperts(experts, top_k, width, shared)


def read_deepseek_v4(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """The architecture of DeepSeek V4 Flash and Pro."""
    config = config.with_defaults({"qk_rope_head_dim": 64, "num_hash_layers": 3})
    hidden_size = config.integer("hidden_size")
    num_heads = config.integer("num_attention_heads")
    common = (
        norm("attn_norm", hidden_size),
        norm("ffn_norm", hidden_size),
        *hyper_connection("hc_attn", config, hidden_size),
        *hyper_connection("hc_ffn", config, hidden_size),
    )
    num_layers = num_hidden_layers(config)
    layers: list[Layer] = []
    for index, ratio in enumerate(_compress_ratios(config, num_layers)):
        block, moe = _mixture(config, hidden_size, index)
        weights = (*_attention(config, hidden_size, ratio), *block, *common)
        layers.append(Layer(_caches(config, ratio), weights, moe))
    predictors = predictor_count(config, "num_nextn_predict_layers")
    # The prediction layer keeps only its window and joins its own residual streams.
    block, moe = _mixture(config, hidden_size, num_layers)
    weights = (*_attention(config, hidden_size, 0), *block, *common)
    repeated = Layer(_caches(config, 0), (*weights, *hyper_head(config, hidden_size)), moe)
    predictor = predictor_layer(repeated, hidden_size)
    length = max_position(config)
    rotary = config.integer("qk_rope_head_dim")
    # Layers that compress and those that do not rotate with frequencies of their own.
    ropes = len({ratio > 1 for ratio in _compress_ratios(config, num_layers)})
    architecture = assemble(
        config,
        layers,
        tied=False,
        num_heads=num_heads,
        num_kv_heads=config.integer("num_key_value_heads", default=1),
        outer=outer,
        ropes=(Rope(length, rotary, "float32"),) * ropes,
        predictor_layers=(predictor,) * predictors,
        extra_head=hyper_head(config, hidden_size),
        encoders=deepseek_v4_towers(config, hidden_size),
        intermediate_size=config.integer("moe_intermediate_size"),
    )
    return replace(architecture, packed_kv_layout=True)


def read_dspark_stages(config: ConfigView) -> Architecture:
    """The DSpark stages a DeepSeek-V4 checkpoint ships: windowed layers and their heads.

    Embedding and output head are the model's own. The context's keys and values are
    projected with copies of the layers' own projections.
    Source: vLLM 0.33 models/deepseek_v4/nvidia/dspark.py.

    Raises:
        UnsupportedArchitecture: the config has none (`dspark_target_layer_ids`).
    """
    config = config.with_defaults({"qk_rope_head_dim": 64, "num_hash_layers": 3})
    joined = len(config.items("dspark_target_layer_ids"))
    if not joined:
        raise UnsupportedArchitecture(
            "The config has no dspark_target_layer_ids.",
            "DSpark drafts with stages that the checkpoint ships.",
            keys=("dspark_target_layer_ids",),
        )
    target = read_deepseek_v4(config)
    hidden_size, vocab_size = target.hidden_size, target.vocab_size
    stages = config.integer("n_mtp_layers", default=0) or _DSPARK_STAGES
    block, moe = _mixture(config, hidden_size, len(target.layers))
    common = (
        norm("attn_norm", hidden_size),
        norm("ffn_norm", hidden_size),
        *hyper_connection("hc_attn", config, hidden_size),
        *hyper_connection("hc_ffn", config, hidden_size),
    )
    weights = (*_attention(config, hidden_size, 0), *block, *common)
    rank, width = config.integer("dspark_markov_rank"), config.integer("head_dim")
    drafted = config.integer("draft_vocab_size", default=vocab_size)
    heads = (
        *linear("main_proj", hidden_size, joined * hidden_size),
        norm("main_norm", hidden_size),
        *(
            replace(weight, in_checkpoint=False)
            for weight in linear("context_wkv_proj", stages * width, hidden_size)
        ),
        norm("norm", hidden_size),
        *hyper_head(config, hidden_size),
        Weight("markov_head.markov_w1", vocab_size, rank),
        Weight("markov_head.markov_w2", drafted, rank),
    )
    if config.flag("enable_confidence_head", default=True):
        heads += (Weight("confidence_head.proj", hidden_size + rank, dtype="float32"),)
    return replace(
        target,
        embeddings=(),
        layers=(Layer(_caches(config, 0), weights, moe),) * stages,
        head=heads,
        predictor_layers=(),
        ropes=(),
        encoders=(),
        drafts="dspark",
    )


READERS: Mapping[str, Reader] = {
    "deepseek_v4": read_deepseek_v4,
    "deepseek_ref": read_deepseek_v4,
}
