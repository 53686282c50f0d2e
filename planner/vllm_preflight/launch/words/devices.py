"""How many GPUs a launch sees: variables, container options, a batch system's request.

Of several limits the least holds. Sources: CUDA C++ Programming Guide (CUDA_VISIBLE_DEVICES),
ROCm's GPU isolation, Docker's and NVIDIA Container Toolkit's documentation, Slurm's manual.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

# Variables that name devices, of CUDA, of NVIDIA's container runtime, of HIP and of ROCm's.
_VARIABLES = (
    *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    *("HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
)
_DEVICE = re.compile(r"\d+(?::\d+)?|(?:GPU|MIG)-[\w/-]+")
_NONE_AT_ALL = frozenset({"", "-1", "none", "void", "NoDevFiles"})
_GRES = re.compile(r"(?:.*,)?gpu(?::[A-Za-z][\w.-]*)?(?::(\d+))?(?:\(.*\))?(?:,.*)?")
_TYPED_COUNT = re.compile(r"(?:[A-Za-z][\w.-]*:)?(\d+)")
_DIRECTIVE = re.compile(r"^[ \t]*#SBATCH[ \t]+(\S[^\n#]*)", re.MULTILINE)
_LIMIT = re.compile(r"((?:nvidia|amd)\.com/gpu)[\"']?\s*[=:]\s*[\"']?(\d+)")


@dataclass(frozen=True, slots=True)
class Visible:
    """A limit to the GPUs that a launch sees, and the words that say so."""

    count: int
    said: str


def by_environment(environment: Mapping[str, str]) -> Iterator[Visible]:
    """What the variables of a launch leave of the GPUs."""
    for name in _VARIABLES:
        count = _listed(environment[name]) if name in environment else None
        if count is not None:
            yield Visible(count, f"{name}={environment[name]}")


def _listed(text: str) -> int | None:
    """Devices of a list; None for `all` and for what is no list. CUDA stops at a wrong entry."""
    text = text.strip()
    if "$" in text or "<" in text:
        return None
    if text in _NONE_AT_ALL:
        return 0
    entries = [entry.strip() for entry in text.split(",")]
    right = 0
    for entry in entries:
        if not _DEVICE.fullmatch(entry):
            break
        right += 1
    return right or None


def by_docker_gpus(value: str) -> Visible | None:
    """What `--gpus VALUE` of `docker run` hands in; None for all of them.

    The value is a line of comma-separated settings: `device=0` or `"device=0,1"`, a number
    or `count=2`, and others that hand in no GPUs.
    """
    settings: list[str] = next(csv.reader([value.strip().strip("'")]), [""])
    said = f"--gpus {value}"
    for index, setting in enumerate(settings):
        name, equals, text = setting.strip().partition("=")
        if name == "count" or (not equals and name.isdigit()):
            count = text if equals else name
            return Visible(int(count), said) if count.isdigit() else None
        if name == "device":
            # Docker refuses a list without quotes; what it means is clear.
            loose = [word for word in settings[index + 1 :] if _DEVICE.fullmatch(word.strip())]
            listed = _listed(",".join([text, *loose]))
            return None if listed is None else Visible(listed, said)
    return None


def by_cdi_devices(values: Sequence[str]) -> Visible | None:
    """What `--device nvidia.com/gpu=0` of podman and its relatives hands in, all together."""
    names = [value.partition("=")[2] for value in values if value.startswith("nvidia.com/gpu=")]
    if not names or "all" in names:
        return None
    said = " ".join(f"--device nvidia.com/gpu={name}" for name in names)
    return Visible(len(names), said)


def by_resource_limit(text: str) -> Visible | None:
    """What a Kubernetes limit in the text allows, such as `nvidia.com/gpu=2`."""
    match = _LIMIT.search(text)
    return Visible(int(match[2]), f"{match[1]}={match[2]}") if match else None


def by_directives(text: str) -> Iterator[Visible]:
    """What the `#SBATCH` lines of a batch script ask for on each node."""
    words = [word for match in _DIRECTIVE.finditer(text) for word in match[1].split()]
    return by_slurm(words)


def by_slurm(words: Sequence[str]) -> Iterator[Visible]:
    """What options of srun and sbatch ask for on each node."""
    given = dict(slurm_options(words))
    nodes = _counted(given, "--nodes", "-N") or 1
    for name in ("--gres", "--gpus-per-node", "--gpus", "-G", "--gpus-per-task"):
        if name not in given:
            continue
        pattern = _GRES if name == "--gres" else _TYPED_COUNT
        match = pattern.fullmatch(given[name])
        if match is None:
            continue
        count = int(match[1] or 1)
        shared = count // nodes if name in {"--gpus", "-G"} else count
        yield Visible(shared, f"{name}={given[name]}")


def slurm_options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options among the words of srun or sbatch, each with its value or the word behind."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            continue
        if not word.startswith("--") and len(word) > 2 and not equals:
            # -G4, -N2: the value stands right behind the letter.
            yield word[:2], word[2:]
        yield name, value if equals else following


def _counted(given: Mapping[str, str], *names: str) -> int | None:
    values = [given[name] for name in names if given.get(name, "").isdigit()]
    return int(values[0]) if values else None
