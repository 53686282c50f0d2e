"""The resolved arguments of a launch as terms: each value and what decided it."""

from __future__ import annotations

from vllm_preflight.base.terms import Term
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.notes import GIVEN
from vllm_preflight.launch.versions import format_version

_UNITS = {
    "max_model_len": "tokens",
    "max_num_batched_tokens": "tokens",
    "max_num_seqs": "sequences",
    "gpu_memory_utilization": "share",
    "tensor_parallel_size": "GPUs",
    "pipeline_parallel_size": "stages",
    "max_loras": "adapters",
    "max_lora_rank": "rank",
}


def explain_defaults(launch: Launch) -> list[Term]:
    """One term for each argument that was resolved, in alphabetical order.

    Numbers are the term's value; switches count as 1 and 0; dtypes are in the formula.
    The basis is exact for what the user gave and derived for what vLLM's rules gave.
    """
    terms: list[Term] = []
    for name, reason in sorted(launch.reasons.items()):
        value = getattr(launch.lora if name.startswith("max_lora") else launch, name)
        number = int(value) if isinstance(value, bool) else value
        terms.append(
            Term(
                name=name,
                formula=f"{name} = {value}: {reason}",
                basis="exact" if reason == GIVEN else "derived",
                source="the request"
                if reason == GIVEN
                else f"vLLM {format_version(launch.version)} rules of arguments",
                value=None if isinstance(number, str) else number,
                unit=_UNITS.get(name, ""),
            )
        )
    return terms
