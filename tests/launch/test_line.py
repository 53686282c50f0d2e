"""The user's line, written again."""

from __future__ import annotations

import pytest

from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.line import written_line


@pytest.mark.parametrize(
    ("words", "changes", "line"),
    [
        (["a", "--max-model-len", "9", "--x"], ["--max-model-len 8"], "a --max-model-len 8 --x"),
        (["a", "--max_model_len=9", "--x"], ["--max-model-len 8"], "a --max-model-len 8 --x"),
        (["a", "-tp", "2", "-tp", "4"], ["--tensor-parallel-size 8"], "a --tensor-parallel-size 8"),
        (["a"], ["--dtype half --kv-cache-dtype fp8"], "a --dtype half --kv-cache-dtype fp8"),
        (["a", "--kv-cache-memory-bytes", "5"], ["no --kv-cache-memory-bytes"], "a"),
        (["a", "--served-model-name", "x", "y", "--z"], ["no --served-model-name"], "a --z"),
        (["a", "--enforce-eager"], ["--no-enforce-eager"], "a --no-enforce-eager"),
        (["a"], ["another card"], "a"),
    ],
)  # fmt: skip
def test_a_change_takes_the_place_of_what_it_changes(
    words: list[str], changes: list[str], line: str
) -> None:
    assert written_line(words, {}, changes) == f"vllm serve {line}"


def test_variables_stand_before_the_command_and_secrets_are_only_named() -> None:
    parsed = parse_command(
        "MODEL=a HF_TOKEN=hf_x VLLM_USE_V1=1 vllm serve a --api-key sk-1 --hf-token=hf_y --port 80"
    )
    assert parsed.line(["VLLM_ALLOW_LONG_MAX_MODEL_LEN=1"]) == (
        'VLLM_USE_V1=1 MODEL=a HF_TOKEN="$HF_TOKEN" VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 vllm serve a '
        '--api-key "$VLLM_API_KEY" --hf-token="$HF_TOKEN" --port 80'
    )
