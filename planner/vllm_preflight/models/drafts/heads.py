"""Heads that draft from the target's hidden states: EAGLE, EAGLE-3, DFlash, DSpark, Medusa.

A head is one or a few decoder layers of a known family with a projection of the target's
hidden states in front. It is read as that family's decoder and then changed in what the
head's class does otherwise. Source: vLLM 0.33 model_executor/models/llama_eagle.py,
llama_eagle3.py, qwen3_eagle3.py, deepseek_eagle3.py, qwen3_dflash.py, qwen3_dspark.py;
medusa.py of vLLM 0.32.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    Role,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.drafts.formats import HeadMethod, plain_config
from vllm_preflight.models.families.multimodal import TEXT_READERS
from vllm_preflight.models.parts.blocks import linear, lm_head, norm

# Families whose decoder layers vLLM's classes of heads repeat, by method.
_EAGLE = ("llama",)
_LATENT = ("deepseek_v2", "deepseek_v3", "kimi_k2")
_EAGLE3 = ("llama", "qwen3", *_LATENT)
_DFLASH = ("qwen3",)
_DSPARK = ("qwen3",)
# Projections that read the token's embedding beside the hidden state in an EAGLE-3 layer.
_DOUBLED = ("q_proj", "k_proj", "v_proj", "q_a_proj", "kv_a_proj_with_mqa")
# Hidden states of the target an EAGLE-3 head joins unless its config names others.
_FUSED_STATES = 3


def read_head(config: Mapping[str, Any], method: HeadMethod) -> Architecture:
    """The architecture of a head, with the embedding its class has when it shares none.

    Raises:
        UnsupportedArchitecture: the head's class or layers are not understood.
    """
    view = ConfigView(plain_config(config))
    match method:
        case "medusa":
            found = _medusa(view)
        case "eagle":
            found = _eagle(view)
        case "eagle3":
            found = _eagle3(view)
        case "dflash":
            found = _dflash(view, _decoder(view, _DFLASH, method))
        case "dspark":
            found = _dspark(view)
        case "mlp_speculator":
            raise _not_modelled(view, method)
    return replace(found, drafts=method)


def _decoder(view: ConfigView, types: tuple[str, ...], method: str) -> Architecture:
    """The head's layers as those of a decoder of its family."""
    model_type = _decoder_type(view)
    if model_type not in types:
        raise _not_modelled(view, method)
    plain = view.with_raw(
        model_type=model_type, num_nextn_predict_layers=None, use_sliding_window=None
    )
    if model_type in _LATENT:
        # Their heads have a dense block whatever the target has.
        plain = plain.with_raw(n_routed_experts=0)
    return TEXT_READERS[model_type](plain, None)


def _decoder_type(view: ConfigView) -> str:
    named = {"LlamaForCausalLMEagle3": "llama", "LlamaForCausalLM": "llama"}
    return view.model_type or next((named.get(name, "") for name in view.architectures), "")


def _not_modelled(view: ConfigView, method: str) -> UnsupportedArchitecture:
    classes = ", ".join(view.architectures) or "no architectures"
    return UnsupportedArchitecture(
        f"{method} heads of the model type {view.model_type!r} ({classes}) are not modelled.",
        "Their weights and their share of the KV cache are not known.",
        keys=("model_type", "architectures"),
    )


def _eagle(view: ConfigView) -> Architecture:
    """EAGLE: decoder layers behind a projection of embedding and hidden state; no own head.

    The first layer has no norm in front, and none closes the head.
    """
    base = _decoder(view, _EAGLE, "eagle")
    first = base.layers[0]
    dropped = next(weight for weight in first.weights if weight.name.startswith("norm_"))
    weights = tuple(weight for weight in first.weights if weight is not dropped)
    hidden = base.hidden_size
    return replace(
        base,
        layers=(Layer(first.caches, weights, first.moe), *base.layers[1:]),
        head=linear("fc", hidden, 2 * hidden),
        tied_embeddings=False,
    )


def _eagle3(view: ConfigView) -> Architecture:
    """EAGLE-3: the first layer reads embedding and hidden state side by side; own head."""
    base = _decoder(view, _EAGLE3, "eagle3")
    hidden = base.hidden_size
    settings = view.section("eagle_config") or ConfigView({})
    states = (
        _fused_states(view, settings) if settings.flag("use_aux_hidden_state", default=True) else 0
    )
    target = view.integer("target_hidden_size", default=hidden)
    layers = tuple(
        replace(
            layer,
            weights=(
                *(_widened(layer.weights) if index == 0 else layer.weights),
                norm("hidden_norm", hidden),
            ),
        )
        for index, layer in enumerate(base.layers)
    )
    extra: tuple[Weight, ...] = ()
    if states:
        extra = linear("fc", hidden, states * target)
        if settings.flag("norm_before_fc", default=view.flag("norm_before_fc")):
            extra += (norm("input_norm", states * target),)
        if view.flag("fc_norm"):
            extra += (Weight("fc_norm", target, copies=states),)
    return replace(
        base,
        layers=layers,
        head=(norm("norm", hidden), *_own_head(view, base, always=True), *extra),
        tied_embeddings=False,
    )


def _fused_states(view: ConfigView, settings: ConfigView) -> int:
    named = view.integer("num_aux_hidden_states", default=0)
    chosen = settings.items("eagle_aux_hidden_state_layer_ids")
    return named or len(chosen) or _FUSED_STATES


