"""Which release of vLLM the text installs or runs: pip, uv, uvx, conda, wheels, git tags."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vllm_preflight.launch.words.expand import Variables
from vllm_preflight.launch.words.images import platform_of_image

_INSTALLERS = frozenset({"pip", "pip3", "uv", "uvx", "poetry", "pdm", "pixi", "pipx"})
_CONDA = frozenset({"conda", "mamba", "micromamba"})
_INSTALLING = frozenset({"install", "add", "run", "tool", "inject", "exec"})
_REQUIREMENT = re.compile(
    r"vllm(?:\[[\w,. -]*\])?[ ]*(?:@[ ]*(?P<at>v?\d[\w.+]*|latest)|(?P<rules>[=<>~!].*))?"
)
_WHEEL = re.compile(r"/vllm-(\d+\.\d+[0-9a-z.]*)(?:%2B|\+|-)")
_TAG = re.compile(r"vllm(?:\.git)?@v(\d+\.\d+[0-9a-z.]*)$")
_INDEX = re.compile(
    r"wheels\.vllm\.ai/(?:rocm/)?(?:v?(\d+\.\d+\.\d+[0-9a-z.]*)|nightly|[0-9a-f]{40})"
)
_REPOSITORY = re.compile(r"vllm-project/vllm(?:\.git)?/?$")
_TAG_NAME = re.compile(r"(?:tags/)?v\d+\.\d+[0-9a-z.]*")
# Builds of vLLM for other hardware, by their packages' names.
_OTHER_PACKAGE = re.compile(r"vllm-(?:cpu|tpu|rocm|xpu|gaudi|ascend|neuron|metal)\b")
NIGHTLY = "nightly"


def note_installed(words: Sequence[str], known: Variables) -> None:
    """Note in `known` what a command says of the vLLM it installs, checks out or brings."""
    installed = _checked_out(words, known.installed) or _installed_by(words)
    known.installed = known.installed if installed is None else installed
    if installed is not None or any(_OTHER_PACKAGE.match(word) for word in words):
        hints = (word for word in words if _OTHER_PACKAGE.match(word) or "://" in word)
        platform = next((found for word in hints if (found := platform_of_image(word))), None)
        known.built_for = platform or known.built_for


def _checked_out(words: Sequence[str], before: str | None) -> str | None:
    """What `git clone -b v0.19.0 …/vllm` and a later `git checkout` fetch."""
    if words[0] != "git":
        return None
    if "clone" in words and any(_REPOSITORY.search(word) for word in words):
        tag = next((word for word in words if _TAG_NAME.fullmatch(word)), None)
        return f"=={tag[1:]}" if tag is not None else NIGHTLY
    if before is not None and {"checkout", "switch"} & set(words):
        tag = next((word for word in words if _TAG_NAME.fullmatch(word)), None)
        return None if tag is None else f"=={tag.removeprefix('tags/')[1:]}"
    return None


def _installed_by(words: Sequence[str]) -> str | None:
    """What a command says of the vLLM it installs or brings: `==0.19.0`, `nightly`, ….

    None where it brings no vLLM; empty where it names no release.
    """
    programs = {word.rsplit("/", 1)[-1] for word in words[:6]}
    conda = bool(programs & _CONDA)
    if not (conda or programs & _INSTALLERS) or not ("uvx" in programs or set(words) & _INSTALLING):
        return None
    found: str | None = None
    for word in words:
        for part in word.split() if word.startswith("vllm") else [word]:
            said = _said(part.removeprefix("--with=").removeprefix("--from="))
            # A bare `vllm` may be the program that is run.
            found = found if said is None or (found and not said) else said
    if found is None:
        return None
    index = next((match for word in words if (match := _INDEX.search(word))), None)
    if index is not None and not found:
        return f"=={index[1]}" if index[1] else NIGHTLY
    return found


def _said(word: str) -> str | None:
    if match := _WHEEL.search(word) or _TAG.search(word):
        return f"=={match[1]}"
    if "vllm" in word and word.startswith("git+"):
        return NIGHTLY
    match = _REQUIREMENT.fullmatch(word)
    if match is None:
        return None
    if match["at"]:
        return "" if match["at"] == "latest" else f"=={match['at']}"
    return match["rules"] or ""
