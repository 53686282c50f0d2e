"""Molmo, Molmo 2 and Moondream 3: their text models and their vision towers.

Source: vLLM 0.33 models/molmo.py, molmo2.py and moondream3.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Encoder,
    Layer,
    MixtureOfExperts,
    Rope,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    expert_weights,
    mlp_weights,
    norm,
    router_weights,
)
from vllm_preflight.models.parts.common import assemble, max_position, num_hidden_layers
from vllm_preflight.models.parts.encoders import (
    TowerShape,
    patches,
    projection,
    split_pair,
    tower_layers,
)
from vllm_preflight.models.parts.reader import Reader

_CLIP = (1024, 23, 4096)  # Molmo's ViT-L/14 at 336 pixels less its last layer


def molmo2_vision(config: ConfigView, text_hidden: int) -> Encoder:
    """Molmo 2: a ViT to the deepest layer used, attention pooling, a gated projector."""
    adapter = (config.section("adapter_config") or ConfigView({})).with_defaults(
        {"hidden_size": 1152, "intermediate_size": 18944}
    )
    config = config.with_defaults(
        {
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "patch_size": 14,
            "num_position_embeddings": 729,
        }
    )
    width, depth = config.integer("hidden_size"), config.integer("num_hidden_layers")
    patch = config.integer("patch_size", "image_patch_size")
    chosen = [
        layer if layer >= 0 else layer + depth
        for layer in adapter.items("vit_layers", "vision_feature_layer") or [-3, -9]
        if isinstance(layer, int)
    ]
    used = min(depth, max(chosen, default=depth - 1) + 1)
    pooled = width * max(1, len(chosen))
    shape = TowerShape(width, used, config.integer("intermediate_size"))
    positions = config.integer("image_num_pos", "num_position_embeddings")
    weights = (
        *patches("image_vit.patch_embedding", width, 3 * patch * patch),
        Weight("image_vit.positional_embedding", positions, width),
        *tower_layers(shape, "image_vit.transformer"),
        *_pooling(pooled, adapter.integer("hidden_size"), bias=True),
        *_projector(
            adapter.integer("hidden_size"), adapter.integer("intermediate_size"), text_hidden
        ),
    )
    return Encoder("vision", weights, width)


def _pooling(columns: int, width: int, *, bias: bool) -> tuple[Weight, ...]:
    return tuple(
        weight
        for name in ("wq", "wk", "wv")
        for weight in projection(
            f"image_pooling_2d.{name}", width, columns, bias=bias, split=Split.COLUMN
        )
    ) + projection("image_pooling_2d.wo", width, width, bias=bias, split=Split.ROW)


def _projector(columns: int, inner: int, text_hidden: int) -> tuple[Weight, ...]:
    return (
        *projection("image_projector.gate_up", 2 * inner, columns, bias=False, split=Split.COLUMN),
        *projection("image_projector.down", text_hidden, inner, bias=False, split=Split.ROW),
    )


def read_molmo(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Molmo: a decoder whose config states gate and up together, and CLIP with pooling."""
    hidden_size, num_heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    kv_heads = config.integer("num_key_value_heads", default=num_heads)
    inner = config.integer("intermediate_size") // 2
    width = hidden_size // max(1, num_heads)
    shape = AttentionShape(
        hidden_size,
        num_heads,
        kv_heads,
        width,
        width,
        qkv_bias=config.flag("qkv_bias"),
        qk_norm="projection" if config.flag("attention_layer_norm") else "none",
        qk_norm_split=True,
    )
    layer = Layer(
        (AttentionCache(kv_heads, width, width, num_heads),),
        (
            *attention_weights(shape),
            *mlp_weights(hidden_size, inner),
            norm("input_layernorm", hidden_size),
            norm("post_attention_layernorm", hidden_size),
        ),
    )
    clip, depth, wide = _CLIP
    tower = (
        Weight("image_vit.class_embedding", clip),
        Weight("image_vit.positional_embedding", 577, clip),
        *patches("image_vit.patch_embedding", clip, 3 * 14 * 14, bias=False),
        norm("image_vit.pre_ln", clip, bias=True),
        *tower_layers(TowerShape(clip, depth, wide), "image_vit.transformer"),
        *_pooling(2 * clip, clip, bias=True),
        *_projector(clip, inner, hidden_size),
        Weight("pad_embed", 2, 2 * clip),
    )
    vocabulary = config.integer("embedding_size", "vocab_size")
    flat = config.with_raw(vocab_size=vocabulary, tie_word_embeddings=config.flag("weight_tying"))
    return assemble(
        flat,
        (layer,) * num_hidden_layers(config),
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=(Rope(max_position(config), width),),
        encoders=(Encoder("vision", tower, clip),),
        extra_embeddings=(Weight("model.embed_tokens.new_embedding", 128, hidden_size),),
        intermediate_size=inner,
    )


