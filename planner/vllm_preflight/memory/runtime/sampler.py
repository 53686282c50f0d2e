"""The sampler's dummy pass: logits of one token per sequence and what is derived of them.

Source: vLLM v1/worker/gpu_model_runner.py:_dummy_sampler_run, v1/sample/ops/
topk_topp_sampler.py, v1/worker/gpu/sample/sampler.py; bytes per logit in `releases`.
"""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.contributions import Phase, tensor
from vllm_preflight.memory.runtime.releases import (
    SAMPLER_BYTES,
    ProfileRules,
    Sampler,
    sampled_rows,
    sampler_of,
)
from vllm_preflight.memory.runtime.shapes import padded_vocabulary
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.model import Model

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def sampling(
    model: Model, launch: Launch, gpu: Gpu, rules: ProfileRules, kind: Sampler | None = None
) -> Phase:
    """Everything alive at the sampler's peak but the workspaces.

    `kind` is the sampler, None for the one of the release.
    """
    architecture = model.architecture
    size = DTYPE_BYTES[launch.dtype]
    rows = sampled_rows(launch)
    padded = padded_vocabulary(architecture)
    hidden = architecture.hidden_size
    second = launch.model_runner == "v2"
    kind = kind or sampler_of(launch, gpu, rules)
    copies = _logit_copies(model, launch, size, SAMPLER_BYTES[kind]) if second else 1
    parts = [
        tensor("logits", size, (rows, "sequences"), (padded, "logits")),
        tensor(
            "hidden_states_kept",
            size,
            (launch.max_num_batched_tokens, "tokens"),
            (hidden, "elements"),
        ),
        tensor(
            "selected_hidden_states",
            size,
            (rows, "sequences"),
            ((1 if second else 2) * hidden, "elements"),
        ),
    ]
    if copies > 1:
        parts[0] = replace(
            parts[0],
            quantity=parts[0].quantity * copies,
            formula=f"{copies:g} copies while gathered or capped: {parts[0].formula}",
        )
    elif SAMPLER_BYTES[kind]:
        parts.append(
            tensor(
                f"sampler_{kind}",
                SAMPLER_BYTES[kind],
                (rows, "sequences"),
                (architecture.vocab_size, "logits"),
            )
        )
    return tuple(parts)


def _logit_copies(model: Model, launch: Launch, size: int, derived: int) -> float:
    """Copies of the logits at once in the second runner, where they outweigh the sampler.

    The ranks' shares are gathered into one tensor and put in order in another; a cap makes
    one more copy.
    """
    ranks = launch.tensor_parallel_size
    copies = 2 + 1 / ranks if ranks > 1 else 1.0
    if _capped(model):
        copies = max(copies, 2.0)
    return copies if (copies - 1) * size > derived else 1.0


def _capped(model: Model) -> bool:
    view = ConfigView(model.config)
    text = view.section("text_config", "llm_config") or view
    return bool(text.get("final_logit_softcapping"))
