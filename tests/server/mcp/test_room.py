"""What a concise answer gives up to stay short, in which order."""

from __future__ import annotations

from typing import Any

from vllm_preflight_server.mcp.room import tokens, within

LONG = "a sentence of some words that is not needed so much as others are"
ANSWER: dict[str, Any] = {
    "verdict": {"outcome": "queues", "sentence": "starts, and one waits", "because": "so it is"},
    "feasibility": {"fits": False, "concurrency": 16, "context_tokens": 768},
    "config": {"max_model_len": 4096, "data_parallel_size": 8},
    "startup": {"weights_gib": 61.03, "activation_peak_gib": 1.45, "cuda_graph_gib": 1.06},
    "artifacts": {"serve_command": "vllm serve a/b --data-parallel-size 8"},
    "remedies": [{"tool": "t", "set": {"gpus": 2}}, {"tool": "t", "set": {"gpus": 4}}],
    "alternatives": [{"tool": "t", "set": {"gpus": 8}}],
    "warnings": [LONG, f"{LONG} too", f"{LONG} again"],
    "next_steps": ["Ask again."],
}


def test_an_answer_that_has_room_is_left_alone() -> None:
    assert within(ANSWER, tokens(ANSWER)) == ANSWER


def test_what_is_said_twice_goes_first_and_warnings_last() -> None:
    shorter = within(ANSWER, tokens(ANSWER) - 1)
    assert shorter["config"] == {"max_model_len": 4096}
    assert {**shorter, "config": ANSWER["config"]} == ANSWER
    thin = within(ANSWER, tokens(ANSWER) - 80)
    assert thin["startup"] == {"weights_gib": 61.03}
    assert thin["remedies"] == ANSWER["remedies"][:1] and "alternatives" not in thin
    assert thin["warnings"] == [LONG, "2 more: detail=full"]


def test_the_verdict_its_reason_the_command_and_the_first_remedy_always_stay() -> None:
    least = within(ANSWER, 1)
    assert least["verdict"] == ANSWER["verdict"] and least["artifacts"] == ANSWER["artifacts"]
    assert least["remedies"] == ANSWER["remedies"][:1]
    assert least["next_steps"] == ANSWER["next_steps"]
    assert least["warnings"] == ["3 more: detail=full"] and "config" not in least


def test_a_check_keeps_vllms_words_once() -> None:
    sentence = f"does not start: {LONG}"
    failure = {"kind": "unsupported", "message": LONG.capitalize(), "remedies": ["vLLM 0.9"]}
    check: dict[str, Any] = {
        "verdict": {"outcome": "refused", "sentence": sentence},
        "startup": {"failure": failure},
        "command": "vllm serve a/b",
        "next_steps": ["Start with --x."],
    }
    least = within(check, 1)
    assert least["startup"]["failure"] == {"kind": "unsupported"}
    assert "next_steps" not in least and least["command"] == "vllm serve a/b"
