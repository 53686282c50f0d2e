"""Why text holds no server that can be read, and what to give instead."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.words.prepare import CURLY_QUOTES

_OTHER_COMMANDS = re.compile(
    r"vllm\s+(?:bench\s+\w+|launch\s+\w+|chat|complete)|trl\s+vllm-serve|\bLLM\("
)
_COMPOSE = re.compile(r"\b(?:docker[ -]compose|podman[ -]compose|nerdctl\s+compose)\b")
_INSTALLED_FROM_FILES = re.compile(
    r"\b(?:helm\s+(?:install|upgrade|template)|(?:kubectl|oc)\s+(?:apply|create|replace))\b"
)
_YAML_KEY = re.compile(r"^[ \t]*(?:-[ \t]+)*[\w./-]+:(?:[ \t]|$)", re.MULTILINE)
_MANIFEST_KEY = re.compile(
    r"^[ \t]*(?:-[ \t]+)?(?:apiVersion|kind|services|containers|image|spec|args|command|"
    r"entrypoint|env|environment|deploy|resources):(?:[ \t]|$)",
    re.MULTILINE,
)
_FEWEST_KEYS = 2
# Programs that start the same words once for each GPU.
_COPYING = frozenset({"torchrun", "mpirun", "mpiexec", "deepspeed", "accelerate"})


def nothing_found(text: str) -> InvalidRequest:
    """The sentence for text without a vLLM server."""
    shown = text.strip()[:60]
    other = _OTHER_COMMANDS.search(text)
    if other:
        return InvalidRequest(
            f"{other[0]!r} is no server; this tool reads `vllm serve`.",
            "It takes the same engine arguments: give them as vllm serve MODEL ….",
        )
    files = _COMPOSE.search(text) or _INSTALLED_FROM_FILES.search(text)
    if files:
        return InvalidRequest(
            f"What {files[0]!r} starts stands in its file, not in the command.",
            "Give that file with -f, as in: vllm-preflight check -f FILE --gpu GPU",
        )
    if any(quote in text for quote in CURLY_QUOTES):
        return InvalidRequest(
            f"There is no vLLM server in {shown!r}; its curly quotes are none to a shell.",
            "Write straight quotes, ' or \".",
        )
    return InvalidRequest(
        f"There is no vLLM server in {shown!r}.",
        "Give a line such as: vllm serve MODEL --max-model-len 8192",
    )


def refuse_yaml(text: str) -> None:
    """Refuse a manifest or compose file given as a command.

    Raises InvalidRequest for what is one.
    """
    if _MANIFEST_KEY.search(text) and len(_YAML_KEY.findall(text)) >= _FEWEST_KEYS:
        raise InvalidRequest(
            "This is YAML, not a command.",
            "Give it as a file with -f, as in: vllm-preflight check -f FILE --gpu GPU",
        )


def refuse_copies(before: Sequence[str]) -> None:
    """Refuse words that run a server more than once; `before` are those before it.

    Raises InvalidRequest naming the program.
    """
    found = next((word for word in before if word.rsplit("/", 1)[-1] in _COPYING), None)
    if found is not None:
        raise InvalidRequest(
            f"{found} starts a server of its own for each process; vLLM starts its workers itself.",
            "Give the line without it, with --tensor-parallel-size for the GPUs.",
        )
