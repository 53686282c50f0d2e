"""Which parallel layout: the smallest that fits and that the model divides into."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.launch.refusals import divides_model
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.sizing import Sizing, size


def tensor_parallel_sizes(architecture: Architecture, largest: int) -> list[int]:
    """The sizes up to `largest` that vLLM accepts for the model, ascending."""
    return [tp for tp in range(1, largest + 1) if divides_model(architecture, tp)]


def recommend_tensor_parallel(sizes: Iterable[int], fits: Callable[[int], bool]) -> int:
    """The smallest of `sizes` that fits, or the largest when none does."""
    best = 1
    for best in sizes:
        if fits(best):
            return best
    return best


def choose_layout(model: Model, hardware: Hardware, request: PlanRequest) -> Sizing:
    """The workload on the smallest layout it fits on.

    Pinned sizes are kept. Otherwise tensor parallelism grows within a node first; only
    when that is not enough, pipeline stages span the nodes. When nothing fits, the
    largest layout shows by how much.

    Raises:
        InvalidRequest: vLLM would refuse the arguments, such as a size that does not
            divide the model's heads.
    """
    sized: dict[tuple[int, int], Sizing] = {}

    def attempt(tp: int, pp: int) -> Sizing:
        sized[tp, pp] = size(model, hardware, request, tp, pp)
        return sized[tp, pp]

    replicas = request.data_parallel_size or 1
    in_node = max(1, hardware.gpus_per_node // max(1, replicas // hardware.nodes))
    result = None
    for pp in _pipeline_sizes(model, hardware, request):
        if request.tensor_parallel_size is not None:
            sizes = [request.tensor_parallel_size]
        else:
            stages_in_node = max(1, pp // hardware.nodes)
            sizes = tensor_parallel_sizes(model.architecture, max(1, in_node // stages_in_node))
        tp = recommend_tensor_parallel(sizes, lambda tp, pp=pp: attempt(tp, pp).feasibility.fits)
        result = sized.get((tp, pp)) or attempt(tp, pp)
        if result.feasibility.fits:
            break
    assert result is not None
    if problems := result.launch.problems:
        longest = model.architecture.max_position
        if request.max_model_len is None and result.context > longest:
            raise InvalidRequest(
                f"prompt_tokens + gen_tokens is {result.context:,}, but {model.id} takes at most "
                f"{longest:,} tokens.",
                "Lower one of them.",
            )
        raise InvalidRequest(
            " ".join(
                problem.message
                if problem.kind == "not_modelled"
                else f"vLLM refuses this: {problem.message}"
                for problem in problems
            ),
            " ".join(f"Try {remedy}." for problem in problems for remedy in problem.remedies),
        )
    return result


def _pipeline_sizes(model: Model, hardware: Hardware, request: PlanRequest) -> list[int]:
    if request.pipeline_parallel_size is not None:
        return [request.pipeline_parallel_size]
    spans_nodes = hardware.nodes > 1 and hardware.nodes <= len(model.architecture.layers)
    return [1, hardware.nodes] if spans_nodes else [1]
