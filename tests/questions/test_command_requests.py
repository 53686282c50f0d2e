"""A command and the fields beside it make one request."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.questions.check import with_command


def merged(command: str, **fields: object) -> StartupRequest:
    request = StartupRequest.model_validate({"command": command, **fields})
    return with_command(request, parse_command(command))


def test_the_commands_arguments_become_fields() -> None:
    request = merged("vllm serve a/b -tp 2 --max-model-len 8K", gpu="H100")
    assert (request.model, request.gpu) == ("a/b", "H100")
    assert (request.tensor_parallel_size, request.max_model_len) == (2, 8192)


def test_a_field_that_is_null_is_not_given() -> None:
    command = "docker run vllm/vllm-openai:v0.19.1 --model a/b"
    assert merged(command, vllm_version=None).vllm_version == "0.19.1"


def test_the_model_may_come_from_the_request() -> None:
    assert merged("vllm serve -tp 2", model="a/b").model == "a/b"
    assert merged("vllm serve -tp 2").model == "Qwen/Qwen3-0.6B"


def test_a_field_and_a_command_that_disagree_are_refused() -> None:
    assert merged("vllm serve a -tp 2", tensor_parallel_size=2).tensor_parallel_size == 2
    with pytest.raises(InvalidRequest, match="tensor_parallel_size is 4 as a field and 2"):
        merged("vllm serve a -tp 2", tensor_parallel_size=4)
