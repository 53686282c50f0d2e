"""The tables of this package: names with the releases that have them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.versions import parse_version

Span = Mapping[str, Any]

# Until 0.15 the attention back end was named by it.
ATTENTION_VARIABLE = "VLLM_ATTENTION_BACKEND"
# Words for KV cache dtypes that vLLM does not have, and the dtypes that they mean.
CACHE_DTYPES = {"int8": "fp8", "bf16": "bfloat16", "fp16": "float16", "half": "float16"}
_MINORS_AHEAD = 2


@cache
def table(name: str) -> Mapping[str, Any]:
    """A table of this package, such as "registry"."""
    file = resources.files("vllm_preflight.launch.acceptance").joinpath(f"{name}.json")
    return json.loads(file.read_text(encoding="utf-8"))


def span_of(spans: Sequence[Span], version: Version) -> Span | None:
    """The entry that covers a release; `until` is the last release that has it.

    A version that is no release, such as 0.17.2, is a build of the main branch: it may
    have what came with one of the next two minor releases (vLLM branches off before it
    releases; a start-up of 0.17.2rc1.dev133 ran a class of 0.19.0).
    """
    for span in spans:
        until = span.get("until")
        if parse_version(span["since"]) <= version and (
            until is None or version <= parse_version(until)
        ):
            return span
    if version in _releases():
        return None
    soon = (version[0], version[1] + _MINORS_AHEAD, 0)
    return next((span for span in spans if version < parse_version(span["since"]) <= soon), None)


@cache
def _releases() -> frozenset[Version]:
    return frozenset(map(parse_version, table("registry")["releases"]))


def names_in(spans: Mapping[str, Sequence[Span]], version: Version) -> list[str]:
    """The names that a release has, in alphabetical order."""
    return [name for name, entries in spans.items() if span_of(entries, version)]


def releases_with(spans: Sequence[Span], version: Version) -> str | None:
    """Where a release that lacks a name should turn, such as "vLLM 0.10.1 or later".

    None where no release has it.
    """
    later = [span for span in spans if parse_version(span["since"]) > version]
    if later:
        until = f" to {later[-1]['until']}" if "until" in later[-1] else " or later"
        return f"vLLM {later[0]['since']}{until}"
    earlier = [span for span in spans if "until" in span]
    return f"vLLM {earlier[-1]['until']}" if earlier else None


def has_name(kind: str, name: str, version: Version) -> bool:
    """Whether a release has a name of a kind in `names.json`."""
    return name in names_in(table("names")[kind], version)


def invalid_cache_dtype(name: str, known: Sequence[str]) -> str:
    """VLLM's words for a KV cache dtype that a release does not have (config/cache.py)."""
    return f"Invalid kv_cache_dtype: {name!r}. Valid values are: {list(known)}"
