"""Which batch sizes vLLM captures CUDA graphs for.

Source: vLLM 0.33 config/vllm.py (_set_cudagraph_sizes,
adjust_cudagraph_sizes_for_spec_decode), config/compilation.py.
"""

from __future__ import annotations

from functools import lru_cache

from vllm_preflight.base.units import round_up
from vllm_preflight.hardware.gpu import ComputeCapability
from vllm_preflight.launch.defaults import default_for, model_fact
from vllm_preflight.launch.launch import Launch

_USUAL_MAXIMUM = 512
_BLACKWELL_MAXIMUM = 1024
_NO_GRAPHS = "NONE"
# The rules of `cudagraph_size_rule`, each with what came before it.
_STEPS_OF_8 = frozenset({"steps8", "steps8_by_seqs"})
_TOKENS_TOO = frozenset({"and_tokens", "and_blackwell", "and_seqs"})
_LARGER_ON_BLACKWELL = frozenset({"and_blackwell", "and_seqs"})


def cudagraph_capture_sizes(
    launch: Launch, capability: ComputeCapability | None, model_type: str
) -> tuple[int, ...]:
    """Batch sizes (tokens) that get a graph, ascending; empty when none is captured.

    With piecewise graphs every size is captured once; see `full_graph_sizes` for the
    full decode graphs among them.
    """
    if launch.enforce_eager or launch.cudagraph_mode == _NO_GRAPHS:
        return ()
    if launch.cudagraph_sizes is not None:
        kept = {size for size in launch.cudagraph_sizes if size <= launch.max_num_batched_tokens}
        return tuple(sorted(kept))
    rule = default_for("cudagraph_size_rule", launch.version).value
    if rule in _STEPS_OF_8:
        usual = _USUAL_MAXIMUM
        if rule == "steps8_by_seqs":
            usual = min(usual, 2 * launch.max_num_seqs)
        limit = min(launch.max_cudagraph_capture_size or usual, launch.max_num_batched_tokens)
        return tuple(size for size in (1, 2, 4, *range(8, limit + 1, 8)) if size <= limit)
    further = (launch.max_num_batched_tokens,) if rule in _TOKENS_TOO else ()
    return _sizes_up_to(
        _maximum(launch, capability, model_type, rule),
        (*further, launch.max_num_seqs) if rule == "and_seqs" else further,
        # A decode step of a drafted sequence has 1 + drafted tokens; sizes follow that.
        1 + launch.speculative_tokens,
    )


@lru_cache(maxsize=1024)
def _sizes_up_to(maximum: int, further: tuple[int, ...], step: int) -> tuple[int, ...]:
    sizes = {1, 2, 4, *range(8, min(maximum + 1, 256), 8), *range(256, maximum + 1, 16), *further}
    rounded = {round_up(size, step) for size in sizes if size <= maximum}
    return tuple(sorted(size for size in rounded if size <= maximum))


def full_graph_sizes(launch: Launch, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Those of `sizes` that also get a full decode graph: up to the largest decode batch."""
    if "FULL" not in launch.cudagraph_mode:
        return ()
    largest = launch.max_num_seqs * (1 + launch.speculative_tokens)
    return tuple(size for size in sizes if size <= largest)


def _maximum(
    launch: Launch, capability: ComputeCapability | None, model_type: str, rule: str
) -> int:
    maximum = launch.max_cudagraph_capture_size or model_fact("cudagraph_maximum").get(model_type)
    if maximum is None:
        blackwell = capability is not None and capability[0] == 10
        cap = _BLACKWELL_MAXIMUM if blackwell and rule in _LARGER_ON_BLACKWELL else _USUAL_MAXIMUM
        maximum = min(launch.max_num_seqs * (1 + launch.speculative_tokens) * 2, cap)
    return min(maximum, launch.max_num_batched_tokens)
