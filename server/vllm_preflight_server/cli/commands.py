"""Which module answers a command, loaded when it is asked; user errors as one sentence."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence

from vllm_preflight.base.errors import PreflightError

# The room of each command; a command is a function of its own name there.
_MODULES: Mapping[str, str] = {
    "plan": "plan",
    "generate": "generate",
    "check": "check",
    "diff": "diff",
    "pack": "pack",
    "compare": "compare",
    "find": "find",
    "explain": "explain",
    "inspect": "facts",
    "detect": "facts",
    "overhead": "facts",
    "call": "call",
    "serve": "serve",
}


def run(command: str, arguments: Sequence[str]) -> int:
    """Run `command`; returns the exit code. User errors are printed as one sentence."""
    try:
        return _load(command)(arguments)
    except PreflightError as error:
        if "--json" in arguments:
            problem = {"code": error.code, "message": error.message, "hint": error.hint}
            print(json.dumps({"error": problem}, indent=2))
        else:
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code


def _load(command: str) -> Callable[[Sequence[str]], int]:
    module = importlib.import_module(f"vllm_preflight_server.cli.{_MODULES[command]}")
    return getattr(module, command)
