"""How long answers take: commands, the server's start, and calls.

    python benchmarks/speed.py [--check]

Prints one line per figure, with the target it is meant to reach on an idle core. With
`--check`, exits 1 when a figure is over its limit, which is about three times what an idle
core takes: only CPU time has one, since wall time hangs on what else the machine does.
In-process medians are CPU time too.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.yardstick import slowness

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.find import FindRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.resolve import resolve_launch
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.model import Model
from vllm_preflight.models.sources import load_model
from vllm_preflight.performance.estimate import Performance, estimate_performance
from vllm_preflight.performance.workload import Workload
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.find_models import find_models
from vllm_preflight.questions.plan import plan_deployment

CLI = (sys.executable, "-m", "vllm_preflight_server.cli")
PLAN = ("plan", "Qwen/Qwen3-32B", "--gpu", "H100", "--concurrency", "16")
ARGUMENTS: dict[str, Any] = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16}
PROCESS_RUNS = 5
CALLS = 200


@dataclass(frozen=True)
class Figure:
    """One measured time in milliseconds, with the limit it must keep and its target, if any."""

    name: str
    milliseconds: float
    limit: float | None = None
    target: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the figure is within its limit."""
        return self.limit is None or self.milliseconds <= self.limit * slowness()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 over a limit")
    check = parser.parse_args().check
    figures = [*commands(), *calls(), *server()]
    for figure in figures:
        limit = "" if figure.limit is None else f"  limit {figure.limit:g} ms"
        target = "" if figure.target is None else f"  target {figure.target:g} ms"
        mark = "" if figure.kept else "  OVER"
        print(f"{figure.name:<52} {figure.milliseconds:9.2f} ms{limit}{target}{mark}")
    return 1 if check and not all(figure.kept for figure in figures) else 0


def commands() -> list[Figure]:
    """Whole processes: the quickest of several runs, wall and CPU."""
    help_wall, help_cpu = process_ms("--help")
    plan_wall, plan_cpu = process_ms(*PLAN)
    return [
        Figure("vllm-preflight --help, wall", help_wall),
        Figure("vllm-preflight --help, CPU", help_cpu, limit=150),
        Figure("vllm-preflight plan, wall", plan_wall),
        Figure("vllm-preflight plan, CPU", plan_cpu, limit=1_500),
    ]


def calls() -> list[Figure]:
    """The engine in a process that has answered before."""
    plan = PlanRequest(**ARGUMENTS)
    startup = StartupRequest(model="Qwen/Qwen3-32B", gpu="H100", tensor_parallel_size=2)
    began, load = started(), Workload(512, 256, concurrency=16.0)
    rate = Workload(512, 256, request_rate=10.0)
    estimate, busy = estimate_performance(*began, load), estimate_performance(*began, rate)
    assert isinstance(estimate, Performance) and isinstance(busy, Performance)
    small = PlanRequest(model="meta-llama/Llama-3.1-70B-Instruct", gpu="RTX 4090", gpus=2)
    crash = StartupRequest(model="Qwen/Qwen3-32B", gpu="RTX 4090", tensor_parallel_size=2)
    found = FindRequest(gpu="RTX 4090")
    # Workloads that nobody asked for before, and launches that were never simulated.
    workloads = (PlanRequest(**ARGUMENTS, prompt_tokens=number) for number in itertools.count(600))
    plans = (
        PlanRequest(**ARGUMENTS, max_num_batched_tokens=number) for number in itertools.count(4096)
    )
    startups = (
        startup.model_copy(update={"max_num_seqs": number}) for number in itertools.count(100)
    )
    return [
        Figure(
            "predict_startup, median",
            median_ms(lambda: predict_startup(startup)),
            limit=2.5,
        ),
        Figure(
            "the same without its terms, as a tool answers",
            median_ms(lambda: predict_startup(startup, whole=False)),
            limit=2,
            target=0.5,
        ),
        Figure(
            "the same for a launch never asked for",
            median_ms(lambda: predict_startup(next(startups), whole=False)),
            limit=2,
            target=0.5,
        ),
        Figure(
            "the same where remedies are proved",
            median_ms(lambda: predict_startup(crash, whole=False), calls=20),
            limit=18,
            target=6,
        ),
        Figure(
            "estimate_performance, median",
            median_ms(lambda: estimate_performance(*began, load)),
            limit=0.3,
        ),
        Figure("its curve of 40 points, median", median_ms(lambda: estimate.curve(40)), limit=6),
        Figure(
            "the same with a rate and its percentiles, median",
            median_ms(lambda: estimate_performance(*began, rate), calls=20),
            limit=20,
        ),
        Figure(
            "a simulation of 2,000 requests",
            median_ms(lambda: busy.simulated(0), calls=1),
            limit=1_000,
        ),
        Figure("plan_deployment, median", median_ms(lambda: plan_deployment(plan)), limit=9),
        Figure(
            "the same without terms and curves, as a tool answers",
            median_ms(lambda: plan_deployment(plan, whole=False)),
            limit=6,
            target=1,
        ),
        Figure(
            "the same for another workload each time",
            median_ms(lambda: plan_deployment(next(workloads), whole=False)),
            limit=6,
            target=1,
        ),
        Figure(
            "the same for launches never tried",
            median_ms(lambda: plan_deployment(next(plans), whole=False)),
            limit=6,
        ),
        Figure(
            "find_models over the whole catalogue, warm",
            median_ms(lambda: find_models(found), calls=2),
            limit=1_000,
            target=300,
        ),
        Figure(
            "plan_deployment that searches remedies, median",
            median_ms(lambda: plan_deployment(small), calls=20),
        ),
    ]


