"""Which module answers a command, loaded when it is asked; user errors as one sentence."""

from __future__ import annotations

import importlib
import json
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.base.text import presentable

# The exit code of software errors (sysexits.h), no answer's and no user error's.
BUG = 70

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
    "ui": "ui",
}


def run(command: str, arguments: Sequence[str]) -> int:
    """Run `command`; returns the exit code. User errors are printed as one sentence."""
    try:
        return _load(command)(arguments)
    except PreflightError as error:
        if "--json" in arguments:
            message, hint = presentable(error.message), presentable(error.hint)
            problem = {"code": error.code, "message": message, "hint": hint}
            print(json.dumps({"error": problem}, indent=2))
        else:
            print(f"error: {presentable(str(error))}", file=sys.stderr)
        return error.exit_code
    except (OSError, SystemExit):
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        print(f"error: this is a bug in vllm-preflight ({where}); report it.", file=sys.stderr)
        return BUG


def _load(command: str) -> Callable[[Sequence[str]], int]:
    module = importlib.import_module(f"vllm_preflight_server.cli.{_MODULES[command]}")
    return getattr(module, command)