def _widened(weights: tuple[Weight, ...]) -> tuple[Weight, ...]:
    return tuple(
        replace(weight, columns=2 * weight.columns)
        if weight.name.rpartition(".")[2] in _DOUBLED
        else weight
        for weight in weights
    )


def _own_head(view: ConfigView, base: Architecture, *, always: bool) -> tuple[Weight, ...]:
    """The output head over the draft's vocabulary and the map from its tokens to the target's.

    Where it is not `always` there, a head over the whole vocabulary is the target's own.
    """
    size = view.integer("draft_vocab_size", default=base.vocab_size) or base.vocab_size
    pruned = size != base.vocab_size
    if not pruned and not always:
        return ()
    head = lm_head(size, base.hidden_size)
    return (*head, Weight("draft_id_to_target_id", size, dtype="int64")) if pruned else head


def _dflash(view: ConfigView, base: Architecture) -> Architecture:
    """DFlash: layers that attend to projections of the target's hidden states."""
    hidden = base.hidden_size
    settings = view.section("dflash_config") or ConfigView({})
    target = view.integer("target_hidden_size", default=hidden)
    states = _dflash_states(view, settings) or len(base.layers)
    weights = (
        *linear("fc", hidden, states * target),
        norm("hidden_norm", hidden),
        norm("norm", hidden),
        norm("mask_embedding", hidden),
        *_context_projection(base),
    )
    return replace(
        base,
        layers=tuple(_dflash_layers(view, settings, base)),
        head=(*_own_head(view, base, always=False), *weights),
        tied_embeddings=False,
    )


def _dflash_states(view: ConfigView, settings: ConfigView) -> int:
    for keys in (
        view.items("eagle_aux_hidden_state_layer_ids", "aux_hidden_state_layer_ids"),
        settings.items("target_layer_ids"),
        view.items("dspark_target_layer_ids", "target_layer_ids"),
        settings.items("layer_ids"),
    ):
        if keys:
            return len(keys)
    return 0


def _dflash_layers(view: ConfigView, settings: ConfigView, base: Architecture) -> Iterator[Layer]:
    """The layers with the window that a DFlash config gives each of them."""
    kinds = [str(kind) for kind in view.items("layer_types")]
    forced = settings.flag("use_swa")
    sliding = any(kind == "sliding_attention" for kind in kinds)
    window = settings.integer("swa_window_size", default=view.integer("sliding_window", default=0))
    for index, layer in enumerate(base.layers):
        slides = kinds[index] == "sliding_attention" if sliding else forced
        if slides and not window:
            raise UnsupportedArchitecture(
                "The DFlash config asks for sliding attention and gives no window.",
                "Give a complete config.json.",
                keys=("dflash_config.swa_window_size", "sliding_window"),
            )
        caches = tuple(
            replace(cache, window=window if slides else None)
            for cache in layer.caches
            if isinstance(cache, AttentionCache)
        )
        yield replace(layer, caches=caches)


def _context_projection(base: Architecture) -> tuple[Weight, ...]:
    """A copy of all layers' key and value projections, for the context in one product."""
    return tuple(
        Weight(
            "context_kv_proj",
            weight.rows,
            weight.columns,
            Split.KV_HEADS,
            copies=len(base.layers),
            units=weight.units,
            fused="context_kv_proj",
            in_checkpoint=False,
        )
        for weight in base.layers[0].weights
        if weight.name in {"self_attn.k_proj", "self_attn.v_proj"}
    )


def _dspark(view: ConfigView) -> Architecture:
    """DSpark on Qwen3 layers: a DFlash head with a Markov head and a confidence head."""
    base = _dflash(view, _decoder(view, _DSPARK, "dspark"))
    size = view.integer("draft_vocab_size", default=base.vocab_size) or base.vocab_size
    rank = view.integer("markov_rank")
    weights = (
        Weight("markov_head.markov_w1", base.vocab_size, rank),
        Weight("markov_head.markov_w2", size, rank),
    )
    if view.flag("enable_confidence_head"):
        width = base.hidden_size + (rank if view.flag("confidence_head_with_markov") else 0)
        weights += (Weight("confidence_head.proj", width + 1, dtype="float32"),)
    return replace(base, head=(*base.head, *weights))


def _medusa(view: ConfigView) -> Architecture:
    """Medusa: a residual block and an output head for each token, and no KV cache."""
    hidden, vocab_size = view.integer("hidden_size"), view.integer("vocab_size")
    heads = view.integer("num_heads", "medusa_num_heads", default=5)
    blocks = view.integer("num_hidden_layers", "medusa_num_layers", default=1)
    size = view.integer("truncated_vocab_size", default=vocab_size)
    shared = view.flag("original_lm_head")
    weights = (
        Weight("medusa.blocks", hidden, hidden, copies=heads * blocks),
        Weight(
            "lm_head",
            size,
            hidden,
            Split.VOCAB,
            Role.LM_HEAD,
            copies=1 if shared else heads,
        ),
    )
    return Architecture(
        model_type="medusa",
        architecture="MedusaModel",
        dtype="float16",
        hidden_size=hidden,
        vocab_size=vocab_size,
        max_position=2**20,
        num_attention_heads=0,
        num_kv_heads=0,
        embeddings=(),
        layers=(),
        head=weights,
        tied_embeddings=False,
    )
