"""What makes a launch start: changes of its arguments that were simulated, the mildest first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.contract.verdict import SURE
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.startup import Startup
from vllm_preflight.recommend.settings import LENGTH_STEP, SHORTENED

_MOST_UTILIZATION = 0.95
_FEWER_SEQUENCES = (256, 64, 16)
_SMALL_STEP_TOKENS = 2048
_MORE_RANKS = (2, 4, 8)
_MIB = 2**20
# Of changes that leave room for shorter requests only, the mildest that leaves this length.
_LONG_ENOUGH = 8192
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

    One of each kind, the mildest value of it: first those that leave everything that was
    said as it is, of two arguments together only where no single one does; then those that
    change what was said; then more GPUs.
    """
    if startup.failure is not None and startup.failure.kind in _REFUSALS:
        return []
    said = _said(request)
    may_shorten = "max_model_len" not in said
    if startup.failure is not None and startup.failure.kind == "free_memory_below_request":
        plain, *finer = list(_within_free_memory(request, startup)) or [[]]
        found = _singles([plain], attempt)
        if not found:
            found = _shortened([plain], attempt) if may_shorten else []
            found += _singles(finer, attempt)
        return found or (_shortened(finer, attempt) if may_shorten else [])
    kinds = [kind for kind in _kinds(request, startup) if kind]
    keeping = [kind for kind in kinds if said.isdisjoint(kind[0].fields)]
    changing = [kind for kind in kinds if kind not in keeping]
    found = _singles(keeping, attempt)
    if not found:
        found = _shortened(keeping, attempt) if may_shorten else []
        found += [] if found else _singles(_pairs(keeping), attempt)[:2]
        found += _shortened(changing, attempt) if may_shorten else []
    found += _singles(changing, attempt)
    return found + _singles([_more_ranks(startup.launch)], attempt)


def _said(request: StartupRequest) -> set[str]:
    """Arguments that the request gives a value."""
    return {
        name for name in request.model_fields_set if getattr(request, name) not in (None, "auto")
    }


def _singles(kinds: Iterable[Sequence[Fix]], attempt: Attempt) -> list[Fix]:
    """The mildest fix of each kind that makes it start."""
    found: list[Fix] = []
    for kind in kinds:
        for fix in kind:
            outcome = attempt(fix.fields)
            if outcome is not None and _is_sure(outcome):
                found.append(fix)
                break
    return found


def _shortened(kinds: Iterable[Sequence[Fix]], attempt: Attempt) -> list[Fix]:
    """The mildest fix of each kind that starts with shorter requests, and how long they are."""
    found: list[Fix] = []
    for kind in kinds:
        if not kind or "max_model_len" in kind[0].fields:
            continue
        fixes = [both for fix in kind if (both := _with_length(fix, attempt)) is not None]
        long = [fix for fix in fixes if fix.fields["max_model_len"] >= _LONG_ENOUGH]
        found += (long or fixes[-1:])[:1]
    return found


def _with_length(fix: Fix, attempt: Attempt) -> Fix | None:
    """The same change with the longest length that then surely starts, where it needs one."""
    outcome = attempt(fix.fields)
    if outcome is None or _is_sure(outcome):
        return None
    if outcome.kv_low.estimated_max_model_len < LENGTH_STEP:
        return None
    for length in _lengths(outcome):
        shorter = {**fix.fields, "max_model_len": length}
        second = attempt(shorter)
        if second is not None and _is_sure(second):
            return Fix(shorter)
    return None


def _is_sure(startup: Startup) -> bool:
    return startup.starts and startup.start_probability >= SURE


def _lengths(startup: Startup) -> list[int]:
    """The longest length that surely starts, and what is safely below it."""
    longest = startup.kv_low.estimated_max_model_len
    lengths = dict.fromkeys(_whole(int(longest * (1 - share))) for share in SHORTENED)
    return [length for length in lengths if length > 0]


def _kinds(request: StartupRequest, startup: Startup) -> Iterator[list[Fix]]:
    launch, failure = startup.launch, startup.failure
    kind = None if failure is None else failure.kind
    if kind == "mamba_blocks_too_few":
        yield [Fix({"max_num_seqs": startup.kv_low.num_blocks})]
    if launch.kv_cache_memory_bytes is not None:
        needed = (startup.kv.admission_bytes // _MIB + 1) * _MIB
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
        yield [Fix({"gpu_memory_utilization": share}) for share in _larger_shares(launch)]
    if request.kv_cache_dtype == "auto":
        yield [Fix({"kv_cache_dtype": "fp8"})]
    if request.quantization == "auto":
        yield [Fix({"quantization": "fp8"})]


def _within_free_memory(request: StartupRequest, startup: Startup) -> Iterator[list[Fix]]:
    """A share of the memory that is free, which vLLM wants before anything else."""
    free = min(startup.launch.free_bytes or 0, startup.gpu.visible_bytes)
    share = int(free / startup.gpu.visible_bytes * 100) / 100
    # Rounded to a hundredth, the share may be a little more than is free.
    shares = [value for value in (share, round(share - 0.01, 2)) if value > 0]
    if not shares:
        return
    yield [Fix({"gpu_memory_utilization": value}) for value in shares]
    for name in ("kv_cache_dtype", "quantization"):
        if getattr(request, name) == "auto":
            yield [Fix({"gpu_memory_utilization": shares[-1], name: "fp8"})]


def _larger_shares(launch: Launch) -> list[float]:
    """Shares above the launch's in steps of a twentieth, up to what is safe."""
    first = math.floor(launch.gpu_memory_utilization * 20) + 1
    return [step / 20 for step in range(first, round(_MOST_UTILIZATION * 20) + 1)]


def _more_ranks(launch: Launch) -> list[Fix]:
    return [
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
