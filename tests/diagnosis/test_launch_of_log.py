"""What a log shows of a launch, as the request that predicts it."""

from __future__ import annotations

import pytest

from vllm_preflight.diagnosis.launch_of_log import hub_id, request_from_log
from vllm_preflight.logs.startup_log import LogFailure, RankMemory, StartupLog


def log(**fields: object) -> StartupLog:
    facts: dict[str, object] = {
        "outcome": "started",
        "version": "0.24.0",
        "model": "Qwen/Qwen3-8B",
        "ranks": (RankMemory("EngineCore", total_gib=79.19, free_gib_at_start=78.5),),
    }
    return StartupLog(**{**facts, **fields})  # type: ignore[arg-type]


def test_arguments_and_what_was_resolved_become_the_request() -> None:
    found = request_from_log(
        log(
            arguments={
                "model_tag": "Qwen/Qwen3-8B",
                "gpu_memory_utilization": 0.8,
                "speculative_config": {"method": "ngram", "num_speculative_tokens": 3},
                "host": "0.0.0.0",
                "max_num_seqs": None,
                "compilation_config": {"cudagraph_mode": "NONE"},
            },
            config={"tensor_parallel_size": "2", "enforce_eager": "True", "dtype": "bfloat16"},
            max_model_len=4096,
            max_num_batched_tokens=2048,
            gpu_name="NVIDIA H100 80GB HBM3",
        )
    )
    request = found.request()
    assert found.missing == ""
    assert request.gpu == "H100 SXM5 80GB"
    assert (request.vram_gb, request.free_vram_gb) == (79.19, 78.5)
    assert request.vllm_version == "0.24.0"
    fields = found.fields
    assert (fields["max_model_len"], fields["max_num_batched_tokens"]) == (4096, 2048)
    assert (fields["tensor_parallel_size"], fields["enforce_eager"]) == (2, True)
    assert '"ngram"' in fields["speculative_config"]
    assert found.extra == {"compilation_config": {"cudagraph_mode": "NONE"}}
    # The line shows what somebody gave, not what vLLM made of it.
    assert found.command is not None
    assert "--gpu-memory-utilization 0.8" in found.command
    assert "--enforce-eager" not in found.command
    assert found.command.endswith("--host 0.0.0.0")


def test_changes_replace_arguments_and_the_machine() -> None:
    found = request_from_log(log(gpu_name="NVIDIA H100 80GB HBM3"))
    request = found.request(max_model_len=1000, free_vram_gb=5.0)
    assert request.free_vram_gb == 5.0
    assert "--max-model-len 1000" in (request.command or "")


def test_overrides_win() -> None:
    found = request_from_log(
        log(arguments={"max_model_len": 4096}),
        {"model": "Qwen/Qwen3-4B", "max_model_len": 512, "gpu": "L4", "vllm_version": "0.33.0"},
    )
    assert (found.model, found.fields["max_model_len"]) == ("Qwen/Qwen3-4B", 512)
    assert (found.machine["gpu"], found.machine["vllm_version"]) == ("L4", "0.33.0")


def test_values_no_request_takes_are_left_out_and_told() -> None:
    found = request_from_log(log(arguments={"dtype": "torch.bfloat16", "block_size": -3}))
    assert "block_size" not in found.fields
    assert any("block_size" in note for note in found.notes)


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({"model": None}, "give model"),
        ({"ranks": ()}, "give gpu"),
        ({"version": "0.6.4"}, "0.6.4"),
        ({"version": "nightly build"}, "nightly build"),
    ],
)
def test_what_keeps_a_prediction_from_being_made(fields: dict[str, object], missing: str) -> None:
    assert missing in request_from_log(log(**fields)).missing


def test_an_unknown_version_is_taken_for_the_newest() -> None:
    found = request_from_log(log(version=None))
    assert found.machine["vllm_version"] == "0.33.0"
    assert any("version" in note for note in found.notes)


def test_the_total_follows_from_the_share_that_was_requested() -> None:
    ranks = (RankMemory("EngineCore", requested_gib=71.27),)
    found = request_from_log(log(ranks=ranks, arguments={"gpu_memory_utilization": 0.9}))
    assert found.machine["vram_gb"] == 79.19
    by_default = request_from_log(log(ranks=ranks, version="0.19.0"))
    assert by_default.machine["vram_gb"] == 79.19


def test_a_refusal_tells_the_memory_too() -> None:
    figures = {"free_gib": 17.05, "total_gib": 23.52, "requested_gib": 21.64}
    failure = LogFailure("free_memory_below_request", "no", figures=figures)
    found = request_from_log(log(ranks=(), failure=failure))
    assert (found.machine["vram_gb"], found.machine["free_vram_gb"]) == (23.52, 17.05)
    assert found.machine["gpu"] == "GeForce RTX 4090"
    # What torch had left when it failed is not what was free at the start.
    late = LogFailure("out_of_memory", "no", figures=figures)
    assert "free_vram_gb" not in request_from_log(log(ranks=(), failure=late)).machine


def test_defaults_tell_cards_of_one_size_apart() -> None:
    def card(tokens: int, **fields: object) -> str:
        return request_from_log(log(max_num_batched_tokens=tokens, **fields)).machine["gpu"]

    assert card(8192) == "H100 SXM5 80GB"
    assert card(2048).startswith("A100")
    # A value that somebody gave says nothing of the card.
    given: dict[str, object] = {"max_num_batched_tokens": 2048}
    assert card(2048, arguments=given) == card(4096, arguments=given)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Qwen/Qwen3-8B", "Qwen/Qwen3-8B"),
        ("/data/hub/models--Qwen--Qwen3-8B/snapshots/12ab", "Qwen/Qwen3-8B"),
        ("/srv/Qwen3-8B", "/srv/Qwen3-8B"),
    ],
)
def test_paths_into_the_hub_s_cache_name_their_model(written: str, meant: str) -> None:
    assert hub_id(written) == meant
