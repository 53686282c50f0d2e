"""The search: what it finds, that the engine agrees, and that its reasons are true."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_preflight.base.cancellation import Stopped, stoppable
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.models.sources import load_model
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.recommend.candidates import Layout, Space, Workload
from vllm_preflight.recommend.evaluate import evaluate
from vllm_preflight.recommend.frontier import OBJECTIVES, Objective, pareto, ranked_options
from vllm_preflight.recommend.options import Choice, Found, Option, startup_request_of
from vllm_preflight.recommend.search import (
    SearchResult,
    make_space,
    search,
    simulate,
    usual_gpus,
    why_not,
)

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
WORKLOAD = Workload(prompt_tokens=7_168, gen_tokens=1_024, concurrency=32)
SMALL = Workload(prompt_tokens=512, gen_tokens=256, concurrency=8)
MODELS = (
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-30B-A3B",
    "deepseek-ai/DeepSeek-V2-Lite",
    "google/gemma-3-27b-it",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "openai/gpt-oss-120b",
)


def nvidia() -> tuple[Gpu, ...]:
    return tuple(gpu for gpu in load_catalog() if gpu.vendor == "NVIDIA")


def some_space(model: str, workload: Workload, *gpus: str, max_gpus: int = 4) -> Space:
    chosen = [find_gpu(name) for name in gpus]
    return make_space(load_model(model), workload, chosen, max_gpus=max_gpus)


@cache
def whole_catalogue() -> tuple[Space, SearchResult]:
    space = make_space(load_model(LLAMA), WORKLOAD, nvidia(), max_gpus=8)
    return space, search(space, WORKLOAD)


def held(choice: Choice, space: Space, workload: Workload) -> int:
    """Requests at once by predict_startup, from the arguments a user would give."""
    asked = startup_request_of(choice, space).model_dump(exclude_none=True)
    known = {key: value for key, value in asked.items() if key in StartupRequest.model_fields}
    answer = predict_startup(validate_request(StartupRequest, known), model=choice.precision.model)
    if not answer.startup.starts:
        return 0
    short = startup_request_of(choice._replace(max_model_len=workload.context), space)
    startup = predict_startup(short, model=choice.precision.model).startup
    assert startup.max_concurrency is not None
    seqs = simulate(choice, space).launch.max_num_seqs
    return min(seqs, int(startup.max_concurrency + 1e-9)) * choice.layout.replicas


def test_every_option_on_the_frontier_starts_and_holds_what_it_says() -> None:
    space, result = whole_catalogue()
    assert len(result.frontier) > 10
    for item in result.frontier:
        option = item.option
        assert option.requests >= WORKLOAD.concurrency
        # A length of the model's own maximum profiles no differently for this model.
        assert abs(held(option.choice, space, WORKLOAD) - option.requests) <= 1


def test_fewer_gpus_than_the_best_are_excluded_for_a_true_reason() -> None:
    space, result = whole_catalogue()
    found = evaluate(space, WORKLOAD)
    best = {item.option.choice.gpu.name: item.gpus for item in result.by_gpu}
    checked = 0
    for gpu in space.gpus:
        for gpus in range(1, best.get(gpu.name, space.max_gpus + 1)):
            exclusion = why_not(found, gpu.name, gpus, WORKLOAD)
            assert exclusion is not None and exclusion.reason, (gpu.name, gpus)
            assert exclusion.held < WORKLOAD.concurrency
            if exclusion.rule is not None or checked % 7:
                checked += 1
                continue
            checked += 1
            startup = simulate(exclusion.choice, space)
            assert startup.starts == (exclusion.held > 0), (gpu.name, gpus, exclusion.reason)
            if startup.starts:
                assert startup.kv.max_concurrency is not None
                replicas = gpus // exclusion.choice.gpus
                each = int(startup.kv.max_concurrency)
                assert each * replicas == exclusion.held
            elif not exclusion.reason.startswith("weights do not fit"):
                assert startup.failure is not None
                assert exclusion.reason == startup.failure.message
    assert checked > 200


def test_no_option_is_missed_at_fewer_gpus_than_the_best() -> None:
    """Brute force on one card: every layout and setting that could do with fewer."""
    space, result = whole_catalogue()
    card = "A100 SXM4 80GB"
    best = next(item for item in result.by_gpu if item.option.choice.gpu.name == card)
    fewer = best.gpus - 1
    for precision in space.precisions:
        for tensor in (1, 2, 4):
            for pipeline in range(1, fewer // tensor + 1):
                for dtype in space.kv_cache_dtypes:
                    for utilization in space.utilizations:
                        for batch in space.batches:
                            choice = Choice(
                                find_gpu(card),
                                precision,
                                Layout(tensor, pipeline),
                                dtype,
                                WORKLOAD.context,
                                utilization,
                                batch,
                            )
                            startup = simulate(choice, space)
                            replicas = fewer // (tensor * pipeline)
                            each = int(startup.kv.max_concurrency or 0) if startup.starts else 0
                            assert each * replicas < WORKLOAD.concurrency


def test_the_whole_catalogue_is_judged_and_ranked() -> None:
    space, result = whole_catalogue()
    assert result.candidates > 50_000
    assert result.best is not None and result.runner_up is not None and result.why
    assert len(result.by_gpu) + sum(
        item.gpus == space.max_gpus and item.gpu not in _names(result) for item in result.excluded
    ) == len(space.gpus)


def _names(result: SearchResult) -> set[str]:
    return {item.option.choice.gpu.name for item in result.by_gpu}


def test_a_rule_names_itself() -> None:
    space = some_space("Qwen/Qwen3-32B-AWQ", SMALL, "Tesla V100 SXM2 32GB", "P40")
    space = replace(space, precisions=space.precisions[:1])
    found = evaluate(space, SMALL)
    awq = why_not(found, "Tesla V100 SXM2 32GB", 4, SMALL)
    old = why_not(found, "Tesla P40", 4, SMALL)
    assert awq is not None and awq.rule == "vllm_arguments" and "7.5" in awq.reason
    startup = simulate(awq.choice, space)
    assert startup.failure is not None and startup.failure.kind == "unsupported"
    assert awq.reason in startup.failure.message
    assert old is not None and "no kernel image" in old.reason


def test_a_size_that_vllm_refuses_is_excluded_in_its_words() -> None:
    space = some_space(LLAMA, WORKLOAD, "H100", max_gpus=3)
    found = evaluate(space, WORKLOAD)
    layouts = {option.choice.layout.tensor for option in found.options}
    assert 3 not in layouts
    launch = simulate(
        Choice(
            find_gpu("H100"),
            space.precisions[0],
            Layout(3, 1),
            "auto",
            8192,
            None,
            space.batches[0],
        ),
        space,
    )
    assert launch.failure is not None and "divisible" in launch.failure.message


@pytest.mark.parametrize("model", MODELS)
def test_options_of_every_kind_of_model_are_what_the_engine_says(model: str) -> None:
    space = some_space(model, SMALL, "H100", "L40S", "RTX 5090", max_gpus=4)
    found = evaluate(space, SMALL)
    assert found.options
    step = max(1, len(found.options) // 12)
    for option in found.options[::step]:
        startup = simulate(option.choice, space)
        assert startup.starts, option
        assert (startup.kv.tokens or 0) == option.kv_tokens, option
        longest = max(startup.longest, option.choice.max_model_len)
        assert option.longest <= longest


def test_a_mixture_is_divided_over_all_replicas_together() -> None:
    space = some_space("Qwen/Qwen3-30B-A3B", SMALL, "RTX 4090", max_gpus=8)
    found = evaluate(space, SMALL)
    shared = [item for item in found.options if item.choice.layout.replicas > 1]
    assert shared
    for option in shared[:5]:
        assert simulate(option.choice, space).launch.data_parallel_size > 1


@pytest.mark.parametrize("objective", [item for item in OBJECTIVES if item != "lowest_latency"])
def test_the_best_is_no_worse_than_any_other_in_what_was_asked(objective: Objective) -> None:
    from vllm_preflight.recommend.prices import parse_prices

    prices = parse_prices(
        '{"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 2.4, "L40S": 1.1}}'
    )
    chosen = [find_gpu(name) for name in ("H100", "L40S", "L4")]
    model = load_model("Qwen/Qwen3-14B")
    space = make_space(model, SMALL, chosen, max_gpus=4, objective=objective)
    result = search(space, SMALL, objective=objective, prices=prices)
    best = result.best
    assert best is not None
    for item in (*result.frontier, *result.by_gpu):
        if objective == "fewest_gpus":
            assert best.gpus <= item.gpus
        elif objective == "cheapest":
            assert best.cost is not None and (item.cost is None or best.cost <= item.cost)
        elif objective == "most_concurrency":
            assert best.option.requests >= item.option.requests
        else:
            assert best.option.longest >= item.option.longest


def test_what_was_asked_comes_first_when_precision_need_not_change() -> None:
    result = search(some_space("Qwen/Qwen3-8B", SMALL, "H100"), SMALL)
    assert result.best is not None
    choice = result.best.option.choice
    assert (choice.altered, choice.settings, choice.gpus) == (0, 0, 1)


def test_a_search_can_be_given_up() -> None:
    stop = threading.Event()
    stop.set()
    with stoppable(stop), pytest.raises(Stopped):
        search(some_space("Qwen/Qwen3-8B", SMALL, "H100"), SMALL)


def test_progress_names_each_precision() -> None:
    told: list[str] = []
    evaluate(some_space("Qwen/Qwen3-32B", SMALL, "H100"), SMALL, told.append)
    assert any("AWQ" in sentence for sentence in told) and len(told) >= 4


def test_the_usual_gpus_are_no_consumer_cards() -> None:
    names = [gpu.name for gpu in usual_gpus()]
    assert "H100 SXM5 80GB" in names and "RTX PRO 6000 Blackwell Server" in names
    assert not any(name.startswith("GeForce") for name in names)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(1, 16_000), st.integers(1, 4_000), st.integers(1, 300), st.sampled_from(MODELS[:3])
)
def test_any_workload_gets_options_that_hold_it_or_reasons(
    prompt: int, generated: int, concurrency: int, model: str
) -> None:
    workload = Workload(prompt, generated, concurrency)
    space = some_space(model, workload, "L40S", max_gpus=2)
    found = evaluate(space, workload)
    for option in found.options:
        assert option.requests >= concurrency
        assert option.choice.gpus <= 2
        assert workload.context <= option.choice.max_model_len
    if not found.options:
        assert why_not(found, "L40S", 2, workload) is not None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40), st.integers(1, 64))
def test_the_frontier_holds_what_no_other_beats(seeds: list[int], wanted: int) -> None:
    options = list(_some_options(seeds))
    ranked = ranked_options(options, "fewest_gpus", None)
    front = pareto(ranked, wanted)
    assert front

    def axes(item: Option) -> tuple[float, ...]:
        memory = item.choice.gpu.visible_bytes * item.choice.gpus
        return (memory, item.choice.altered, -min(item.requests, 2 * wanted), -item.longest)

    for item in ranked:
        mine = axes(item.option)
        beaten = any(
            all(a <= b for a, b in zip(axes(other.option), mine, strict=True)) for other in front
        )
        assert beaten
    for item in front:
        for other in ranked:
            worse = axes(other.option) < axes(item.option) and all(
                a <= b for a, b in zip(axes(other.option), axes(item.option), strict=True)
            )
            assert not worse


def _some_options(seeds: list[int]) -> Iterator[Option]:
    space = some_space("Qwen/Qwen3-8B", SMALL, "H100", "L40S")
    for seed in seeds:
        gpu = space.gpus[seed % 2]
        precision = space.precisions[seed // 2 % 2]
        layout = Layout(1 + seed // 4 % 4, 1)
        choice = Choice(gpu, precision, layout, "auto", 768, None, space.batches[0])
        yield Option(choice, 1 + seed % 97, 768 + seed % 31, 0)


def test_found_keeps_the_closest_attempt() -> None:
    found = Found(SMALL)
    assert why_not(found, "H100 SXM5 80GB", 1, SMALL) is None
