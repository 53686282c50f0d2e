"""Which layers, and which tensors outside the layers, each pipeline stage holds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vllm_preflight.models.architecture import Architecture

# Model classes that build the embedding and the final norm, and those that also build
# the output head, on every stage instead of the first and the last (vLLM 0.33
# model_executor/models; model types as in the config).
_EMBEDDING_EVERYWHERE = frozenset(
    {
        "gemma",
        "gemma2",
        "gemma3",
        "gemma3_text",
        "gpt_oss",
        "mixtral",
        "qwen2_moe",
        "qwen3_moe",
        "olmoe",
        "phimoe",
        "granitemoe",
        "granitemoeshared",
        "jamba",
        "internlm2",
        "dbrx",
        "interns2_mobius",
    }
)
_HEAD_EVERYWHERE = frozenset(
    {"gpt_oss", "mixtral", "qwen2_moe", "qwen3_moe", "olmoe", "phimoe", "internlm2", "dbrx"}
)


@dataclass(frozen=True, slots=True)
class Stage:
    """One pipeline stage: its layers, and whether it holds embedding, norm and head."""

    layers: range
    embedding: bool
    final_norm: bool
    head: bool


def pipeline_stages(num_layers: int, stages: int) -> tuple[range, ...]:
    """The layers of each pipeline stage, in order.

    Every stage has `num_layers // stages` layers; the remainder goes one each to the
    stages before the last, from the back (vLLM 0.33 distributed/utils.py,
    get_pp_indices: the last stage carries the output projection, the first the
    embedding).
    """
    each, rest = divmod(num_layers, stages)
    sizes = [each] * stages
    for offset in range(rest):
        # With one stage there is no rest; the last stage never gets an extra layer.
        sizes[stages - 2 - offset] += 1
    bounds = [0]
    for size in sizes:
        bounds.append(bounds[-1] + size)
    return tuple(range(start, end) for start, end in pairwise(bounds))


def model_stages(architecture: Architecture, stages: int) -> tuple[Stage, ...]:
    """What each of `stages` pipeline stages of a model holds.

    The first holds the embedding, the last the final norm and the output head (with
    tied embeddings, the embedding again); some model classes build them everywhere.
    """
    kind = architecture.model_type
    everywhere = kind in _EMBEDDING_EVERYWHERE
    last = stages - 1
    return tuple(
        Stage(
            layers,
            embedding=everywhere
            or number == 0
            or (number == last and architecture.tied_embeddings),
            final_norm=everywhere or number == last,
            head=number == last or kind in _HEAD_EVERYWHERE,
        )
        for number, layers in enumerate(pipeline_stages(len(architecture.layers), stages))
    )
