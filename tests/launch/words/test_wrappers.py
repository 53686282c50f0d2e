"""Servers around vLLM's engine: their own flags never reach vLLM's parser."""

from __future__ import annotations

import pytest

from vllm_preflight.launch.words.find import find_server_command


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("python3 -m dynamo.vllm --model m --is-prefill-worker -tp 2", "--model m -tp 2"),
        ("python -m dynamo.vllm --connector nixl kvbm --model m", "--model m"),
        ("python -m dynamo.vllm --dyn-tool-call-parser x --model m --dyn-any=y", "--model m"),
        ("python -m dynamo.vllm --model m --no-enable-rl --namespace n", "--model m"),
        ("python -m dynamo.vllm --model m --health-check-payload '{}'", "--model m"),
        (
            "python -m huggingfaceserver --model_name n --model_id m --max_model_len 4",
            "--model m --max_model_len 4",
        ),
        ("python -m huggingfaceserver --model-id=m --backend=vllm", "--model=m"),
        ("python -m vllm.entrypoints.openai.api_server --model m", "--model m"),
    ],
)
def test_own_flags_are_taken_out(text: str, words: str) -> None:
    assert " ".join(word.text for word in find_server_command(text).words) == words
