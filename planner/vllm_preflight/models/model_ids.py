"""What a Hub id, a revision and a commit look like; checked before any URL or path is made."""

from __future__ import annotations

import re
from typing import TypeGuard

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.text import quoted

# The Hub's own rule: words of letters, digits, "-", "_" and ".", with an organisation or not.
_WORD = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_MODEL_ID = re.compile(rf"(?:{_WORD}/)?{_WORD}")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+/-]{0,254}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


# repository:quantisation, as GGUF files are named.
_GGUF_FILE = re.compile(r"[\w.-]+/[\w.-]+:[A-Z0-9_]+")


def is_model_id(value: object) -> TypeGuard[str]:
    """Whether a value is an id the Hub could have given out."""
    return (
        isinstance(value, str)
        and _MODEL_ID.fullmatch(value) is not None
        and ".." not in value
        and "--" not in value
        and not value.endswith(".git")
    )


def is_commit(value: object) -> TypeGuard[str]:
    """Whether a value is a full commit hash."""
    return isinstance(value, str) and _COMMIT.fullmatch(value) is not None


def check_model_id(model: str) -> None:
    """Refuse, with InvalidRequest, what is neither a folder here nor a possible id."""
    if re.match(r"\w+://", model):
        raise InvalidRequest(
            f"{shown(model)} is an address, whose config.json is not read here.",
            "Give the Hub id of the same model, or a folder that holds its config.json.",
        )
    if _GGUF_FILE.fullmatch(model):
        raise InvalidRequest(
            f"{shown(model)} names a GGUF file, and GGUF is not modelled here.",
            "Ask with the original model in safetensors, or with another quantised checkpoint.",
        )
    if not is_model_id(model):
        raise InvalidRequest(
            f"{shown(model)} is neither a folder here nor a model id.",
            "Write the id as organisation/name, for example Qwen/Qwen3-8B, or give the path of "
            "a folder that holds a config.json.",
        )


def check_revision(revision: str) -> None:
    """Refuse, with InvalidRequest, what cannot be a branch, tag or commit."""
    if not _REVISION.fullmatch(revision) or ".." in revision or "//" in revision:
        raise InvalidRequest(
            f"The revision {shown(revision)} is no branch, tag or commit.",
            "Write it as on the Hub, for example main, v1.0, refs/pr/3 or a commit hash.",
        )


def shown(text: str) -> str:
    """A user's text in quotes, cut to a readable length, control characters escaped."""
    return quoted(text)
