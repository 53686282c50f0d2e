"""What the text around a command says beside its arguments: release, platform, doubts."""

from __future__ import annotations

from collections.abc import Iterator

from vllm_preflight.launch.flags.parser import Reading
from vllm_preflight.launch.releases import release_allowed
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.launch.words.images import platform_of_image, release_of
from vllm_preflight.launch.words.prepare import CURLY_QUOTES
from vllm_preflight.launch.words.server import ServerCommand

# How variables begin that may bear on memory.
VARIABLES = ("VLLM_", "CUDA_", "NVIDIA_VISIBLE", "PYTORCH_", "NCCL_")
_CURLY = frozenset(CURLY_QUOTES)
# Back ends and arguments of launches that one machine does not hold.
_CLUSTER_BACKENDS = frozenset({"ray", "external_launcher"})
_PARTIAL = frozenset(
    {
        *("data_parallel_rank", "data_parallel_start_rank", "data_parallel_size_local"),
        *("data_parallel_hybrid_lb", "data_parallel_external_lb", "headless"),
    }
)
# Variables that only other builds of vLLM, or their drivers, read.
_OTHER_BUILDS = {
    "VLLM_CPU_KVCACHE_SPACE": "cpu",
    "VLLM_CPU_OMP_THREADS_BIND": "cpu",
    "HIP_VISIBLE_DEVICES": "rocm",
    "ROCR_VISIBLE_DEVICES": "rocm",
    "ZE_AFFINITY_MASK": "xpu",
    "ASCEND_RT_VISIBLE_DEVICES": "npu",
    "HABANA_VISIBLE_DEVICES": "hpu",
}
_DEVICES = frozenset({"cpu", "xpu", "hpu", "tpu", "neuron"})
_BUILT_FOR = "VLLM_TARGET_DEVICE"


def named_release(command: ServerCommand, given: str | None, warnings: list[str]) -> str | None:
    """The version that the text names; None, with a warning, where it leaves it open.

    None too where one is `given` beside the text, which then holds.
    """
    image, installed = command.image, command.installed
    release, sure = None, True
    if installed:
        release, sure = release_allowed(installed)
        said = f"vllm{installed}" if installed[0] in "=<>~!" else f"vLLM's {installed} build"
    elif image is not None:
        release = release_of(image)
        said = f"The image {image[:80]!r}"
    else:
        return None
    if given is not None:
        if release is not None and sure and parse_version(release) != parse_version(given):
            warnings.append(f"{said} holds vLLM {release}; {given} is taken, as was given.")
        return None
    if release is None:
        warnings.append(
            f"{said} does not say which release it is; the newest known one is assumed."
            if installed
            else f"{said} does not say which vLLM it holds; the newest known release is assumed."
        )
        return None
    parse_version(release)
    if not sure:
        warnings.append(f"{said} leaves the release open; {release}, the newest, is assumed.")
    return release


def platform_of(command: ServerCommand) -> str | None:
    """What vLLM is built for, where the image or a variable of another build says so."""
    if command.image is not None and (found := platform_of_image(command.image)):
        return found
    if command.image is None and command.built_for is not None:
        return command.built_for
    found = next((p for n, p in _OTHER_BUILDS.items() if n in command.environment), None)
    built = command.environment.get(_BUILT_FOR, "")
    return found or (built if built in {*_DEVICES, "rocm"} else None)


def device_of(reading: Reading) -> str | None:
    """The platform that --device of the older releases asks for, None for CUDA's."""
    asked = next((item.value for item in reading.given if item.argument.dest == "device"), None)
    return asked if asked in _DEVICES else None


def is_spread(reading: Reading) -> bool:
    """Whether the launch may have workers on other machines, or only a part of its replicas."""
    given = {item.argument.dest: item.value for item in reading.given}
    ray = {given.get("distributed_executor_backend"), given.get("data_parallel_backend")}
    nodes = given.get("nnodes", 1)
    return nodes != 1 or not ray.isdisjoint(_CLUSTER_BACKENDS) or not _PARTIAL.isdisjoint(given)


def unexported(command: ServerCommand) -> Iterator[str]:
    """Variables that bear on vLLM and do not reach it."""
    names = [name for name in command.unexported if name.startswith(VARIABLES)]
    if names:
        yield (
            f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} set but not exported: the "
            "server does not see it. Write export before it."
        )


def curly_words(command: ServerCommand) -> Iterator[str]:
    """Words that a word processor has quoted: a shell takes such quotes for letters."""
    quoted = [word.text for word in command.words if not _CURLY.isdisjoint(word.text)]
    if quoted:
        yield (
            f"Curly quotes are none to a shell: vLLM gets {quoted[0][:60]!r} as it stands. Write "
            "straight ones."
        )
