"""Will this model start on these GPUs under vLLM, and with what: the engine, as a library."""

__version__ = "0.1.0"

# Nothing below is loaded before it is asked for; type checkers read it all the same.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from vllm_preflight.base.errors import PreflightError
    from vllm_preflight.library.calls import (
        Stopped,
        check,
        check_async,
        compare,
        compare_async,
        detect,
        diff,
        diff_async,
        explain,
        explain_async,
        find_models,
        generate,
        generate_async,
        inspect,
        inspect_async,
        overhead,
        overhead_async,
        pack,
        pack_async,
        plan,
        plan_async,
    )

__all__ = [
    "PreflightError",
    "Stopped",
    "check",
    "check_async",
    "compare",
    "compare_async",
    "detect",
    "diff",
    "diff_async",
    "explain",
    "explain_async",
    "find_models",
    "generate",
    "generate_async",
    "inspect",
    "inspect_async",
    "overhead",
    "overhead_async",
    "pack",
    "pack_async",
    "plan",
    "plan_async",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'vllm_preflight' has no attribute {name!r}")
    import importlib

    room = "base.errors" if name == "PreflightError" else "library.calls"
    return getattr(importlib.import_module(f"vllm_preflight.{room}"), name)