_MOONDREAM_TEXT = {
    "dim": 2048,
    "ff_dim": 8192,
    "n_layers": 24,
    "vocab_size": 51200,
    "max_context": 4096,
    "n_heads": 32,
    "n_kv_heads": 32,
}
_MOONDREAM_VISION = {
    "enc_dim": 1152,
    "enc_patch_size": 14,
    "enc_n_layers": 27,
    "enc_ff_dim": 4304,
    "proj_inner_dim": 8192,
    "crop_size": 378,
}


def read_moondream3(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """Moondream 3: biased attention with learned temperatures, experts after a few layers."""
    inner_config = config.section("config") or config
    text = (inner_config.section("text_config", "text") or ConfigView({})).with_defaults(
        _MOONDREAM_TEXT
    )
    experts = (text.section("moe") or ConfigView({})).with_defaults(
        {"start_layer": 4, "n_experts": 64, "n_experts_per_tok": 8, "expert_inner_dim": 1024}
    )
    hidden_size, num_heads = text.integer("dim"), text.integer("n_heads")
    kv_heads = text.integer("n_kv_heads")
    width = hidden_size // max(1, num_heads)
    shape = AttentionShape(
        hidden_size, num_heads, kv_heads, width, width, qkv_bias=True, output_bias=True
    )
    attention = (
        *attention_weights(shape),
        Weight("attn.tau_alpha", num_heads, split=Split.COLUMN),
        *(
            Weight(f"attn.{name}", num_heads, (num_heads + 2 * kv_heads) * width, Split.COLUMN)
            for name in ("tau_wq", "tau_wv")
        ),
        norm("ln", hidden_size, bias=True),
    )
    cache = AttentionCache(kv_heads, width, width, num_heads)
    dense = Layer(
        (cache,),
        (*attention, *mlp_weights(hidden_size, text.integer("ff_dim"), gated=False, bias=True)),
    )
    count, narrow = experts.integer("n_experts"), experts.integer("expert_inner_dim")
    moe = MixtureOfExperts(count, experts.integer("n_experts_per_tok"), narrow)
    routed = Layer(
        (cache,),
        (
            *attention,
            *router_weights(hidden_size, count, bias=True),
            *expert_weights(hidden_size, narrow, count),
        ),
        moe,
    )
    first = experts.integer("start_layer")
    num_layers = num_hidden_layers(text, "n_layers")
    flat = ConfigView(
        {
            **config.raw,
            "hidden_size": hidden_size,
            "vocab_size": text.integer("vocab_size"),
            "max_position_embeddings": text.integer("max_context"),
            "tie_word_embeddings": False,
        }
    )
    return assemble(
        flat,
        (dense,) * min(first, num_layers) + (routed,) * max(0, num_layers - first),
        tied=False,
        num_heads=num_heads,
        num_kv_heads=kv_heads,
        outer=outer,
        ropes=(Rope(text.integer("max_context"), 32),),
        encoders=(_moondream_vision(inner_config, hidden_size),),
        norm_bias=True,
        lm_head_bias=True,
        intermediate_size=text.integer("ff_dim"),
    )


def _moondream_vision(config: ConfigView, text_hidden: int) -> Encoder:
    view = (config.section("vision_config", "vision") or ConfigView({})).with_defaults(
        _MOONDREAM_VISION
    )
    width, patch = view.integer("enc_dim"), view.integer("enc_patch_size")
    grid = (view.integer("crop_size") // max(1, patch)) ** 2
    shape = TowerShape(width, view.integer("enc_n_layers"), view.integer("enc_ff_dim"))
    weights = (
        *patches("vision.patch_emb", width, 3 * patch * patch),
        Weight("vision.pos_emb", grid, width),
        *tower_layers(shape, "vision.blocks"),
        norm("vision.post_ln", width, bias=True),
        *split_pair("vision_proj.fc", view.integer("proj_inner_dim"), text_hidden, 2 * width),
    )
    return Encoder("vision", weights, width)


READERS: Mapping[str, Reader] = {"molmo": read_molmo, "moondream3": read_moondream3}
