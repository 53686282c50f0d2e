"""Weights of a drafter that a checkpoint brings along.

Multi-token prediction loads the checkpoint's prediction layers. DSpark loads three of them
(`n_mtp_layers` where the config names it), a projection of the target's hidden states and a
low-rank transition between drafted tokens, whole on every rank (vLLM 0.27
models/deepseek_v4/nvidia/dspark.py, models/qwen3_dspark.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from vllm_preflight.memory.weights.tensors import Tensor
from vllm_preflight.models.architecture import Layer
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.model import Model

_DSPARK = "dspark"
_DSPARK_LAYERS = 3
_PART = "prediction layers"


def drafting_layers(model: Model, method: str) -> tuple[Layer, ...]:
    """The prediction layers that a drafting method loads."""
    own = model.architecture.predictor_layers
    if method != _DSPARK or not own:
        return own
    count = ConfigView(model.config).integer("n_mtp_layers", default=_DSPARK_LAYERS)
    return own[:1] * count


def drafter_tensors(model: Model, method: str, dtype_bytes: int) -> Iterator[Tensor]:
    """What a DSpark drafter has beside its layers."""
    config = ConfigView(model.config)
    rank = config.integer("dspark_markov_rank", default=0)
    if method != _DSPARK or not rank:
        return
    architecture = model.architecture
    hidden = architecture.hidden_size
    targets = len(config.items("dspark_target_layer_ids"))
    yield Tensor(_PART, targets * hidden * hidden * dtype_bytes)
    yield Tensor(_PART, architecture.vocab_size * rank * dtype_bytes, 2)
