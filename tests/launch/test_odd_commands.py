"""Whatever text comes, the answer is a parsed command or a sentence, never a crash."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.launch.arguments import ParsedCommand, parse_command
from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.launch import Launch
from vllm_preflight.launch.versions import NEWEST_KNOWN

SPELLINGS = sorted(parser_of(NEWEST_KNOWN).by_spelling)
VALUES = ["1", "-1", "0", "1k", "1.5K", "auto", "true", "{}", "'{\"a\": [1]}'", "''", "x", "NONE"]
PIECES = st.sampled_from(
    [
        *SPELLINGS,
        *VALUES,
        *("--no-enable-lora", "--compilation-config.cudagraph_capture_sizes", "-O.a.b", "--"),
        *("-", "-.", "--=", "--.x", "=", "$X", "${X}", "X=1", "#", "\n", "\\\n", ";", "|", ">"),
        *("docker run", "vllm serve", "-e", "env", "bash -c", "-m", "vllm/vllm-openai:v0.9.2"),
    ]
)
COMMANDS = st.lists(PIECES, max_size=8).map(" ".join)


def parsed(text: str) -> ParsedCommand | None:
    with contextlib.suppress(PreflightError):
        return parse_command(text)
    return None


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=60) | COMMANDS)
def test_any_text_is_answered(text: str) -> None:
    parsed(text)
    parsed(f"vllm serve m {text}")
    parsed(f"docker run vllm/vllm-openai:v0.11.0 --model m {text}")


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(COMMANDS)
def test_any_parsed_command_resolves_or_is_refused(
    resolve: Callable[..., Launch], text: str
) -> None:
    command = parsed(f"vllm serve m {text}")
    if command is None or command.refusal is not None:
        return
    with contextlib.suppress(PreflightError):
        launch = resolve(**command.fields, extra=command.extra, environment=command.environment)
        assert launch.max_num_batched_tokens >= 1
        assert launch.max_num_seqs >= 1
