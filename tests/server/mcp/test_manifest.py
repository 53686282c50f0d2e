"""predict_startup of a manifest: the worst server's prediction and a row for each."""

from __future__ import annotations

from pathlib import Path

from tests.server.conftest import Ask, text_of

FOLDER = Path(__file__).parents[2] / "data" / "manifests"


def _text(*names: str) -> str:
    return "---\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def test_the_worst_server_is_told_and_each_has_a_row(ask: Ask) -> None:
    result = ask("predict_startup", {"manifest": _text("good.yaml", "bad.yaml")})
    assert not result.is_error, text_of(result)
    answer = result.structured_content
    assert answer is not None and answer["verdict"]["outcome"] == "does_not_start"
    assert [row["outcome"] for row in answer["servers"]] == ["starts", "does_not_start"]
    assert answer["servers"][1]["line"] > answer["servers"][0]["line"]


def test_a_gpu_that_is_missing_is_asked_for(ask: Ask) -> None:
    text = "services: {a: {image: 'vllm/vllm-openai:v0.19.0', command: '--model Qwen/Qwen3-8B'}}"
    result = ask("predict_startup", {"manifest": text})
    assert result.is_error and "gpu" in text_of(result)
    result = ask("predict_startup", {"manifest": text, "gpu": "H100"})
    assert not result.is_error, text_of(result)


def test_a_manifest_is_given_alone(ask: Ask) -> None:
    result = ask("predict_startup", {"manifest": "a: 1", "model": "Qwen/Qwen3-8B"})
    assert result.is_error and "manifest" in text_of(result)
