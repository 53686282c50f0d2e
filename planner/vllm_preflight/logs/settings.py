"""Arguments and resolved settings, from vLLM's own one-line dumps."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from vllm_preflight.logs.scrub import REMOVED, is_secret_name, scrub

# Most of a dump is of no interest; these settings bear on memory.
CONFIG_KEYS = frozenset(
    {
        "model", "revision", "trust_remote_code", "dtype", "max_seq_len", "load_format",
        "tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size",
        "decode_context_parallel_size", "quantization", "enforce_eager", "kv_cache_dtype",
        "device_config", "enable_prefix_caching", "enable_chunked_prefill", "use_async_output_proc",
        "speculative_config", "seed", "disable_custom_all_reduce", "cpu_offload_gb",
    }
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,60}\Z")
_NUMBER = re.compile(r"-?\d{1,18}\Z")
_DECIMAL = re.compile(r"-?\d{0,18}\.\d{1,18}(?:e-?\d{1,2})?\Z")
_OPEN, _CLOSE = "([{<", ")]}>"
MAX_DUMP = 20_000
MAX_SETTINGS = 300


def read_mapping(text: str) -> dict[str, Any]:
    """`{'model': 'a', 'max_model_len': 8192, …}` as a dict, whatever its values.

    Values that are no plain number, word, string or JSON are kept as short text. Values
    of secret names are replaced. Text that ends early gives what it has in full.
    """
    pairs = (_pair(part, ":") for part in _split(text.strip().removeprefix("{")))
    return {name: _value(name, raw) for name, raw in pairs if name}


def read_namespace(text: str) -> dict[str, Any]:
    """`Namespace(model='a', max_model_len=8192, …)` as a dict."""
    inner = text.strip().removeprefix("Namespace(")
    pairs = (_pair(part, "=") for part in _split(inner))
    return {name: _value(name, raw) for name, raw in pairs if name}


def read_config(text: str) -> dict[str, str]:
    """The settings of an engine's configuration line that bear on memory."""
    settings: dict[str, str] = {}
    for part in _split(text):
        name, raw = _pair(part, "=")
        if name in CONFIG_KEYS and raw:
            value = _unquote(raw).removeprefix("torch.")
            settings[name] = scrub(value, 200)
    return settings


def _pair(part: str, separator: str) -> tuple[str, str]:
    name, found, raw = part.partition(separator)
    name = _unquote(name.strip())
    return (name, raw.strip()) if found and _NAME.match(name) else ("", "")


def _split(text: str) -> Iterator[str]:
    """Parts between top-level commas, up to the bracket that closes the dump.

    A last part that is not closed by a comma or bracket may be cut and is left out.
    """
    depth, quote, start, count = 0, "", 0, 0
    end = min(len(text), MAX_DUMP)
    position = 0
    while position < end and count < MAX_SETTINGS:
        char = text[position]
        if quote:
            if char == "\\":
                position += 1
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
            if depth < 0:
                yield text[start:position]
                return
        elif char == "," and depth == 0:
            yield text[start:position]
            count += 1
            start = position + 1
        position += 1


def _unquote(text: str) -> str:
    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def _value(name: str, raw: str) -> Any:
    if is_secret_name(name):
        return REMOVED
    words: dict[str, Any] = {"True": True, "False": False, "None": None}
    if raw in words:
        return words[raw]
    if _NUMBER.match(raw):
        return int(raw)
    if _DECIMAL.match(raw):
        return float(raw)
    if raw[:1] in "{[" and len(raw) < 5_000:
        return _nested(raw)
    return scrub(_unquote(raw), 200)


def _nested(raw: str) -> Any:
    """A dict or list, when it is also JSON in all but its quotes and words."""
    text = re.sub(r"\bTrue\b", "true", raw)
    text = re.sub(r"\bFalse\b", "false", text)
    text = re.sub(r"\bNone\b", "null", text)
    try:
        value = json.loads(text.replace("'", '"'))
    except (ValueError, RecursionError):
        return scrub(raw, 200)
    shown = scrub(raw, 5_000)
    return value if REMOVED not in shown else scrub(raw, 200)
