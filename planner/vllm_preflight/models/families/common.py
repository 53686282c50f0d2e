"""What every family reads the same way: length, dtype, ropes, windows, assembly."""

from __future__ import annotations

from collections.abc import Sequence

from vllm_preflight.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, Encoder, Layer, Rope, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.families.blocks import embedding, lm_head, norm

# vLLM takes the smallest of the length keys it knows
# (0.33 config/model.py, _get_and_verify_max_len).
_LENGTH_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
# Rope types whose factor is already in max_position_embeddings, or must not be applied.
_UNSCALED_ROPES = frozenset(
    {"su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "default", ""}
)
_DTYPES = {"float16", "bfloat16", "float32"}


def model_dtype(config: ConfigView, outer: ConfigView | None = None) -> str:
    """The checkpoint's dtype, float32 when the config names none (transformers' default)."""
    for view in (config, outer):
        if view is None:
            continue
        name = view.text("torch_dtype", "dtype").removeprefix("torch.")
        if name in _DTYPES:
            return name
    return "float32"


def rope_parameters(config: ConfigView) -> ConfigView | None:
    """The rope section under its old or new name, if it is a single one."""
    section = config.section("rope_scaling", "rope_parameters")
    if section is not None and section.section("full_attention") is not None:
        return section.section("full_attention")
    return section


def max_position(config: ConfigView, outer: ConfigView | None = None) -> int:
    """The longest length vLLM derives from the config, in tokens.

    The smallest of the known length keys, times the rope factor where the rope type
    asks for it (vLLM 0.33 config/model.py, _get_and_verify_max_len). A config without
    any gets vLLM's fallback of 2048.
    """
    lengths = [config.integer(key) for key in _LENGTH_KEYS if config.get(key) is not None]
    length = min(lengths, default=0) or 2048
    rope = rope_parameters(config)
    if rope is None:
        return length
    rope_type = rope.text("rope_type", "type")
    model_type = (outer or config).model_type
    if rope_type == "longrope" or rope_type == "su":
        original = config.integer("original_max_position_embeddings", default=0)
        return original or length
    if rope_type in _UNSCALED_ROPES or "gemma3" in model_type:
        return length
    original = rope.integer("original_max_position_embeddings", default=length)
    factor = rope.number("factor", default=1.0)
    return int((original if rope_type == "yarn" else length) * factor)


def head_dim(config: ConfigView, hidden_size: int, num_heads: int) -> int:
    """Width of one attention head; hidden size over heads when the config is silent."""
    explicit = config.integer("head_dim", "kv_channels", "attention_head_dim", default=0)
    if explicit:
        return explicit
    if num_heads == 0 or hidden_size % num_heads:
        raise UnsupportedArchitecture(
            f"The config has {num_heads} attention heads for a hidden size of {hidden_size} "
            "and no head_dim.",
            "Give a complete config.json.",
            keys=("num_attention_heads", "hidden_size", "head_dim"),
        )
    return hidden_size // num_heads


def rotary_dim(config: ConfigView, width: int) -> int:
    """How many of a head's `width` dimensions are rotated (partial rotary factor)."""
    explicit = config.integer("rotary_dim", "rope_dim", default=0)
    if explicit:
        return explicit
    rope = rope_parameters(config)
    factor = config.number("partial_rotary_factor", "rotary_pct", "rope_pct", default=0.0)
    if not factor and rope is not None:
        factor = rope.number("partial_rotary_factor", default=0.0)
    return int(width * factor) if factor else width


def layer_kinds(config: ConfigView, num_layers: int) -> list[str]:
    """The `layer_types` of a config, cut or checked to the number of layers; [] if none."""
    kinds = [str(kind) for kind in config.items("layer_types")]
    if kinds and len(kinds) < num_layers:
        raise UnsupportedArchitecture(
            f"The config lists {len(kinds)} layer_types for {num_layers} layers.",
            "Correct the config.json.",
            keys=("layer_types", "num_hidden_layers"),
        )
    return kinds[:num_layers]


def num_hidden_layers(config: ConfigView) -> int:
    """The number of decoder layers, at least 1."""
    count = config.integer("num_hidden_layers", "num_layers", "n_layer", "n_layers")
    if not 1 <= count <= 4096:
        raise UnsupportedArchitecture(
            f"The config has {count} layers.",
            "A model needs between 1 and 4,096 layers; correct num_hidden_layers.",
            keys=("num_hidden_layers",),
        )
    return count


def assemble(
    config: ConfigView,
    layers: Sequence[Layer],
    *,
    tied: bool,
    num_heads: int,
    num_kv_heads: int,
    outer: ConfigView | None = None,
    ropes: Sequence[Rope] = (),
    encoders: Sequence[Encoder] = (),
    predictor_layers: Sequence[Layer] = (),
    extra_embeddings: Sequence[Weight] = (),
    extra_head: Sequence[Weight] = (),
    norm_bias: bool = False,
    final_norm: bool = True,
    lm_head_bias: bool = False,
    intermediate_size: int = 0,
    embedding_size: int = 0,
) -> Architecture:
    """An Architecture from its layers and what all decoders share.

    `outer` is the wrapper's config for multimodal models. `tied` is the family's
    default for `tie_word_embeddings`.
    """
    hidden_size = config.integer("hidden_size", "n_embd", "d_model", "dim")
    vocab_size = config.integer("padded_vocab_size", "vocab_size")
    tie = config.get("tie_word_embeddings")
    if tie is None and outer is not None:
        tie = outer.get("tie_word_embeddings")
    is_tied = tied if tie is None else bool(tie)
    width = embedding_size or hidden_size
    head: tuple[Weight, ...] = (norm("model.norm", hidden_size, bias=norm_bias),) * final_norm
    if not is_tied:
        head += lm_head(vocab_size, width, bias=lm_head_bias)
    top = outer or config
    return Architecture(
        model_type=top.model_type,
        architecture=next(iter(top.architectures or config.architectures), ""),
        dtype=model_dtype(config, outer),
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        max_position=max_position(config, outer),
        num_attention_heads=num_heads,
        num_kv_heads=num_kv_heads,
        embeddings=(embedding(vocab_size, width), *extra_embeddings),
        layers=tuple(layers),
        head=(*head, *extra_head),
        tied_embeddings=is_tied,
        intermediate_size=intermediate_size,
        predictor_layers=tuple(predictor_layers),
        encoders=tuple(encoders),
        ropes=tuple(ropes),
    )
