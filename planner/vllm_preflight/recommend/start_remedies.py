"""What makes a launch start: changes of its arguments that were simulated, the mildest first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.verdict import SURE
from vllm_preflight.memory.startup import Startup
from vllm_preflight.recommend.settings import LENGTH_STEP, SHORTENED

_MOST_UTILIZATION = 0.95
_FEWER_SEQUENCES = (256, 64, 16)
_SMALL_STEP_TOKENS = 2048
_MORE_RANKS = (2, 4, 8)
_REFUSALS = frozenset({"invalid_arguments", "unsupported", "not_modelled"})

# Simulates the launch with some fields changed; None where that is no launch.
Attempt = Callable[[Mapping[str, Any]], Startup | None]


@dataclass(frozen=True)
class Fix:
    """Arguments after which the launch surely starts, as fields and as flags.

    A value of None takes the argument away.
    """

    fields: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The flags, as they are written."""
        return " ".join(
            f"no {_flag(name)}" if value is None else f"{_flag(name)} {value}"
            for name, value in self.fields.items()
        )


def start_fixes(request: StartupRequest, startup: Startup, attempt: Attempt) -> list[Fix]:
    """Changes after which the launch starts with a probability of 0.95 or more.

    One of each kind, the mildest value of it; of two arguments together only where no
    single one does.
    """
    if startup.failure is not None and startup.failure.kind in _REFUSALS:
        return []
    kinds = list(_kinds(request, startup))
    found = [fix for kind in kinds if (fix := _first(kind, attempt)) is not None]
    return (
        found or [fix for kind in _pairs(kinds) if (fix := _first(kind, attempt)) is not None][:2]
    )


def _first(choices: Sequence[Fix], attempt: Attempt) -> Fix | None:
    for fix in choices:
        outcome = attempt(fix.fields)
        if outcome is None:
            continue
        if outcome.starts and outcome.start_probability >= SURE:
            return fix
        for shorter in _shorter(outcome, fix):
            second = attempt(shorter.fields)
            if second is not None and second.starts and second.start_probability >= SURE:
                return shorter
    return None


def _shorter(outcome: Startup, fix: Fix) -> Iterator[Fix]:
    """The same change with lengths that then start, the longest first, where it set one."""
    if "max_model_len" in fix.fields:
        for length in _lengths(outcome):
            yield Fix({**fix.fields, "max_model_len": length})


def _lengths(startup: Startup) -> list[int]:
    """The longest length that surely starts, and what is safely below it."""
    longest = startup.kv_low.estimated_max_model_len
    lengths = dict.fromkeys(_whole(int(longest * (1 - share))) for share in SHORTENED)
    return [length for length in lengths if length > 0]


def _kinds(request: StartupRequest, startup: Startup) -> Iterator[list[Fix]]:
    launch, failure = startup.launch, startup.failure
    kind = None if failure is None else failure.kind
    if kind == "free_memory_below_request":
        free = min(launch.free_bytes or 0, startup.gpu.visible_bytes)
        share = int(free / startup.gpu.visible_bytes * 100) / 100
        length = _whole(startup.longest)
        if share > 0 and length > 0:
            shares = [share, round(share - 0.01, 2)]
            fewer = [{"gpu_memory_utilization": value} for value in shares if value > 0]
            yield [
                *(Fix(fields) for fields in fewer),
                *(Fix({**fields, "max_model_len": length}) for fields in fewer),
            ]
        return
    if kind == "mamba_blocks_too_few":
        yield [Fix({"max_num_seqs": startup.kv_low.num_blocks})]
    if launch.kv_cache_memory_bytes is not None:
        needed = startup.kv.admission_bytes
        yield [Fix({"kv_cache_memory_bytes": needed})]
        yield [Fix({"kv_cache_memory_bytes": None})]
    length = _whole(startup.kv_low.estimated_max_model_len)
    if 0 < length < launch.max_model_len:
        yield [Fix({"max_model_len": shorter}) for shorter in _lengths(startup)]
    yield [
        Fix({"max_num_seqs": sequences})
        for sequences in _FEWER_SEQUENCES
        if sequences < launch.max_num_seqs
    ]
    if launch.enable_chunked_prefill and launch.max_num_batched_tokens > _SMALL_STEP_TOKENS:
        yield [Fix({"max_num_batched_tokens": max(_SMALL_STEP_TOKENS, launch.max_num_seqs)})]
    if launch.gpu_memory_utilization < _MOST_UTILIZATION and launch.free_bytes is None:
        yield [Fix({"gpu_memory_utilization": _MOST_UTILIZATION})]
    if request.kv_cache_dtype == "auto":
        yield [Fix({"kv_cache_dtype": "fp8"})]
    if request.quantization == "auto":
        yield [Fix({"quantization": "fp8"})]
    yield [
        Fix({"tensor_parallel_size": launch.tensor_parallel_size * many}) for many in _MORE_RANKS
    ]


def _pairs(kinds: Sequence[Sequence[Fix]]) -> Iterator[list[Fix]]:
    """Two kinds of change together, each at its strongest value."""
    strongest = [kind[-1] for kind in kinds if kind]
    for number, one in enumerate(strongest):
        for other in strongest[number + 1 :]:
            if one.fields.keys().isdisjoint(other.fields):
                yield [Fix({**one.fields, **other.fields})]


def _whole(length: int) -> int:
    """A length in whole steps, or as it is where it is shorter than one."""
    return length - length % LENGTH_STEP if length >= LENGTH_STEP else length


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