def started() -> tuple[Model, Startup]:
    """A mixture of experts on two GPUs, the dearest kind of estimate."""
    name = "openai/gpt-oss-120b"
    model, gpu = load_model(name, source="catalog"), find_gpu("H100")
    request = StartupRequest(model=name, gpu="H100", tensor_parallel_size=2)
    launch = resolve_launch(request, model.architecture, gpu, config=model.config)
    return model, simulate_startup(model, gpu, gpu.compute_capability or (9, 0), launch)


def server() -> list[Figure]:
    """The server over stdio, by raw JSON-RPC so that no client is measured."""
    began = time.perf_counter()
    process = subprocess.Popen([*CLI, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        start = {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "speed", "version": "1"},
        }
        ask(process, "initialize", start)
        tell(process, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        listed = ask(process, "tools/list", {})
        first = (time.perf_counter() - began) * 1e3
        # Each question is new: the server keeps the answers it gave.
        tokens = itertools.count(1)

        def plan() -> None:
            arguments = {**ARGUMENTS, "prompt_tokens": next(tokens)}
            ask(process, "tools/call", {"name": "plan_deployment", "arguments": arguments})

        def nothing() -> None:
            arguments = {"vram_total_gib": next(tokens)}
            ask(process, "tools/call", {"name": "compute_overhead", "arguments": arguments})

        median = median_ms(plan, clock=time.perf_counter)
        empty = median_ms(nothing, clock=time.perf_counter)
        assert process.stdin is not None
        process.stdin.close()
    size = len(json.dumps(listed["result"], separators=(",", ":")).encode())
    print(f"tools/list is {size:,} bytes")
    return [
        Figure("vllm-preflight serve to its first tools/list", first),
        Figure("a call over stdio that computes next to nothing", empty),
        Figure("plan_deployment over stdio, median", median, target=round(2 * empty, 2)),
    ]


def process_ms(*arguments: str) -> tuple[float, float]:
    """Wall and CPU milliseconds of one command: the least of several runs."""
    wall: list[float] = []
    cpu: list[float] = []
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    for _ in range(PROCESS_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        subprocess.run([*CLI, *arguments], stdout=subprocess.DEVNULL, check=True, env=environment)
        wall.append(time.perf_counter() - began)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(wall) * 1e3, min(cpu) * 1e3


def median_ms(
    call: Callable[[], object],
    calls: int = CALLS,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Median milliseconds of `call` after a warm-up, of CPU; the best of three rounds."""
    call()
    return min(statistics.median(timed(call, calls, clock)) for _ in range(3))


def timed(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> Sequence[float]:
    times: list[float] = []
    for _ in range(calls):
        began = clock()
        call()
        times.append((clock() - began) * 1e3)
    return times


def tell(process: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(message).encode() + b"\n")
    process.stdin.flush()


def ask(process: subprocess.Popen[bytes], method: str, parameters: Any) -> dict[str, Any]:
    """The answer to one request."""
    tell(process, {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters})
    assert process.stdout is not None
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    if "error" in answer:
        raise SystemExit(f"{method}: {answer['error']}")
    return answer


if __name__ == "__main__":
    sys.exit(main())
