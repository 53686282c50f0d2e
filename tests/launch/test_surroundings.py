"""What the command's image says of what is in it."""

from __future__ import annotations

import pytest

from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.surroundings import runs_own_image


@pytest.mark.parametrize(
    ("command", "own"),
    [
        ("docker run --gpus all vllm/vllm-openai:v0.11.0 --model m", True),
        ("docker run --gpus all docker.io/vllm/vllm-openai@sha256:0a --model m", True),
        ("docker run --gpus all me/vllm-openai:v0.11.0 --model m", False),
        ("docker run vllm/vllm-openai-rocm:v0.30.0 --model m", False),
        ("vllm serve m", False),
    ],
)
def test_only_vllms_own_image_for_cuda_is_known(command: str, own: bool) -> None:
    assert runs_own_image(parse_command(command, None)) is own
