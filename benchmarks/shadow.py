"""Derived activation and growth against what vLLM's own profile pass allocates.

    python benchmarks/shadow.py               prints the comparison; exits 1 below the target
    python benchmarks/shadow.py --all         every run, not only the misses

`data/shadow_cases.jsonl` holds runs of vLLM's `profile_run` on simulated tensors: no GPU
was used, so graphs and memory outside PyTorch's allocator are not in them. A run agrees
when peak and growth are each within 2 % or 16 MiB.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vllm_preflight.base.errors import PreflightError  # noqa: E402
from vllm_preflight.base.units import BYTES_TO_GIB, BYTES_TO_MIB  # noqa: E402
from vllm_preflight.contract.check import StartupRequest  # noqa: E402
from vllm_preflight.hardware.catalog import find_gpu  # noqa: E402
from vllm_preflight.launch.resolve import resolve_launch  # noqa: E402
from vllm_preflight.memory.runtime.profile import profiled_memory  # noqa: E402
from vllm_preflight.models.sources import load_model  # noqa: E402

PATH = ROOT / "benchmarks/data/shadow_cases.jsonl"
TARGET = 0.95
_SHARE = 0.02
_BYTES = 16 * BYTES_TO_MIB

FIELDS: Mapping[str, str] = {
    "model": "catalogue id",
    "version": "vLLM release whose code ran",
    "gpu": "catalogue name of the simulated GPU",
    "tp": "tensor-parallel size",
    "pp": "pipeline-parallel size",
    "samples": "whether the stage samples: the last one does",
    "compiled": "torch.compile with an empty cache; absent: eager",
    "tokens": "max_num_batched_tokens",
    "sequences": "max_num_seqs",
    "length": "max_model_len",
    "seeded": "run without FlashInfer's sampler",
    "runner": "model runner that the release picked",
    "peak": "bytes: largest allocation of the pass over what was allocated before",
    "growth": "bytes: what the pass leaves allocated",
    "buffers": "bytes: the runner's own buffers, allocated before the pass",
    "layers": "layers kept of the model; peaks repeat layer by layer",
}

# The simulated device's name -> the catalogue's.
GPUS: Mapping[str, str] = {
    "NVIDIA H100 80GB HBM3": "H100 SXM5 80GB",
    "NVIDIA A100-SXM4-80GB": "A100 SXM4 80GB",
    "NVIDIA GeForce RTX 4090": "GeForce RTX 4090",
    "NVIDIA B200": "B200 SXM 180GB",
    "NVIDIA L4": "L4",
}


@dataclass(frozen=True)
class Comparison:
    """One run beside the derivation; bytes."""

    case: Mapping[str, Any]
    runner: str
    phase: str
    peak: float
    growth: float
    buffers: float

    @property
    def agrees(self) -> bool:
        """Whether peak and growth are within the tolerance."""
        return _close(self.peak, self.case["peak"]) and _close(self.growth, self.case["growth"])

    @property
    def line(self) -> str:
        """The run in one line, GiB."""
        case = self.case
        figures = " ".join(
            f"{name} {ours / BYTES_TO_GIB:.3f} ({case[name] / BYTES_TO_GIB:.3f})"
            for name, ours in (
                ("peak", self.peak),
                ("growth", self.growth),
                ("buffers", self.buffers),
            )
        )
        how = "compiled" if case.get("compiled") else "eager"
        return (
            f"{case['model']} {case['version']} {case['gpu']} tp{case['tp']} pp{case['pp']} {how} "
            f"{case['tokens']}/{case['sequences']} {self.runner}: {figures} [{self.phase}]"
        )


def _close(ours: float, theirs: float) -> bool:
    return abs(ours - theirs) <= max(_SHARE * abs(theirs), _BYTES)


def load_shadow_cases(path: Path = PATH) -> list[dict[str, Any]]:
    """All runs, in the order of the file."""
    _, *lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def compare(case: Mapping[str, Any]) -> Comparison:
    """What the derivation gives for a run.

    Raises:
        PreflightError: the engine refuses the model.
    """
    model = load_model(case["model"], source="catalog")
    gpu = find_gpu(case["gpu"])
    compiled = case.get("compiled", False)
    request = StartupRequest(
        model=case["model"],
        gpu=gpu.name,
        vllm_version=case["version"],
        tensor_parallel_size=case["tp"],
        pipeline_parallel_size=case["pp"],
        max_model_len=case["length"],
        max_num_batched_tokens=case["tokens"],
        max_num_seqs=case["sequences"],
        enforce_eager=not compiled,
        compile_cache="cold" if compiled else "warm",
        # The simulated models run without their encoders.
        limit_mm_per_prompt='{"image": 0, "video": 0, "audio": 0}',
    )
    environment = {"VLLM_USE_FLASHINFER_SAMPLER": "0"} if case.get("seeded") else {}
    launch = resolve_launch(
        request,
        model.architecture,
        gpu,
        # Embedding models were run as the decoders they are made of.
        extra={"runner": "generate"},
        config=model.config,
        environment=environment,
    )
    memory = profiled_memory(model, launch, gpu, last=case.get("samples", False))
    return Comparison(
        case, launch.model_runner, memory.phase, memory.peak, memory.growth, memory.buffers
    )


def compare_all(cases: Sequence[Mapping[str, Any]]) -> list[Comparison]:
    """Every run the engine answers for."""
    found: list[Comparison] = []
    for case in cases:
        try:
            found.append(compare(case))
        except PreflightError as error:
            print(f"{case['model']}: {error}", file=sys.stderr)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Derived memory against vLLM's profile pass.")
    parser.add_argument("--all", action="store_true", help="print every run")
    options = parser.parse_args(arguments)
    found = compare_all(load_shadow_cases())
    for item in found:
        if options.all or not item.agrees:
            print(("  " if item.agrees else "! ") + item.line)
    share = sum(item.agrees for item in found) / len(found)
    print(f"{len(found)} runs: {share:.1%} within {_SHARE:.0%} or 16 MiB (target {TARGET:.0%})")
    return 0 if share >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
