"""What every family reads the same way: length, dtype, ropes, windows, assembly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import Architecture, Encoder, Layer, Role, Rope, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import embedding, lm_head, norm

# vLLM takes the smallest of the length keys it knows
# (0.33 config/model.py, _get_and_verify_max_len).
LENGTH_KEYS = (
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
    {"llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling", "default", "mrope", ""}
)
_LONG_ROPES = frozenset({"longrope", "su"})
# From this many positions on, tables of multimodal ropes are as long as the text's: seen in
# vLLM 0.33 for Qwen3-VL and Qwen3.5, while those up to 131,072 are fourfold. Up to 0.31 all
# were (layers/rotary_embedding/mrope.py).
_LONG_MROPE = 262_144
_FLOAT_ROPES = frozenset({"gpt_oss", "beam", "openai_privacy_filter", "domyn_edge"})
# Families whose ropes are multimodal although a shortened config may not say so.
_MULTIMODAL_ROPES = ("qwen3_vl", "qwen3_5")
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


def rope_sections(config: ConfigView) -> list[ConfigView]:
    """The rope sections of a config under their old or new name, one per kind of layer."""
    section = config.section("rope_scaling", "rope_parameters")
    if section is None:
        return []
    kinds = ("full_attention", "sliding_attention")
    nested = [found for kind in kinds if (found := section.section(kind)) is not None]
    return nested or [section]


def max_position(config: ConfigView, outer: ConfigView | None = None) -> int:
    """The longest length vLLM derives from the config, in tokens.

    The smallest of the known length keys, times the rope factor where the rope type
    asks for it (vLLM 0.33 config/model.py, _get_and_verify_max_len). A config without
    any gets vLLM's fallback of 2048.
    """
    length = _stated_length(config)
    for rope in rope_sections(config)[:1]:
        kind = rope.text("rope_type", "type")
        if kind in _LONG_ROPES:
            return length
        if kind not in _UNSCALED_ROPES and "gemma3" not in (outer or config).model_type:
            return int(length * _factor(rope))
    return length


def yarn_length(config: ConfigView, outer: ConfigView | None = None) -> int | None:
    """The length that a YaRN rope scales to, None without one: original length × factor.

    Up to 0.29 vLLM takes it for the model's own (config/model.py, _get_and_verify_max_len).
    """
    if "gemma3" in (outer or config).model_type:
        return None
    lengths = (
        int(original * _factor(rope))
        for rope in rope_sections(config)
        if rope.text("rope_type", "type") == "yarn"
        and (original := rope.integer("original_max_position_embeddings", default=0))
    )
    return next(lengths, None)


def unasked_length(config: ConfigView) -> int | None:
    """The length vLLM takes when none is asked for, where it is not the longest.

    LongRoPE models get the length they were first trained at (vLLM 0.33 config/model.py,
    _get_and_verify_max_len).
    """
    for rope in rope_sections(config)[:1]:
        if rope.text("rope_type", "type") in _LONG_ROPES:
            return _original_length(config, rope) or None
    return None


def _stated_length(config: ConfigView) -> int:
    lengths = [config.integer(key) for key in LENGTH_KEYS if config.get(key) is not None]
    return min(lengths, default=0) or 2048


def _original_length(config: ConfigView, rope: ConfigView) -> int:
    key = "original_max_position_embeddings"
    return config.integer(key, default=0) or rope.integer(key, default=0)


def _factor(rope: ConfigView) -> float:
    factor = rope.number("factor", default=1.0)
    return factor if 0 < factor < 2**20 else 1.0


def rope_tables(config: ConfigView, dims: Sequence[int]) -> tuple[Rope, ...]:
    """The rotary tables vLLM keeps on the GPU, one per distinct rope.

    A table holds the stated positions, times the factor for linear scaling; YaRN's
    holds its original length times its factor, LongRoPE joins a short and a long one,
    and multimodal rotary tables (mrope) reserve four times the positions (vLLM 0.33
    layers/rotary_embedding). `dims` are the rotated dimensions, one entry per rope.
    """
    sections = rope_sections(config)
    tables: list[Rope] = []
    # gpt-oss and its kin ask for their table in float32 (vLLM models/gpt_oss.py).
    dtype = "float32" if config.model_type in _FLOAT_ROPES else None
    for place, dim in enumerate(dims):
        # A second rope without a section of its own is the plain one of local layers.
        rope = sections[place] if place < len(sections) else None
        sectioned = rope is not None and rope.get("mrope_section") is not None
        multimodal = sectioned or config.model_type.startswith(_MULTIMODAL_ROPES)
        once = multimodal and _stated_length(config) >= _LONG_MROPE
        tables += [
            Rope(positions, dim, dtype, once_fourfold=once)
            for positions in _table_lengths(config, rope)
        ]
    return tuple(tables)


def _table_lengths(config: ConfigView, rope: ConfigView | None) -> tuple[int, ...]:
    length = _stated_length(config)
    if rope is None:
        return (length,)
    kind = rope.text("rope_type", "type")
    if kind in _LONG_ROPES:
        return ((_original_length(config, rope) or length) + length,)
    if kind == "yarn" and _original_length(config, rope):
        return (int(_original_length(config, rope) * _factor(rope)),)
    if rope.get("mrope_section") is not None and length < _LONG_MROPE:
        return (4 * length,)
    if kind == "linear":
        return (int(length * _factor(rope)),)
    return (length,)


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


def rope_dims(config: ConfigView, width: int) -> tuple[int, ...]:
    """How many of a head's `width` dimensions are rotated, one entry per distinct rope.

    Models with sliding layers of another base frequency keep a second rope.
    """
    sections = rope_sections(config)
    two = len(sections) > 1 or config.get("rope_local_base_freq") is not None
    dims = tuple(rotary_dim(config, width, section) for section in sections or [None])
    return (*dims, dims[0]) if two and len(dims) == 1 else dims


def rotary_dim(config: ConfigView, width: int, rope: ConfigView | None = None) -> int:
    """How many of a head's `width` dimensions one rope rotates (partial rotary factor)."""
    explicit = config.integer("rotary_dim", "rope_dim", default=0)
    if explicit:
        return explicit
    factor = rope.number("partial_rotary_factor", default=0.0) if rope else 0.0
    factor = factor or config.number("partial_rotary_factor", "rotary_pct", "rope_pct", default=0.0)
    return int(width * factor) if 0 < factor <= 1 else width


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


