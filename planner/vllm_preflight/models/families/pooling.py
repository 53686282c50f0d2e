"""What classes for embedding, ranking and rewards put on top of a model, or leave out.

A class of vLLM's pooling registries that is not a plain bare decoder replaces the output
head with a head of its own (vLLM 0.33 models/qwen2_rm.py, internlm2.py, jina.py, jina_vl.py,
voyage.py, colbert.py, colpali.py, colmodernvbert.py, colqwen3.py, colqwen3_5.py, roberta.py,
gpt2.py, qwen3_asr_forced_aligner.py). Heads vLLM builds in the pooler's dtype are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from vllm_preflight.models.architecture import (
    Architecture,
    AttentionCache,
    Layer,
    Role,
    Split,
    Weight,
)
from vllm_preflight.models.config_view import ConfigView

# (config, hidden size) -> the weights on top
Builder = Callable[[ConfigView, int], tuple[Weight, ...]]
_FLOAT = "float32"


@dataclass(frozen=True)
class PoolingHead:
    """What a pooling class has in place of an output head.

    `keeps_lm_head`: whether vLLM builds the untied output head all the same.
    `bidirectional`: every token attends to every other one and nothing is cached.
    """

    build: Builder
    keeps_lm_head: bool = False
    bidirectional: bool = False


def num_labels(config: ConfigView) -> int:
    """Outputs of a classification head; 2 where the config names none (transformers)."""
    labels = config.section("id2label")
    return config.integer("num_labels", default=len(labels.raw) if labels is not None else 2)


def dense(name: str, rows: int, columns: int, *, bias: bool = True) -> tuple[Weight, ...]:
    """A whole linear layer in the pooler's dtype."""
    weight = Weight(name, rows, columns, dtype=_FLOAT)
    return (weight, Weight(f"{name}.bias", rows, dtype=_FLOAT)) if bias else (weight,)


def _nothing(config: ConfigView, width: int) -> tuple[Weight, ...]:
    del config, width
    return ()


def _score(config: ConfigView, width: int) -> tuple[Weight, ...]:
    return dense("score", num_labels(config), width, bias=False)


def _split_pair(rows: int) -> Builder:
    """Two linear layers, the first divided by its outputs and the second by its inputs."""

    def build(config: ConfigView, width: int) -> tuple[Weight, ...]:
        outputs = rows or num_labels(config)
        return (
            Weight("score.0", width, width, Split.COLUMN, dtype=_FLOAT),
            Weight("score.0.bias", width, split=Split.COLUMN, dtype=_FLOAT),
            Weight("score.2", outputs, width, Split.ROW, dtype=_FLOAT),
            Weight("score.2.bias", outputs, dtype=_FLOAT),
        )

    return build


def _value_head(config: ConfigView, width: int) -> tuple[Weight, ...]:
    del config
    return (Weight("v_head", 1, width, Split.ROW, dtype=_FLOAT),)


def _jina_ranking(config: ConfigView, width: int) -> tuple[Weight, ...]:
    inner = width // 2
    return (
        Weight("projector.0", inner, width),
        Weight("projector.2", config.integer("embedding_size", default=512), inner),
    )


def _voyage(config: ConfigView, width: int) -> tuple[Weight, ...]:
    return (Weight("linear", num_labels(config), width),)


def _colbert(*keys: str, default: int = 128, bias: bool = False) -> Builder:
    """One projection of every token, as wide as the first of `keys` says."""

    def build(config: ConfigView, width: int) -> tuple[Weight, ...]:
        rows = config.integer(*keys, default=default)
        return dense("colbert_linear", rows, width, bias=bias)

    return build


def _m3(config: ConfigView, width: int) -> tuple[Weight, ...]:
    del config
    return (*dense("sparse_linear", 1, width), *dense("colbert_linear", width, width))


def _aligner(config: ConfigView, width: int) -> tuple[Weight, ...]:
    thinker = config.section("thinker_config") or config
    return (Weight("classifier", thinker.integer("classify_num"), width),)


