"""What an image's name says: which release of vLLM it holds, and for which hardware."""

from __future__ import annotations

import re

_OWN_IMAGE = re.compile(
    r"(?:^|/)(?:vllm/vllm[\w-]*|q9t5s3a7/vllm-[\w-]*repo):v?(\d+\.\d+[0-9a-z.]*)[^:/@]*(?:@.*)?$"
)
# What Apptainer calls the file it pulls such an image into.
_OWN_FILE = re.compile(r"(?:^|/)vllm-openai_v?(\d+\.\d+[0-9a-z.]*)[^/]*\.sif$")
# ROCm's images name the release after their own.
_NAMED_RELEASE = re.compile(r":[^:/]*vllm[_-]v?(\d+\.\d+\.\d+)[^:/]*$")
# Words of images' names and tags, and the platform of vLLM they stand for. Source: the
# installation pages of vLLM's documentation, by platform.
_WORDS = {
    "rocm": ("rocm",),
    "cpu": ("cpu",),
    "xpu": ("xpu", "ipex", "intel/vllm", "llm-scaler"),
    "hpu": ("hpu", "gaudi", "habana"),
    "tpu": ("tpu",),
    "npu": ("ascend", "npu"),
    "neuron": ("neuron", "neuronx"),
    "metal": ("vllm-metal",),
}
_PLATFORM = {word: name for name, words in _WORDS.items() for word in words}
_PLATFORM_WORD = re.compile(
    rf"(?<![a-z])(?:{'|'.join(sorted(_PLATFORM, key=len, reverse=True))})(?![a-z])"
)


def release_of(image: str) -> str | None:
    """The vLLM release that an image's tag names; None where it names none.

    Only vLLM's own images and those of ROCm do.
    """
    lowered = image.lower()
    patterns = (_OWN_IMAGE, _OWN_FILE, _NAMED_RELEASE)
    match = next((found for pattern in patterns if (found := pattern.search(lowered))), None)
    return match[1].removesuffix(".sif") if match else None


def platform_of_image(image: str) -> str | None:
    """The platform an image is built for ("rocm", "cpu", …), None where its name has none."""
    match = _PLATFORM_WORD.search(image.lower().partition("@")[0])
    return _PLATFORM[match[0]] if match else None
