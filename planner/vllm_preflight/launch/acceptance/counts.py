"""Whether a launch finds the GPUs that its parallel sizes need, on one machine.

Source: vLLM config/parallel.py (ParallelConfig.__post_init__), 0.8 to 0.33, and
v1/worker/gpu_worker.py (init_device).
"""

from __future__ import annotations

from collections.abc import Callable

from vllm_preflight.launch.launch import Launch, LaunchProblem, Version
from vllm_preflight.launch.versions import format_version

# Before, vLLM turned to a Ray cluster for GPUs that are not on the machine.
_COUNTED_SINCE: Version = (0, 11, 1)
_CALLED_WORLD_SIZE_SINCE: Version = (0, 13, 0)


def too_few_gpus(
    launch: Launch, there: int, seen_by: str | None, divides: Callable[[int], bool]
) -> LaunchProblem | None:
    """The refusal of a launch that needs more GPUs than the `there` ones it sees.

    `seen_by` are the words that limit them, None where so many are in the machine.
    `divides` says whether the model divides over a number of ranks.
    """
    world, replicas = launch.world_size, launch.data_parallel_size
    if world * replicas <= there:
        return None
    limited = f" {seen_by} lets it see no more." if seen_by else ""
    if there == 0:
        return LaunchProblem(f"RuntimeError: Failed to infer device type.{limited}")
    remedies = tuple(_smaller(launch, there, divides))
    if world <= there:
        message = (
            f"{replicas} replicas of {world} {_gpus(world)} need {world * replicas}, but {there} "
            f"{'is' if there == 1 else 'are'} there: the last workers find no device."
        )
    elif launch.version >= _CALLED_WORLD_SIZE_SINCE:
        message = (
            f"World size ({world}) is larger than the number of available GPUs ({there}) in this "
            "node."
        )
    elif launch.version >= _COUNTED_SINCE:
        message = (
            f"Tensor parallel size ({world}) cannot be larger than the number of available GPUs "
            f"({there})."
        )
    else:
        message = (
            f"vLLM {format_version(launch.version)} turns to a Ray cluster for {world} GPUs where "
            f"the machine shows {there}; without one it waits, then stops."
        )
    return LaunchProblem(message + limited, remedies)


def _smaller(launch: Launch, there: int, divides: Callable[[int], bool]) -> list[str]:
    """The parallel sizes that are too large, at what fits."""
    tensor, stages = launch.tensor_parallel_size, launch.pipeline_parallel_size
    fitting = max(size for size in range(1, there + 1) if size == 1 or divides(size))
    changes: list[str] = []
    if stages > 1 and tensor > there:
        changes.append("--pipeline-parallel-size 1")
    elif stages > 1 and stages * tensor > there:
        changes.append(f"--pipeline-parallel-size {max(1, there // tensor)}")
    if tensor > there:
        changes.append(f"--tensor-parallel-size {fitting}")
    left = there // min(launch.world_size, fitting if tensor > there else launch.world_size)
    if launch.data_parallel_size > left:
        changes.append(f"--data-parallel-size {max(1, left)}")
    return [" ".join(changes)] if changes else []


def _gpus(count: int) -> str:
    return "GPU" if count == 1 else "GPUs"