_LATE = ("colbert_dim", "dim", "projection_dim")
_QWEN_LATE = ("embed_dim", "dims", "dim", "projection_dim", "colbert_dim")

HEADS: Mapping[str, PoolingHead] = {
    # rewards
    "Qwen2ForRewardModel": PoolingHead(_split_pair(1)),
    "Qwen2ForProcessRewardModel": PoolingHead(_split_pair(2)),
    "InternLM2ForRewardModel": PoolingHead(_value_head),
    # ranking and classification
    "JinaForRanking": PoolingHead(_jina_ranking),
    "JinaVLForRanking": PoolingHead(_split_pair(1), keeps_lm_head=True),
    "GPT2ForSequenceClassification": PoolingHead(_score),
    "JambaForSequenceClassification": PoolingHead(_score, keeps_lm_head=True),
    "LlamaBidirectionalForSequenceClassification": PoolingHead(_score, bidirectional=True),
    "LlamaNemotronVLForSequenceClassification": PoolingHead(_score, bidirectional=True),
    "Qwen3ASRForcedAlignerForTokenClassification": PoolingHead(_aligner),
    "OpenAIPrivacyFilterForTokenClassification": PoolingHead(
        lambda config, width: dense("score", num_labels(config), width), bidirectional=True
    ),
    # embeddings
    "BgeM3EmbeddingModel": PoolingHead(_m3),
    "LlamaBidirectionalModel": PoolingHead(_nothing, bidirectional=True),
    "LlamaNemotronVLModel": PoolingHead(_nothing, bidirectional=True),
    "Lfm2BidirectionalModel": PoolingHead(_nothing, bidirectional=True),
    "VoyageQwen3BidirectionalEmbedModel": PoolingHead(_voyage, bidirectional=True),
    "JinaEmbeddingsV5Model": PoolingHead(_nothing),
    # late interaction
    "HF_ColBERT": PoolingHead(_colbert(*_LATE)),
    "ColBERTModernBertModel": PoolingHead(_colbert(*_LATE)),
    "ColBERTJinaRobertaModel": PoolingHead(_colbert(*_LATE)),
    "ColBERTLfm2Model": PoolingHead(_colbert(*_LATE)),
    "ColUltraVBertForRetrieval": PoolingHead(_nothing, bidirectional=True),
    "ModernVBertModel": PoolingHead(_colbert("embedding_dim", *_LATE, bias=True)),
    "ColModernVBertForRetrieval": PoolingHead(_colbert("embedding_dim", *_LATE, bias=True)),
    "ColPaliForRetrieval": PoolingHead(_colbert("embedding_dim", *_LATE)),
    "ColQwen3": PoolingHead(_colbert(*_QWEN_LATE), keeps_lm_head=True),
    "OpsColQwen3Model": PoolingHead(_colbert(*_QWEN_LATE), keeps_lm_head=True),
    "Qwen3VLNemotronEmbedModel": PoolingHead(_nothing, keeps_lm_head=True),
    "ColQwen3_5": PoolingHead(_colbert(*_QWEN_LATE, bias=True), keeps_lm_head=True),
}


def with_pooling_head(config: ConfigView, architecture: Architecture) -> Architecture:
    """The model with its class's pooling head; unchanged for classes without one."""
    head = HEADS.get(architecture.architecture)
    if head is None:
        return architecture
    kept = tuple(
        replace(weight, in_checkpoint=False) if weight.role is Role.LM_HEAD else weight
        for weight in architecture.head
        if weight.role is not Role.LM_HEAD or head.keeps_lm_head
    )
    layers = architecture.layers
    if head.bidirectional:
        built = {layer: _bidirectional(layer) for layer in architecture.layer_counts}
        layers = tuple(built[layer] for layer in layers)
    return replace(
        architecture,
        head=(*kept, *head.build(config, architecture.hidden_size)),
        layers=layers,
        task="embed",
    )


def _bidirectional(layer: Layer) -> Layer:
    caches = tuple(
        replace(cache, kind="encoder_only", window=None)
        if isinstance(cache, AttentionCache)
        else cache
        for cache in layer.caches
    )
    return replace(layer, caches=caches)
