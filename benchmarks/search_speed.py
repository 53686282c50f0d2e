"""How long searches take, and that they grow with what is searched and no faster.

    python benchmarks/search_speed.py [--check]

CPU time of one core: a search of the whole catalogue in a fresh process, then growing
parts of it where every candidate is tried, however good a milder one is. With `--check`,
exits 1 when a figure is over its limit.
"""

from __future__ import annotations

import argparse
import sys
import time

from vllm_preflight.hardware.catalog import load_catalog
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.candidates import Workload
from vllm_preflight.recommend.evaluate import evaluate
from vllm_preflight.recommend.frontier import Objective
from vllm_preflight.recommend.options import Found
from vllm_preflight.recommend.search import make_space, search

MODEL = "meta-llama/Llama-3.3-70B-Instruct"
WORKLOAD = Workload(prompt_tokens=7_168, gen_tokens=1_024, concurrency=32)
WHOLE_S = 2.0
# 10,000 candidates in two seconds.
CANDIDATE_US = 200.0
# Twice the cards may take a little more than twice as long: caches, the allocator.
GROWTH = 1.3
PARTS = (10, 20, 40, 80)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 over a limit")
    check = parser.parse_args().check
    kept = [whole_catalogue(), *growing_parts()]
    return 1 if check and not all(kept) else 0


def whole_catalogue() -> bool:
    """The search people ask for, with nothing loaded before."""
    began = time.process_time()
    gpus = [gpu for gpu in load_catalog() if gpu.vendor == "NVIDIA"]
    space = make_space(load_model(MODEL), WORKLOAD, gpus, max_gpus=8)
    result = search(space, WORKLOAD)
    seconds = time.process_time() - began
    print(
        f"{len(gpus)} GPUs, {result.candidates:,} candidates decided, {result.judged:,} judged one "
        f"by one: {seconds:.2f} s  limit {WHOLE_S:g} s{'' if seconds <= WHOLE_S else '  OVER'}"
    )
    return seconds <= WHOLE_S


def growing_parts() -> list[bool]:
    """Time by candidate over parts of the catalogue, everything cached."""
    kept: list[bool] = []
    times: list[float] = []
    for cards in PARTS:
        seconds, found = timed(cards, "most_concurrency")
        each = seconds / found.candidates * 1e6
        times.append(each)
        over = "" if each <= CANDIDATE_US else "  OVER"
        print(
            f"{cards} GPUs, all tried: {found.candidates:,} candidates, {found.judged:,} judged "
            f"in {seconds:.2f} s: {each:.0f} us a candidate  limit {CANDIDATE_US:g} us{over}"
        )
        kept.append(each <= CANDIDATE_US)
    growth = times[-1] / times[0]
    print(
        f"time per candidate, {PARTS[-1]} against {PARTS[0]} GPUs: {growth:.2f}  limit {GROWTH:g}"
        f"{'' if growth <= GROWTH else '  OVER'}"
    )
    return [*kept, growth <= GROWTH]


def timed(cards: int, objective: Objective) -> tuple[float, Found]:
    """CPU seconds of judging everything on the first `cards` of the cards that vLLM runs on."""
    gpus = [gpu for gpu in load_catalog() if gpu.vendor == "NVIDIA"]
    # Every n-th, so that small parts have the same mix of generations.
    part = gpus[:: max(1, len(gpus) // cards)][:cards]
    space = make_space(load_model(MODEL), WORKLOAD, part, max_gpus=8, objective=objective)
    evaluate(space, WORKLOAD)
    began = time.process_time()
    found = evaluate(space, WORKLOAD)
    return time.process_time() - began, found


if __name__ == "__main__":
    sys.exit(main())
