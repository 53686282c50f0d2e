"""How many GPUs of a kind does a deployment need? A controller's question, embedded.

    python examples/provision.py MODEL GPU [REQUESTS_AT_ONCE]

Prints the node pool and the container's arguments as JSON, or why there are none.
"""

from __future__ import annotations

import json
import shlex
import sys

import vllm_preflight as vp

COUNTS = (1, 2, 4, 8)


def provision(model: str, gpu: str, concurrency: int) -> dict[str, object]:
    """The smallest number of GPUs that carries the requests for sure."""
    reasons: list[str] = []
    for gpus in COUNTS:
        plan = vp.plan(model=model, gpu=gpu, gpus=gpus, concurrency=concurrency)
        if plan.verdict.outcome == "carries":
            command = plan.artifacts.serve_command or ""
            return {"gpus": gpus, "gpu": plan.hardware.gpu, "args": shlex.split(command)[2:]}
        reasons.append(f"{gpus}: {plan.verdict.sentence}")
    return {"gpus": None, "reasons": reasons}


def main() -> int:
    """Answer the command line."""
    model, gpu, *rest = sys.argv[1:]
    try:
        print(json.dumps(provision(model, gpu, int(rest[0]) if rest else 8), indent=2))
    except vp.PreflightError as error:
        print(f"{error.code}: {error.message} {error.hint}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
