"""Which vLLM release an image or a setup text names: vLLM's own images and pip, no others'."""

from __future__ import annotations

import re

from vllm_preflight.launch.words.images import release_of

# Deep-learning containers of AWS, named vllm with the release first.
_AMAZON = re.compile(r"(?:public\.ecr\.aws|\.dkr\.ecr\.)[^:]*/vllm:v?(\d+\.\d+\.\d+)-")
_OWN_LATEST = re.compile(r"(?:^|/)vllm/vllm-openai(?:-rocm)?(?::latest)?$")
_INSTALLED = re.compile(r"\bvllm(?:\[[\w,-]+\])?==(\d+\.\d+(?:\.\d+)?[a-z0-9.]*)")


def image_release(image: str | None) -> str | None:
    """The release that an image's tag names, "latest" for vLLM's own newest, else None."""
    if image is None:
        return None
    found = release_of(image)
    if found is not None:
        return found
    amazon = _AMAZON.search(image)
    if amazon is not None:
        return amazon[1]
    return "latest" if _OWN_LATEST.search(image) else None


def installed_release(text: str) -> str | None:
    """The release that `pip install vllm==X` in a text names."""
    found = _INSTALLED.search(text)
    return found[1] if found else None
