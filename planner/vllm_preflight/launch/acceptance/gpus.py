"""Which GPUs a release runs on: the kernels in its wheels, the vendors described here.

Source: kernels.json, read from the compiled libraries of vLLM's wheels.
"""

from __future__ import annotations

from functools import lru_cache

from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.launch.acceptance.tables import table
from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.launch.notes import Notes
from vllm_preflight.launch.versions import format_version, parse_version

# A GPU of which only the memory is known is nobody's.
_DESCRIBED = frozenset({"NVIDIA", "unknown"})


def check_gpu(gpu: Gpu, notes: Notes) -> None:
    """Note that the GPU's vendor is not described, or that the release has no kernels for it.

    A GPU newer than a release's kernels is warned of: builds from source run there.
    """
    release = format_version(notes.version)
    if gpu.vendor not in _DESCRIBED:
        notes.problems.append(
            LaunchProblem(
                f"vLLM on {gpu.vendor} hardware ({gpu.name}) is not modelled here: weights and KV "
                "cache follow from the model, what vLLM does with the rest of the memory does not.",
                kind="not_modelled",
            )
        )
        return
    capability = gpu.compute_capability
    if capability is None:
        return
    native = _native(notes.version)
    if capability < native[0]:
        last = _last_release_for(capability)
        major, minor = native[0]
        notes.problems.append(
            LaunchProblem(
                "CUDA error: no kernel image is available for execution on the device. The "
                f"kernels of vLLM {release} begin at compute capability {major}.{minor}; "
                f"{gpu.device_name} has {capability[0]}.{capability[1]}.",
                (f"vLLM {last}",) if last else (),
                kind="unsupported",
            )
        )
    elif not any(capability[0] == major and capability[1] >= minor for major, minor in native):
        notes.warn(
            f"The wheels of vLLM {release} have no kernels for compute capability "
            f"{capability[0]}.{capability[1]}: only a build from source runs on {gpu.device_name}."
        )


@lru_cache(maxsize=128)
def _native(version: Version) -> tuple[ComputeCapability, ...]:
    """The capabilities that a release's kernels are compiled for, the least first."""
    history = table("kernels")["history"]
    # Releases before the first wheel that was read are like it.
    found = [entry for entry in history if parse_version(entry["since"]) <= version]
    entry = found[-1] if found else history[0]
    return tuple(divmod(number, 10) for number in entry["capabilities"])


def _last_release_for(capability: ComputeCapability) -> str | None:
    """The last release whose kernels reach down to a capability, None where none does."""
    releases = table("registry")["releases"]
    fitting = [name for name in releases if _native(parse_version(name))[0] <= capability]
    return fitting[-1] if fitting else None
