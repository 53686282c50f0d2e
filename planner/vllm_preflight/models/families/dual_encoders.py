"""CLIP and SigLIP as embedding models: a text tower and a vision tower side by side."""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Encoder,
    Layer,
    Role,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.vision import pooling_head, siglip_tower
from vllm_preflight.models.families.vision_clip import clip_tower
from vllm_preflight.models.parts.blocks import (
    AttentionShape,
    attention_weights,
    linear,
    mlp_weights,
    norm,
)
from vllm_preflight.models.parts.common import check_positive, head_dim, model_dtype
from vllm_preflight.models.parts.encoders import projection
from vllm_preflight.models.parts.reader import Reader

# Defaults of transformers' CLIPConfig and SiglipConfig.
_CLIP_TEXT = {
    "vocab_size": 49408,
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
}
_SIGLIP_TEXT = {
    "vocab_size": 32000,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 64,
}
_VISION = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
}


def read_clip(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """CLIP: a causal text tower with a KV cache, and projections of both towers."""
    width = config.integer("projection_dim", default=512)
    text = _section(config, "text_config", _CLIP_TEXT)
    view = _section(config, "vision_config", {**_VISION, "patch_size": 32})
    hidden_size = view.integer("hidden_size")
    tower = (
        *clip_tower(view),
        *projection("visual_projection", width, hidden_size, bias=False),
    )
    head = linear("text_projection", width, text.integer("hidden_size"))
    return _read(config, text, Encoder("vision", tower, hidden_size), head, outer, "decoder")


def read_siglip(config: ConfigView, outer: ConfigView | None = None) -> Architecture:
    """SigLIP: a bidirectional text tower with a head, and attention pooling of images."""
    text = _section(config, "text_config", _SIGLIP_TEXT)
    view = _section(config, "vision_config", {**_VISION, "patch_size": 16})
    hidden_size = view.integer("hidden_size")
    tower = (
        *siglip_tower(view),
        *pooling_head(hidden_size, view.integer("intermediate_size")),
    )
    width = text.integer("hidden_size")
    out = text.integer("projection_size", default=width)
    head = linear("text_model.head", out, width, bias=True)
    return _read(config, text, Encoder("vision", tower, hidden_size), head, outer, "encoder_only")


def _section(config: ConfigView, key: str, defaults: Mapping[str, int]) -> ConfigView:
    section = config.section(key) or ConfigView({}, where=f"{key}.")
    return section.with_defaults(defaults)


def _read(
    config: ConfigView,
    text: ConfigView,
    tower: Encoder,
    head: tuple[Weight, ...],
    outer: ConfigView | None,
    kind: str,
) -> Architecture:
    hidden_size, vocab_size = text.integer("hidden_size"), text.integer("vocab_size")
    num_heads = text.integer("num_attention_heads")
    check_positive(hidden_size, vocab_size, num_heads, num_heads)
    width = head_dim(text, hidden_size, num_heads)
    positions = text.integer("max_position_embeddings")
    inner = text.integer("intermediate_size")
    shape = AttentionShape(
        hidden_size, num_heads, num_heads, width, width, qkv_bias=True, output_bias=True
    )
    cache = AttentionCache(
        num_heads,
        width,
        width,
        num_heads,
        kind="decoder" if kind == "decoder" else "encoder_only",
    )
    layer = Layer(
        (cache,),
        (
            *attention_weights(shape),
            *mlp_weights(hidden_size, inner, gated=False, bias=True),
            norm("layer_norm1", hidden_size, bias=True),
            norm("layer_norm2", hidden_size, bias=True),
        ),
    )
    return Architecture(
        model_type=config.model_type,
        architecture=next(iter(config.architectures), ""),
        dtype=model_dtype(config, outer),
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        max_position=positions,
        num_attention_heads=num_heads,
        num_kv_heads=num_heads,
        embeddings=tuple(
            Weight(f"text_model.{name}", rows, hidden_size, Split.VOCAB, Role.EMBEDDING)
            for name, rows in (("token_embedding", vocab_size), ("position_embedding", positions))
        ),
        layers=(layer,) * text.integer("num_hidden_layers"),
        head=(norm("text_model.final_layer_norm", hidden_size, bias=True), *head),
        tied_embeddings=True,
        intermediate_size=inner,
        encoders=(tower,),
        task="embed",
    )


READERS: Mapping[str, Reader] = {"clip": read_clip, "siglip": read_siglip}
