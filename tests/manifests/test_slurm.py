"""Slurm's batch scripts: whose GPUs and nodes a server gets, and how often it is started."""

from __future__ import annotations

import pytest

from vllm_preflight.manifests.read import read_manifest
from vllm_preflight.manifests.servers import ManifestServer

SERVE = "vllm serve a/b"
H100, A100 = ("H100 SXM5 80GB",), ("A100 SXM4 80GB",)


def _one(directives: str, commands: str) -> ManifestServer:
    lines = [f"#SBATCH {line}" for line in directives.split(" | ")]
    text = "\n".join(["#!/bin/bash", *lines, "", commands, ""])
    (server,) = read_manifest(text, "job.sbatch", {})
    assert server.command is not None, server.problem
    return server


@pytest.mark.parametrize(
    ("directives", "commands", "names", "count"),
    [
        ("--gres=gpu:h100:4", SERVE, H100, 4),
        ("--gres=gpu:4", SERVE, (), 4),
        ("--gres=gpu:h100", f"srun {SERVE}", H100, 1),
        ("--gpus-per-node=h100:8", SERVE, H100, 8),
        ("--gpus=h100:16 | --nodes=2", SERVE, H100, 8),
        ("-G 2 | -C h100", SERVE, H100, 2),
        # A constraint says which of two cards a type is.
        ("--gres gpu:a100:4 | --constraint=a100_80g", SERVE, A100, 4),
        ("--gres=gpu:nvidia_h100_80gb_hbm3:2", SERVE, H100, 2),
        ("--gres=gpu:8", f"srun --gres=gpu:2 {SERVE}", (), 2),
        ("-N 1", f"srun --gres=gpu:h100:2 \\\n  {SERVE}", H100, 2),
        ("--gres=gpu:8", f"export CUDA_VISIBLE_DEVICES=0,1\n{SERVE}", (), 2),
        ("-t 1:00", SERVE, (), None),
    ],
)
def test_the_gpus_are_those_of_the_job(
    directives: str, commands: str, names: tuple[str, ...], count: int | None
) -> None:
    gpus = _one(directives, commands).gpus
    assert (gpus.names, gpus.count, gpus.every) == (names, count, count is None)


def test_directives_end_at_the_first_command() -> None:
    text = f"#!/bin/bash\n#SBATCH --gres=gpu:2\nmodule load x\n#SBATCH --gres=gpu:8\n{SERVE}\n"
    (server,) = read_manifest(text, "job.sh", {})
    assert server.gpus.count == 2


def test_variables_of_the_job_are_filled_in() -> None:
    server = _one("--gres=gpu:4 | -N 2", f"{SERVE} -tp $SLURM_GPUS_ON_NODE -pp ${{SLURM_NNODES}}")
    assert server.command is not None
    assert [word.text for word in server.command.words] == ["a/b", "-tp", "4", "-pp", "2"]


@pytest.mark.parametrize(
    ("directives", "commands", "nodes", "replicas", "said"),
    [
        # Ray, or vLLM's own flags, make one server of several nodes.
        (
            "--nodes=2 | --gpus-per-node=8 | --ntasks-per-node=1",
            f"srun -N1 ray start --head --block &\nsrun ray start --address h:1 &\n{SERVE} -tp 8",
            2,
            1,
            "",
        ),
        (
            "-N 2 | --gres=gpu:8",
            f"srun {SERVE} -tp 16 --nnodes 2 --node-rank $SLURM_NODEID",
            2,
            1,
            "",
        ),
        ("-N 2 | --gres=gpu:8", f"{SERVE} -tp 8", 1, 1, "the server runs on the first"),
        ("-N 2 | --gres=gpu:8", f"srun {SERVE} -tp 8", 1, 2, "starts it 2 times"),
        ("--ntasks-per-node=4 | --gpus-per-task=1", f"srun {SERVE}", 1, 4, "starts it 4 times"),
        ("--ntasks=4 | --gres=gpu:4", f"srun --ntasks=1 {SERVE} -tp 4", 1, 1, ""),
    ],
)
def test_nodes_are_one_server_only_where_something_joins_them(
    directives: str, commands: str, nodes: int, replicas: int, said: str
) -> None:
    server = _one(directives, commands)
    assert (server.nodes, server.replicas) == (nodes, replicas)
    assert said in " ".join(server.notes) and bool(server.notes) is bool(said)
