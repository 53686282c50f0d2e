"""The command of a choice, and the line for each machine where it spans several.

Source: vLLM docs, "Parallelism and Scaling" and "Data Parallel Deployment"; flags of
vllm/engine/arg_utils.py (--nnodes, --node-rank, --master-addr since the release that the
flag table names; --data-parallel-size-local, --data-parallel-address, --headless).
"""

from __future__ import annotations

import shlex

from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.launch.flags.bearing import find_flag, unavailable
from vllm_preflight.launch.render import render_command
from vllm_preflight.models.model import Model
from vllm_preflight.recommend.arguments import written_arguments, written_words
from vllm_preflight.recommend.choose import Choice
from vllm_preflight.recommend.layouts import Layout

# What the reader fills in: the address of the first machine.
HEAD = "$HEAD_IP"
_DP_PORT = 13345
_RAY_PORT = 6379


def serve_lines(request: PlanRequest, model: Model, choice: Choice) -> tuple[str, ...]:
    """The `vllm serve` lines of a choice: one a machine, the head's first.

    Replicas that each lie within a machine are spread as data-parallel ranks; a replica
    over several machines is one process group, or Ray where the release has no --nnodes.
    """
    layout, version = choice.layout, choice.startup.launch.version
    arguments = written_arguments(request, model, choice)
    serve = render_command({"model": model.id, **arguments}, version=version).text
    words = written_words(request, model, choice)
    serve = " ".join([serve, *map(shlex.quote, words)])
    per_node = choice.hardware.gpus_per_node
    machines = -(-layout.gpus // per_node)
    if machines == 1:
        return (serve,)
    if layout.replica_gpus <= per_node:
        return _replicas(serve, layout, machines)
    nnodes = find_flag("--nnodes")
    if nnodes is None or unavailable(nnodes, version):
        return _ray(serve, machines)
    group = f"--nnodes {machines} --master-addr {HEAD}"
    return tuple(
        f"{serve} {group} --node-rank {rank}{' --headless' if rank else ''}"
        for rank in range(machines)
    )


def _replicas(serve: str, layout: Layout, machines: int) -> tuple[str, ...]:
    local = layout.replicas // machines
    common = f"--data-parallel-size-local {local} --data-parallel-address {HEAD}"
    common += f" --data-parallel-rpc-port {_DP_PORT}"
    return tuple(
        f"{serve} {common}"
        + (f" --headless --data-parallel-start-rank {rank * local}" if rank else "")
        for rank in range(machines)
    )


def _ray(serve: str, machines: int) -> tuple[str, ...]:
    head = f"ray start --head --port={_RAY_PORT} && "
    worker = f"ray start --address={HEAD}:{_RAY_PORT} --block"
    return (
        f"{head}{serve} --distributed-executor-backend ray",
        *(worker for _ in range(machines - 1)),
    )
