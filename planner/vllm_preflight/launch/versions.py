"""vLLM release numbers: parsed from what people write, compared as tuples.

The engine describes the V1 engine of the releases from 0.8 to the newest known one.
"""

from __future__ import annotations

import functools
import re

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.launch import Version

OLDEST_KNOWN: Version = (0, 8, 0)
NEWEST_KNOWN: Version = (0, 33, 0)
# The first release on transformers 5, whose configs keep ropes under another key.
ROPE_PARAMETERS_SINCE: Version = (0, 24, 0)

_LATEST = frozenset({"latest", "newest", "stable"})
# Release, then a fourth number (0.10.1.1), then any of rc/a/b, post and dev, then +local.
_VERSION = re.compile(
    r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4})(?:\.\d{1,4})?)?"
    r"(?:[-.]?(?:rc|a|b)\d{1,5})?(?:[-.]?post\d{1,5})?(?:[-.]?dev\d{1,7})?"
    r"(?:\+[a-z0-9.]{1,60})?"
)


def format_version(version: Version) -> str:
    """A version as vLLM writes it, such as "0.19.0"."""
    return ".".join(str(part) for part in version)


@functools.lru_cache(maxsize=256)
def parse_version(text: str | None) -> Version:
    """The release `text` names; None and "latest" are the newest known one.

    Release candidates, post releases and dev builds count as their release
    ("0.11.0rc2" is 0.11.0). Raises InvalidRequest for anything that is no version,
    for releases before 0.8 (V0 engine) and for releases newer than the newest known.
    """
    if text is None or text.strip().lower() in _LATEST:
        return NEWEST_KNOWN
    match = _VERSION.fullmatch(text.strip().lower())
    if match is None:
        raise InvalidRequest(
            f"vllm_version is {text[:60]!r}, which is no vLLM release.",
            f"Write a release such as {format_version(NEWEST_KNOWN)}, or leave it out.",
        )
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    if version[:2] == (0, 1) and "dev" in text:
        raise InvalidRequest(
            f"vllm_version is {text[:60]!r}, a source build that does not name its release.",
            "Give the release it was built from, such as 0.31.0.",
        )
    if version < OLDEST_KNOWN:
        raise InvalidRequest(
            f"vLLM {format_version(version)} is not supported: it sizes memory with the V0 "
            "engine, which this tool does not describe.",
            f"Use {format_version(OLDEST_KNOWN)} or later.",
        )
    if version[:2] > NEWEST_KNOWN[:2]:
        raise InvalidRequest(
            f"vLLM {format_version(version)} is newer than the newest release known here, "
            f"{format_version(NEWEST_KNOWN)}.",
            f"Ask with vllm_version {format_version(NEWEST_KNOWN)} to see what that release does.",
        )
    return version
