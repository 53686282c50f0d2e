"""What surrounds a command decides too: the GPUs it sees, its image, files that are not here."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.acceptance.counts import too_few_gpus
from vllm_preflight.launch.arguments import ParsedCommand
from vllm_preflight.launch.launch import Launch, LaunchProblem
from vllm_preflight.launch.refusals import divides_model
from vllm_preflight.models.architecture import Architecture

# vLLM's own image for CUDA.
_CUDA = re.compile(r"(?:^|/)vllm/vllm-openai(?=[:@]|$)")
# What builds of vLLM for other hardware run on, as people call it.
_RUNS_ON = {
    "rocm": "AMD GPUs (ROCm)",
    "cpu": "the CPU",
    "xpu": "Intel GPUs (XPU)",
    "hpu": "Intel Gaudi",
    "tpu": "TPUs",
    "npu": "Ascend NPUs",
    "neuron": "AWS Neuron",
    "metal": "Apple GPUs (Metal)",
}


def visible_gpus(parsed: ParsedCommand, there: int | None) -> int | None:
    """The GPUs that a command sees of those that are there; None where nothing limits them.

    Raises:
        InvalidRequest: the command names more than there are.
    """
    if parsed.visible is None:
        return there
    count, said = parsed.visible.count, parsed.visible.said
    if there is not None and count > there:
        raise InvalidRequest(
            f"The command's {said} names {count} GPUs, but there {_are(there)} {there}.",
            f"Name those that are there, or give gpus={count}.",
        )
    return count


def runs_own_image(parsed: ParsedCommand) -> bool:
    """Whether the command runs in vLLM's own image for CUDA, with all that is in it."""
    image = parsed.command.image if parsed.command is not None else None
    return image is not None and _CUDA.search(image) is not None


def surrounding_problems(
    parsed: ParsedCommand,
    launch: Launch,
    architecture: Architecture,
    gpu: Gpu,
    there: int | None,
) -> Iterator[LaunchProblem]:
    """Why the launch does not start, or is not modelled, because of what is around it.

    `there` are the GPUs that it sees on its one machine, None where that is open.
    """
    if there is not None and not parsed.spread:
        seen_by = parsed.visible.said if parsed.visible is not None else None
        few = too_few_gpus(launch, there, seen_by, lambda size: divides_model(architecture, size))
        if few is not None:
            yield few
    if parsed.platform is not None:
        yield _other_build(parsed.platform, gpu)
    image = parsed.command.image if parsed.command is not None else None
    rocm = platform_of(gpu).name == "rocm"
    if image and rocm and parsed.platform is None and runs_own_image(parsed):
        yield LaunchProblem(
            f"The image {image[:80]} is built for NVIDIA's GPUs; AMD's take vllm/vllm-openai-rocm.",
            kind="not_modelled",
        )
    for name in parsed.unread:
        yield LaunchProblem(
            f"The file {name!r} of --config is not here, so what it sets is not known (where it "
            "is absent, vLLM stops). Put the file where it can be read, or its settings into the "
            "command.",
            kind="not_modelled",
        )


def _other_build(platform: str, gpu: Gpu) -> LaunchProblem:
    runs_on = _RUNS_ON[platform]
    mismatch = "" if platform_of(gpu).name in {platform, "unknown"} else f", not on {gpu.name}"
    return LaunchProblem(
        f"The command runs a build of vLLM for {runs_on}{mismatch}. It is not modelled here: "
        "weights and KV cache follow from the model, what vLLM does with the rest of the memory "
        "does not.",
        kind="not_modelled",
    )


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
