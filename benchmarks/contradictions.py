"""One question asked every way: plan, compare, check and the printed line must agree.

    python benchmarks/contradictions.py [--check] [--every N | --random N]

Counts contradictions over models × cards × numbers of GPUs × workloads; `--every N` asks
every N-th question, `--random N` others: models of the whole catalogue under several releases,
with the files of each plan and every remedy asked again. With `--check`, exits 1 when there is
one.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

from vllm_preflight.artifacts.profile import Profile
from vllm_preflight.artifacts.request import USUAL_KINDS
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.compare import CompareRequest
from vllm_preflight.contract.plan import PlanRequest, PlanResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.contract.verdict import SURE
from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.compare import compare_hardware
from vllm_preflight.questions.generate import generate_artifacts
from vllm_preflight.questions.manifest import Beside, Manifest, check_manifests
from vllm_preflight.questions.plan import plan_deployment

MODELS = (
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-32B",
    "Qwen/Qwen3-32B-AWQ",
    "Qwen/Qwen3-30B-A3B",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "Qwen/Qwen3-VL-8B-Instruct",
    "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Llama-3.3-70B-Instruct",
    "google/gemma-3-27b-it",
    "openai/gpt-oss-120b",
    "deepseek-ai/DeepSeek-R1",
    "BAAI/bge-m3",
)
CARDS = (
    "H100", "H200", "A100-80GB", "L40S", "L4", "RTX 4090", "RTX 3090", "B200",
)  # fmt: skip
COUNTS = (1, 2, 8)
WORKLOADS: tuple[dict[str, int], ...] = (
    {},
    {"concurrency": 32, "prompt_tokens": 1_000, "gen_tokens": 300},
    {"concurrency": 256, "prompt_tokens": 2_000, "gen_tokens": 500},
    {"concurrency": 4, "prompt_tokens": 7_000, "gen_tokens": 1_000},
    {"concurrency": 8, "max_model_len": 8_192},
    {"concurrency": 1, "prompt_tokens": 30_000, "gen_tokens": 1_000},
)
RELEASES = (
    None, "0.33.0", "0.30.0", "0.24.0", "0.19.0", "0.15.0", "0.12.0", "0.11.0", "0.9.2", "0.8.5",
)  # fmt: skip
_GOOD = ("carries", "queues")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 on a contradiction")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="ask every N-th")
    parser.add_argument("--random", type=int, metavar="N", help="ask N others at random")
    options = parser.parse_args()
    outcomes: Counter[str] = Counter()
    found = 0
    product = itertools.product(MODELS, CARDS, COUNTS, WORKLOADS)
    questions = itertools.islice(product, 0, None, options.every)
    for model, card, count, workload in drawn(options.random) if options.random else questions:
        asked = {"model": model, "gpu": card, "gpus": count, **workload}
        try:
            plan = plan_deployment(validate_request(PlanRequest, asked))
        except PreflightError as error:
            # A workload longer than the model takes is refused by all alike.
            outcomes[error.code] += 1
            continue
        outcomes[plan.verdict.outcome] += 1
        further = further_contradictions(asked, plan) if options.random else ()
        for sentence in (*contradictions(asked, workload, plan), *further):
            found += 1
            print(f"{model} on {count} x {card} {workload}: {sentence}")
    print(f"{sum(outcomes.values())} questions, {found} contradictions")
    print(", ".join(f"{name} {number}" for name, number in outcomes.most_common()))
    return 1 if options.check and found else 0


def drawn(count: int) -> Iterator[tuple[str, str, int, dict[str, Any]]]:
    """Questions over the whole catalogue and the releases, the same each time."""
    # Not for anything secret.
    chance = random.Random(0)
    for _ in range(count):
        release = chance.choice(RELEASES)
        under = {} if release is None else {"vllm_version": release}
        yield (
            chance.choice(catalog_ids()),
            chance.choice(CARDS),
            chance.choice(COUNTS),
            {**chance.choice(WORKLOADS), **under},
        )


def further_contradictions(asked: dict[str, Any], plan: PlanResponse) -> Iterator[str]:
    """What the files of the plan, or its remedies asked again, say against it."""
    release = {name: asked[name] for name in ("vllm_version",) if name in asked}
    for remedy in plan.remedies or ():
        again = plan_deployment(validate_request(PlanRequest, {**asked, **remedy.set}))
        if not again.verdict.good or again.artifacts.serve_command != remedy.command:
            yield f"the remedy {remedy.set} gives {again.verdict.outcome}"
    if plan.artifacts.serve_command is None:
        return
    files = generate_artifacts(Profile(validate_request(PlanRequest, asked)), USUAL_KINDS).files
    beside = Beside({"gpu": asked["gpu"], **release})
    for name, text in files.items():
        found = check_manifests([Manifest(name, text)], beside, lenient=True)
        for server in found.servers:
            verdict = server.verdict
            if server.error is not None or verdict is None or not verdict.good:
                yield f"check -f says of {name}: {server.error or verdict}"


def contradictions(
    asked: dict[str, Any], workload: dict[str, Any], plan: PlanResponse
) -> Iterator[str]:
    """What of the plan disagrees with itself, with check or with compare."""
    verdict, fit = plan.verdict, plan.feasibility
    command = plan.artifacts.serve_command
    if fit.fits != (verdict.outcome == "carries"):
        yield f"fits is {fit.fits} and the outcome {verdict.outcome}"
    if (command is not None) != (verdict.outcome in _GOOD):
        yield f"the outcome is {verdict.outcome} and the command {command!r}"
    needed = fit.context_tokens
    if command is not None and plan.config.max_model_len < needed:
        yield f"max_model_len {plan.config.max_model_len} is below the workload's {needed}"
    unused = plan.hardware.gpus < asked["gpus"]
    if unused and not any("GPUs are there" in step for step in plan.next_steps):
        yield f"{plan.hardware.gpus} of {asked['gpus']} GPUs are used without a reason"
    if verdict.outcome == "carries" and fit.max_concurrency_at_context < fit.concurrency:
        yield f"carries {fit.concurrency} but holds {fit.max_concurrency_at_context}"
    if command is not None:
        yield from _of_check(asked, plan, command)
    for remedy in plan.remedies or ():
        changed = {"concurrency", "prompt_tokens", "gen_tokens", "max_model_len"}
        if changed & remedy.set.keys() and remedy.gives_up is None:
            yield f"the remedy {remedy.change} changes the question and does not say so"
    if asked["gpus"] == 1 and verdict.outcome == "carries":
        yield from _of_compare(asked, workload, command)


def _of_check(asked: dict[str, Any], plan: PlanResponse, command: str) -> Iterator[str]:
    names = ("gpu", "gpus", "vllm_version")
    line = {"command": command, **{name: asked[name] for name in names if name in asked}}
    checked = predict_startup(validate_request(StartupRequest, line))
    probability = checked.verdict.start_probability or 0
    if probability < SURE or checked.verdict.outcome != "starts":
        yield f"check says {checked.verdict.outcome} ({probability}) of {command!r}"
    elif probability != plan.verdict.start_probability:
        yield f"check gives {probability}, plan {plan.verdict.start_probability}"
    elif plan.startup is None or checked.startup.kv_cache_tokens != plan.startup.kv_cache_tokens:
        yield f"check gives {checked.startup.kv_cache_tokens} tokens"


def _of_compare(
    asked: dict[str, Any], workload: dict[str, Any], command: str | None
) -> Iterator[str]:
    question = {"model": asked["model"], "gpus": asked["gpu"], **workload}
    compared = compare_hardware(validate_request(CompareRequest, question))
    best = compared.best
    if best is None:
        slow = any("slower" in item.reason for item in compared.excluded)
        if not slow:
            yield "compare says that nothing carries it"
        return
    same = best.checkpoint == asked["model"] and best.gpus == 1 and "online" not in best.precision
    if same and compared.serve_command != command:
        yield f"compare prints {compared.serve_command!r}, plan {command!r}"


if __name__ == "__main__":
    sys.exit(main())
