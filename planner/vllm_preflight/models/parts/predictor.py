"""Multi-token-prediction layers: stored in the checkpoint, loaded only when speculating."""

from __future__ import annotations

from collections.abc import Sequence

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.architecture import AttentionCache, Layer, Role, Split, Weight
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.parts.blocks import linear, norm
from vllm_preflight.models.parts.decoder_traits import DecoderTraits

# Released models have up to seven.
_MOST_PREDICTORS = 64


def predictor_layer(last: Layer, hidden_size: int, vocab_size: int = 0) -> Layer:
    """A prediction layer that repeats the decoder's `last` layer.

    It merges the token's embedding with the hidden state (`eh_proj` and three norms).
    With `vocab_size`, the checkpoint may also store copies of the embedding and the
    output head in it (DeepSeek V3, GLM-4.5), told apart by their roles.
    """
    weights = (
        *last.weights,
        *linear("eh_proj", hidden_size, 2 * hidden_size),
        norm("enorm", hidden_size),
        norm("hnorm", hidden_size),
        norm("shared_head.norm", hidden_size),
    )
    if vocab_size:
        weights += (
            Weight("embed_tokens", vocab_size, hidden_size, Split.VOCAB, Role.EMBEDDING),
            Weight("shared_head.head", vocab_size, hidden_size, Split.VOCAB, Role.LM_HEAD),
        )
    return Layer(last.caches, weights, last.moe)


def predictor_count(config: ConfigView, *keys: str) -> int:
    """How many prediction layers a config names under `keys`; none where it is silent."""
    count = config.integer(*keys, default=0)
    if count > _MOST_PREDICTORS:
        raise UnsupportedArchitecture(
            f"The config has {count} multi-token-prediction layers.",
            f"Correct {keys[0]}; models have at most {_MOST_PREDICTORS}.",
            keys=keys,
        )
    return count


def predictor_layers(
    config: ConfigView, traits: DecoderTraits, layers: Sequence[Layer]
) -> tuple[Layer, ...]:
    """The prediction layers behind a decoder's own `layers`, as its config counts them."""
    count = predictor_count(config, "num_nextn_predict_layers", "num_mtp_layers")
    if traits.predictor == "none" or not count:
        return ()
    hidden_size, vocab_size = config.integer("hidden_size"), config.integer("vocab_size")
    if traits.predictor == "step":
        return (_step_layer(layers, hidden_size, vocab_size),) * count
    copies = vocab_size if traits.predictor == "glm" else 0
    return (predictor_layer(layers[-1], hidden_size, copies),) * count


def _step_layer(layers: Sequence[Layer], hidden_size: int, vocab_size: int) -> Layer:
    """Step 3.5 and 3.7 predict with a sliding, dense layer that has a head of its own."""
    dense = layers[0]
    sliding = next((layer for layer in layers if _slides(layer)), dense)
    weights = (
        *(weight for weight in sliding.weights if weight.name.startswith("self_attn.")),
        *(weight for weight in dense.weights if not weight.name.startswith("self_attn.")),
        Weight("shared_head.head", vocab_size, hidden_size, Split.VOCAB, Role.LM_HEAD),
    )
    return predictor_layer(Layer(sliding.caches, weights), hidden_size)


def _slides(layer: Layer) -> bool:
    return any(isinstance(cache, AttentionCache) and cache.window for cache in layer.caches)