def num_hidden_layers(config: ConfigView, *keys: str) -> int:
    """The number of decoder layers, at least 1; `keys` where a family has its own name."""
    keys = keys or ("num_hidden_layers", "num_layers", "n_layer", "n_layers")
    count = config.integer(*keys)
    if not 1 <= count <= 4096:
        raise UnsupportedArchitecture(
            f"The config has {count} layers.",
            f"A model needs between 1 and 4,096 layers; correct {keys[0]}.",
            keys=keys[:1],
        )
    return count


def check_positive(hidden_size: int, vocab_size: int, num_heads: int, num_kv_heads: int) -> None:
    """Refuse a shape with a zero in it.

    Raises:
        UnsupportedArchitecture: one of the numbers is below 1.
    """
    shape = {
        "hidden_size": hidden_size,
        "vocab_size": vocab_size,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads,
    }
    for key, value in shape.items():
        if value < 1:
            raise UnsupportedArchitecture(
                f"The config's {key} is {value}.",
                "Give a complete config.json; the number must be at least 1.",
                keys=(key,),
            )


def is_pooling(architecture: str) -> bool:
    """Whether a model class gives embeddings or scores instead of text.

    `…Model` is the bare decoder, except for the classes that end so and do have an
    output head (`…LMHeadModel`, `ChatGLMModel`).
    """
    if re.search("Classification|RewardModel|ForRanking|ForRetrieval", architecture):
        return True
    generates = architecture.endswith("LMHeadModel") or architecture == "ChatGLMModel"
    return architecture.endswith("Model") and not generates


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
    unloaded: Sequence[Weight] = (),
    batch_buffer_width: int = 0,
) -> Architecture:
    """An Architecture from its layers and what all decoders share.

    `outer` is the wrapper's config for multimodal models. `tied` is the family's
    default for `tie_word_embeddings`.
    """
    hidden_size = config.integer("hidden_size", "n_embd", "n_embed", "d_model", "dim")
    vocab_size = config.integer("padded_vocab_size", "vocab_size")
    tie = config.get("tie_word_embeddings")
    if tie is None and outer is not None:
        tie = outer.get("tie_word_embeddings")
    is_tied = tied if tie is None else bool(tie)
    width = embedding_size or hidden_size
    check_positive(hidden_size, vocab_size, num_heads, num_kv_heads)
    head: tuple[Weight, ...] = (norm("model.norm", hidden_size, bias=norm_bias),) * final_norm
    if not is_tied:
        head += lm_head(vocab_size, width, bias=lm_head_bias)
    top = outer or config
    architecture = next(iter(top.architectures or config.architectures), "")
    pooling = is_pooling(architecture)
    if pooling:
        # vLLM builds the output head of a bare decoder although nothing fills it.
        head = tuple(
            replace(weight, in_checkpoint=False) if weight.role is Role.LM_HEAD else weight
            for weight in head
        )
    return Architecture(
        model_type=top.model_type,
        architecture=architecture,
        dtype=model_dtype(config, outer),
        hidden_size=hidden_size,
        vocab_size=vocab_size,
        max_position=max_position(config, outer),
        unasked_length=unasked_length(config),
        yarn_length=yarn_length(config, outer),
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
        unloaded=tuple(unloaded),
        batch_buffer_width=batch_buffer_width,
        task="embed" if pooling or config.get("is_causal") is False else "generate",
    )
