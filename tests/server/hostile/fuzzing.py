"""Random configs, headers, logs and lines, each to end in an answer or a refusal.

usage: python -m tests.server.hostile.fuzzing EXAMPLES, run by test_fuzz.py under limits of CPU
and memory that the kernel enforces.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, cast

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from tests.server.hostile.inputs import LLAMA

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.base.text import is_clean, presentable
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.logs.parse import parse_log
from vllm_preflight.models.safetensors_files import parse_header
from vllm_preflight.models.sources import load_model
from vllm_preflight.questions.check import predict_startup
from vllm_preflight.questions.explain import explain_startup_log
from vllm_preflight_server.mcp import stdio

EXAMPLES = int(sys.argv[1]) if len(sys.argv) > 1 else 20
_KEYS = (
    *LLAMA,
    *("num_key_value_heads", "head_dim", "rope_scaling", "layer_types", "text_config"),
    *("quantization_config", "num_experts", "sliding_window", "max_position_embeddings"),
)
_ANY = st.text(st.characters(exclude_categories=[]), max_size=20)
_NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([0, 1, 2, 7, 64, 4096])
_VALUES = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _ANY | st.sampled_from(["fp8", "re:.*(a+)+$", "llama"]),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(_KEYS) | _ANY, inner, max_size=5)
    ),
    max_leaves=12,
)
_TYPES = ("llama", "mixtral", "qwen3_moe", "gemma3", "deepseek_v3", "llava", "mamba2", "nemotron_h")


def _config(kind: str, changes: dict[str, Any]) -> dict[str, Any]:
    return {**LLAMA, "model_type": kind, **changes}


_CONFIGS = st.builds(
    _config,
    st.sampled_from(_TYPES) | _ANY,
    st.dictionaries(st.sampled_from(_KEYS) | _ANY, _VALUES, max_size=6),
)
_WORDS = st.sampled_from(
    [
        *("ValueError: ", "non-default args: {'model': ", "'hf_overrides': {", "EngineCore failed"),
        *("INFO 04-22 01:35:23 [a.py:1] ", "GPU KV cache size: ", "Maximum concurrency for "),
        *("torch.OutOfMemoryError: CUDA out of memory. ", "Traceback (most recent call last):\n"),
        *("\n", "9" * 30, " GiB", "(", "{", "}", "'", "\x1b[31m", "\\u001b", ", in load_model\n"),
    ]
)
_LOGS = st.lists(_WORDS | _ANY, max_size=60).map("".join)
_once = settings(
    max_examples=EXAMPLES,
    database=None,
    deadline=None,
    derandomize=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def _told(error: PreflightError) -> None:
    sentence = presentable(str(error))
    assert is_clean(sentence)
    sentence.encode()


@seed(1)
@_once
@given(_CONFIGS)
def configs(config: dict[str, Any]) -> None:
    """A folder with a random config."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config), encoding="utf-8")
        try:
            load_model(folder)
            answer = predict_startup(StartupRequest(model=folder, gpu="H100"))
            json.dumps(answer.to_json_dict(), ensure_ascii=False).encode()
        except PreflightError as error:
            _told(error)


@seed(2)
@_once
@given(st.binary(max_size=60) | st.dictionaries(_ANY, _VALUES, max_size=4).map(json.dumps))
def headers(header: bytes | str) -> None:
    """A random header."""
    data = header if isinstance(header, bytes) else header.encode()
    try:
        parse_header(data, len(data), None, "file")
    except PreflightError as error:
        _told(error)


@seed(3)
@_once
@given(_LOGS)
def logs(text: str) -> None:
    """A random log."""
    parse_log(text)
    try:
        answer = explain_startup_log(text, overrides={"gpu": "H100"})
        assert is_clean(json.dumps(answer.to_json_dict(), ensure_ascii=False))
    except PreflightError as error:
        _told(error)


class _Memory(io.BytesIO):
    """A pipe that remembers what was written."""


async def _accepted(line: bytes) -> tuple[str | None, bytes]:
    written = _Memory()
    wire = stdio._Wire(cast(BinaryIO, _Memory(line)), written)  # pyright: ignore[reportPrivateUsage]
    text = await wire._accepted(line)  # pyright: ignore[reportPrivateUsage]
    return text, written.getvalue()


@seed(4)
@_once
@given(st.binary(max_size=80) | _VALUES.map(lambda value: json.dumps(value).encode()))
def lines(line: bytes) -> None:
    """A random line is a message, nothing at all, or answered."""
    text, answer = asyncio.run(_accepted(line.replace(b"\n", b" ")))
    assert (text is None) == bool(answer) or not line.strip()
    if answer:
        assert json.loads(answer)["error"]["code"] < 0


if __name__ == "__main__":
    for kind in (configs, headers, logs, lines):
        kind()
