"""Percentiles under a Poisson rate: the formulas against the simulation of the scheduler.

    python benchmarks/arrivals_accuracy.py [--check] [--workloads 200] [--requests 12000]

Random launches, lengths and rates, from 5 to 80 % of what is served. With `--check`, exits
1 when fewer of the workloads than the limits say lie within 10 % of the simulation. A
simulation of 4,000 requests is itself known to a few per cent: with another seed one in
twelve 95th percentiles of the time per token moves by more than 10 %, so that the limits
are for longer ones. `--noise` prints that.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from vllm_preflight.contract.check import StartupRequest  # noqa: E402
from vllm_preflight.hardware.catalog import find_gpu  # noqa: E402
from vllm_preflight.launch.resolve import resolve_launch  # noqa: E402
from vllm_preflight.memory.startup import Startup, simulate_startup  # noqa: E402
from vllm_preflight.models.model import Model  # noqa: E402
from vllm_preflight.models.sources import load_model  # noqa: E402
from vllm_preflight.performance.arrivals.simulation import simulate  # noqa: E402
from vllm_preflight.performance.arrivals.tails import tails  # noqa: E402
from vllm_preflight.performance.coefficients import load_coefficients  # noqa: E402
from vllm_preflight.performance.replica import Facts, facts_of, replica_of  # noqa: E402
from vllm_preflight.performance.steady import Replica  # noqa: E402
from vllm_preflight.performance.workload import Workload  # noqa: E402

LAUNCHES: tuple[tuple[str, str, tuple[tuple[str, Any], ...]], ...] = (
    ("Qwen/Qwen3-14B", "H100", ()),
    ("openai/gpt-oss-120b", "H100", (("tensor_parallel_size", 2),)),
    ("Qwen/Qwen3.5-35B-A3B", "H200", ()),
    ("Qwen/Qwen3-32B-FP8", "RTX 4090", (("tensor_parallel_size", 4),)),
    ("Qwen/Qwen3-32B-AWQ", "A100 80GB", (("vllm_version", "0.11.0"),)),
    ("meta-llama/Llama-3.1-70B-Instruct", "H100", (("tensor_parallel_size", 4),)),
)
PERCENTILES = (50, 95)
CLOSE = 0.10
# Least shares of workloads within `CLOSE`, by percentile.
LIMITS: Mapping[int, float] = {50: 0.94, 95: 0.9}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 below a limit")
    parser.add_argument("--workloads", type=int, default=200)
    parser.add_argument("--requests", type=int, default=12_000, help="of each simulation")
    parser.add_argument("--noise", action="store_true", help="compare two seeds instead")
    arguments = parser.parse_args()
    kept = True
    found = compared(arguments.workloads, requests=arguments.requests, noise=arguments.noise)
    for name, errors in found.items():
        share = within(errors)
        kept &= share >= LIMITS[int(name[-2:])]
        print(
            f"{name:<12} median error {statistics.median(errors):.1%}, within 10 %: {share:.1%}, "
            f"largest {max(errors):.0%}"
        )
    return 0 if kept or not arguments.check else 1


def compared(workloads: int, requests: int, *, noise: bool = False) -> dict[str, list[float]]:
    """The relative errors of each percentile over random workloads.

    With `noise` those of a simulation with another seed, in place of the formulas.
    """
    errors: dict[str, list[float]] = {}
    for number, (replica, rate) in enumerate(random_loads(workloads)):
        formula = (
            simulate(replica, requests=requests, seed=workloads + number, rate=rate)
            if noise
            else tails(replica, rate)
        )
        reference = simulate(replica, requests=requests, seed=number, rate=rate)
        for name in ("ttft", "tpot", "latency"):
            for percentile in PERCENTILES:
                found = float("inf") if formula is None else getattr(formula, name).at(percentile)
                error = abs(found / getattr(reference, name).at(percentile) - 1)
                errors.setdefault(f"{name} p{percentile}", []).append(error)
    return errors


def within(errors: list[float]) -> float:
    """The share of errors that are close."""
    return statistics.mean(error <= CLOSE for error in errors)


def random_loads(number: int) -> Iterator[tuple[Replica, float]]:
    """Launches under random lengths, with a rate of 5 to 80 % of what each serves."""
    draws = random.Random(17)
    for _ in range(number):
        launch = draws.choice(LAUNCHES)
        prompt, generated = int(2 ** draws.uniform(6, 12.6)), int(2 ** draws.uniform(5, 10.5))
        facts = facts_of(*started(*launch), Workload(prompt, generated))
        assert isinstance(facts, Facts)
        replica = replica_of(facts, load_coefficients())
        yield replica, replica.at_rate(1e9).requests_per_s * draws.uniform(0.05, 0.8)


@cache
def started(
    name: str, gpu_name: str, changes: tuple[tuple[str, Any], ...]
) -> tuple[Model, Startup]:
    """A model and its start-up."""
    model, gpu = load_model(name, source="catalog"), find_gpu(gpu_name)
    given: dict[str, Any] = {"max_model_len": 8192, **dict(changes)}
    request = StartupRequest(model=name, gpu=gpu_name, **given)
    launch = resolve_launch(request, model.architecture, gpu, config=model.config)
    return model, simulate_startup(model, gpu, gpu.compute_capability or (8, 0), launch)


if __name__ == "__main__":
    sys.exit(main())
