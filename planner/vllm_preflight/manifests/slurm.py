"""What a Slurm batch script asks for: GPUs and nodes of its job, copies that srun starts.

Source: Slurm's sbatch and srun manuals (--gres, --gpus*, --nodes, --ntasks*, output environment
variables).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vllm_preflight.launch.words.devices import by_slurm, slurm_options
from vllm_preflight.manifests.accelerators import named_gpu
from vllm_preflight.manifests.servers import Gpus

_DIRECTIVE = re.compile(r"#SBATCH[ \t]+(\S[^\n#]*)")
_RAY = re.compile(r"\bray\s+start\b")
_SRUN = re.compile(r"^[^\n#]*\bsrun\b((?:[^\n\\]|\\\n)*?\bvllm\b)", re.MULTILINE)
# The GPU's type in --gres=gpu:h100:4 and --gpus-per-node=h100:4.
_TYPED = re.compile(r"(?:.*,)?(?:gpu:)?([A-Za-z][\w.-]*)(?::\d+)?(?:\(.*\))?(?:,.*)?")
_GPU_OPTIONS = ("--gres", "--gpus-per-node", "--gpus", "-G", "--gpus-per-task")
_PLACES = ("--constraint", "-C", "--prefer")


@dataclass(frozen=True)
class SlurmJob:
    """A job as its script asks for it.

    `nodes` are those of the job, `copies` how often srun starts the server, once a task;
    `joins` is true where the script starts Ray, so that nodes make one server.
    """

    gpus: Gpus
    nodes: int = 1
    copies: int = 1
    joins: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """What Slurm sets in the script of the first node, as far as the script says it."""
        found = {
            "SLURM_NNODES": str(self.nodes),
            "SLURM_JOB_NUM_NODES": str(self.nodes),
            "SLURM_NODEID": "0",
            "SLURM_PROCID": "0",
            "SLURM_LOCALID": "0",
        }
        if self.gpus.count is not None:
            found["SLURM_GPUS_ON_NODE"] = str(self.gpus.count)
        return found


def slurm_job(text: str) -> SlurmJob | None:
    """The job of a batch script; None for text that asks Slurm for nothing."""
    head = _directives(text)
    step = _SRUN.search(text)
    words = step[1].replace("\\\n", " ").split() if step else []
    if not head and step is None:
        return None
    job, own = dict(slurm_options(head)), dict(slurm_options(words))
    given = {**job, **own}
    nodes = _number(given, "--nodes", "-N") or 1
    limits = [limit.count for limit in (*by_slurm(head), *by_slurm(words))]
    # A constraint says which of several cards of one type.
    names = [n for option in _PLACES if (n := named_gpu(given.get(option, ""))) is not None]
    names += [n for option in _GPU_OPTIONS if (n := _type(given.get(option, ""))) is not None]
    gpus = Gpus(tuple(dict.fromkeys(names))[:1], min(limits, default=None))
    copies = _tasks(given, nodes) if step else 1
    return SlurmJob(gpus, nodes, copies, _RAY.search(text) is not None)


def _directives(text: str) -> list[str]:
    """The words of the #SBATCH lines, which end at the first command."""
    words: list[str] = []
    for line in text.splitlines():
        if found := _DIRECTIVE.match(line):
            words += found[1].split()
        elif line.strip() and not line.startswith("#"):
            break
    return words


def _type(value: str) -> str | None:
    found = _TYPED.fullmatch(value)
    return named_gpu(found[1]) if found and found[1] != "gpu" else None


def _tasks(given: dict[str, str], nodes: int) -> int:
    """How many tasks a step of srun has: --ntasks, or those of each node."""
    whole = _number(given, "--ntasks", "-n")
    return whole or nodes * (_number(given, "--ntasks-per-node") or 1)


def _number(given: dict[str, str], *names: str) -> int | None:
    """A count, of a range (2-4) its least."""
    for name in names:
        if found := re.match(r"\d{1,6}", given.get(name, "")):
            return int(found[0])
    return None
