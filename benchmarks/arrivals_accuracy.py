"""Percentiles under a Poisson rate: the formulas against the simulation of the scheduler.

    python benchmarks/arrivals_accuracy.py [--check] [--workloads 200] [--seed 17]

Random launches, lengths and rates, from 5 to 80 % of what is served. A simulation of 12,000
requests is itself known to a few per cent only: with another seed one in twelve 95th
percentiles of the time per token moves by more than 10 %. So each workload is simulated until
the mean of its percentiles is known to 1.5 % (one standard error), or eight times. With
`--check`, exits 1 when fewer of the workloads than the limits say lie within 10 %.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics
import sys
from collections.abc import Iterable, Iterator, Mapping
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
METRICS = ("ttft", "tpot", "latency")
CLOSE = 0.10
# Least shares of workloads within `CLOSE`, by percentile.
LIMITS: Mapping[int, float] = {50: 0.98, 95: 0.97}
# Standard error to which the mean of several simulations is to be known, and most of them.
KNOWN = 0.015
MOST_RUNS = 8


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 below a limit")
    parser.add_argument("--workloads", type=int, default=200)
    parser.add_argument("--seed", type=int, default=17, help="of the workloads")
    parser.add_argument("--requests", type=int, default=12_000, help="of each simulation")
    arguments = parser.parse_args()
    kept = True
    loads = random_loads(arguments.workloads, arguments.seed)
    for name, errors in compared(loads, requests=arguments.requests).items():
        share = within(errors)
        kept &= share >= LIMITS[int(name[-2:])]
        print(
            f"{name:<12} median error {statistics.median(errors):.1%}, within 10 %: {share:.1%}, "
            f"largest {max(errors):.0%}"
        )
    return 0 if kept or not arguments.check else 1


def compared(
    loads: Iterable[tuple[Replica, float]], requests: int, runs: int = MOST_RUNS
) -> dict[str, list[float]]:
    """The relative errors of each percentile over workloads.

    They are against the mean of up to `runs` simulations of so many `requests`.
    """
    errors: dict[str, list[float]] = {}
    for number, (replica, rate) in enumerate(loads):
        formula = tails(replica, rate)
        for name, true in _reference(replica, rate, requests, runs, number).items():
            metric, percentile = name.split(" p")
            found = formula and getattr(formula, metric).at(int(percentile))
            errors.setdefault(name, []).append(abs((found or float("inf")) / true - 1))
    return errors


def _reference(
    replica: Replica, rate: float, requests: int, runs: int, number: int
) -> dict[str, float]:
    """The mean percentiles of as many simulations as it takes to know them."""
    seen: dict[str, list[float]] = {}
    for run in range(runs):
        found = simulate(replica, requests=requests, seed=runs * number + run, rate=rate)
        for metric, percentile in itertools.product(METRICS, PERCENTILES):
            value = getattr(found, metric).at(percentile)
            seen.setdefault(f"{metric} p{percentile}", []).append(value)
        if run and all(_error(values) < KNOWN for values in seen.values()):
            break
    return {name: statistics.mean(values) for name, values in seen.items()}


def _error(values: list[float]) -> float:
    """The standard error of their mean, relative to it."""
    return statistics.stdev(values) / math.sqrt(len(values)) / statistics.mean(values)


def within(errors: list[float]) -> float:
    """The share of errors that are close."""
    return statistics.mean(error <= CLOSE for error in errors)


def random_loads(number: int, seed: int = 17) -> Iterator[tuple[Replica, float]]:
    """Launches under random lengths, with a rate of 5 to 80 % of what each serves."""
    draws = random.Random(seed)
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
