"""Launches that a plan tries: simulated once, and never another's answer."""

from __future__ import annotations

from typing import Any

from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.select import select_hardware
from vllm_preflight.launch.further import with_further
from vllm_preflight.models.sources import load_model
from vllm_preflight.recommend.launches import Bench
from vllm_preflight.recommend.layouts import Layout


def bench(**fields: Any) -> Bench:
    asked = {"model": "Qwen/Qwen3-8B", "gpu": "L40S", **fields}
    request = validate_request(PlanRequest, asked)
    model = load_model(request.model, source="catalog")
    hardware = select_hardware(request)
    request, further = with_further(request, model.id)
    return Bench(model, hardware, request, further)


def test_the_same_launch_is_simulated_once() -> None:
    first = bench().simulate(Layout(), {"max_num_seqs": 64})
    assert bench(prompt_tokens=77).simulate(Layout(), {"max_num_seqs": 64}) is first


def test_whatever_differs_is_another_launch() -> None:
    first = bench().simulate(Layout(), {})
    others = [
        bench().simulate(Layout(tensor=2), {}),
        bench().simulate(Layout(), {"max_model_len": 4096}),
        bench(gpu="A100-40GB").simulate(Layout(), {}),
        bench(vram_gb=40).simulate(Layout(), {}),
        bench(free_vram_gb=20).simulate(Layout(), {}),
        bench(vllm_version="0.19.0").simulate(Layout(), {}),
        bench(vllm_args="--enforce-eager").simulate(Layout(), {}),
    ]
    figures = [(each.launch, each.gpu, each.notes) for each in (first, *others)]
    assert all(figures.count(each) == 1 for each in figures)


def test_what_further_flags_say_is_never_answered_from_another_launch() -> None:
    plain = bench().simulate(Layout(), {})
    refused = bench(vllm_args="--no-such-flag").simulate(Layout(), {})
    assert plain.starts
    assert refused.failure is not None and refused.failure.kind == "invalid_arguments"
    assert bench().simulate(Layout(), {}) is plain
