"""What an upgrade does to a launch: flags that end, defaults that change, memory that moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import PreflightError
from vllm_preflight.base.units import gib_to_bytes
from vllm_preflight.contract.answer import TermReport
from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.diff import (
    ChangedDefault,
    DiffReport,
    DiffRequest,
    EndedFlag,
    LaunchFigures,
    MovedTerm,
    Restoring,
)
from vllm_preflight.contract.request import validate_request
from vllm_preflight.launch.ended import ended_flags
from vllm_preflight.launch.render import render_flags
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.questions.check import predict_startup

Progress = Callable[[str], None]

# Utilisations that are tried, in hundredths, and what counts as the same number of tokens:
# the old cache is known in hundredths of a GiB.
_MOST_HUNDREDTHS = 98
_AS_MUCH = 0.999

# Smaller differences are rounding.
_LEAST_MOVED_GIB = 0.01
# What the others add up to, and the figures say.
_RESULT = "available_kv_cache"
# How terms end that widen the interval and take no memory, and those beside the budget.
_UNCOUNTED, _BESIDE = "(not counted)", "(outside the budget)"
# Arguments whose old default a launch can ask for.
_SETTABLE = (
    "gpu_memory_utilization",
    "max_num_batched_tokens",
    "max_num_seqs",
    "max_model_len",
    "enable_prefix_caching",
    "async_scheduling",
)


def diff_releases(request: DiffRequest, *, progress: Progress | None = None) -> DiffReport:
    """The same launch in two releases.

    Both are simulated by the same engine. Where the new release does not take the line,
    `after` and the memory are those of the line with its flags corrected, if one is known.

    Raises:
        PreflightError: a value, model, Hub or GPU problem, in a sentence.
    """
    launch = _Launch(request, progress)
    before, asked = launch.in_release(request.from_version), launch.in_release(request.to_version)
    line = request.command or before.command
    after = asked
    if asked.verdict.outcome == "refused" and asked.command is not None:
        launch = launch.written(asked.command)
        after = launch.in_release(request.to_version)
    old, new = parse_version(request.from_version), parse_version(request.to_version)
    return DiffReport(
        verdict=asked.verdict,
        before=_figures(before),
        after=_figures(after),
        ended=[
            EndedFlag(written=written, sentence=sentence)
            for written, sentence in (ended_flags(line, old, new) if line else ())
        ],
        defaults=_changed_defaults(before, after),
        moved=_moved(before, after),
        restore=list(_restoring(launch, request.to_version, before, after)),
        command=after.command if after.verdict.good else None,
        warnings=list(dict.fromkeys([*before.warnings, *after.warnings])),
    )


class _Launch:
    """What was asked, to be simulated in one release or another."""

    def __init__(self, request: StartupRequest, progress: Progress | None) -> None:
        names = request.model_fields_set & StartupRequest.model_fields.keys() - {"vllm_version"}
        self._given = request.model_dump(include=names, exclude_none=True)
        self._progress = progress

    def in_release(self, version: str, flags: str = "") -> StartupResponse:
        """The launch in a release, with further flags at the end of its line."""
        check_stop()
        fields = {**self._given, "vllm_version": version}
        if flags:
            fields["vllm_args"] = f"{fields.get('vllm_args', '')} {flags}".strip()
        return predict_startup(validate_request(StartupRequest, fields), progress=self._progress)

    def written(self, command: str) -> _Launch:
        """The same with another line, which says what was said beside it too."""
        about = ("gpu", "gpus", "nodes", "vram_gb", "free_vram_gb", "interconnect", "revision")
        kept = {name: self._given[name] for name in about if name in self._given}
        request = validate_request(StartupRequest, {**kept, "command": command})
        return _Launch(request, self._progress)


def _figures(answer: StartupResponse) -> LaunchFigures:
    startup = answer.startup
    return LaunchFigures(
        vllm_version=startup.vllm_version,
        verdict=answer.verdict,
        available_kv_cache_gib=startup.available_kv_cache_gib,
        kv_cache_tokens=startup.kv_cache_tokens,
        max_concurrency=startup.max_concurrency,
        max_model_len=startup.max_model_len,
    )


def _changed_defaults(before: StartupResponse, after: StartupResponse) -> list[ChangedDefault]:
    """Arguments left to vLLM in both releases whose values differ."""
    return [
        ChangedDefault(argument=name, before=before.arguments[name], after=after.arguments[name])
        for name in before.defaulted
        if name in after.defaulted
        and name in before.arguments
        and name in after.arguments
        and before.arguments[name] != after.arguments[name]
    ]


def _moved(before: StartupResponse, after: StartupResponse) -> list[MovedTerm]:
    """The terms of one GPU's memory that differ, the largest difference first.

    A term that came into the budget, or left it, differs though its size is the same.
    """
    old, new = _terms(before), _terms(after)
    if not old or not new:
        return []
    moved: list[MovedTerm] = []
    for name in dict.fromkeys([*old, *new]):
        was, now = old.get(name), new.get(name)
        had, has = _gib(was), _gib(now)
        size = max(had, has) if _crossed(was, now) else abs(has - had)
        term = now or was
        if term is not None and size >= _LEAST_MOVED_GIB:
            rule = _rule(was, now)
            moved.append(
                MovedTerm(name=name, before_gib=had, after_gib=has, rule=rule, source=term.source)
            )
    return sorted(moved, key=lambda term: -abs(term.after_gib - term.before_gib))


def _terms(answer: StartupResponse) -> dict[str, TermReport]:
    return {
        term.name: term
        for term in answer.startup.terms or []
        if term.gib is not None and term.name != _RESULT and _UNCOUNTED not in term.formula
    }


def _crossed(was: TermReport | None, now: TermReport | None) -> bool:
    """Whether the term is in the budget of one release and beside that of the other."""
    if was is None or now is None:
        return False
    return (_BESIDE in was.formula) != (_BESIDE in now.formula)


def _rule(was: TermReport | None, now: TermReport | None) -> str:
    """How the new release computes the term, and how the old one did where that differs."""
    new = "" if now is None else now.formula
    old = "" if was is None else was.formula
    if not old or new == old:
        return new
    return f"{new}; before: {old}".removeprefix("; ")


def _gib(term: TermReport | None) -> float:
    return 0.0 if term is None or term.gib is None else term.gib


def _restoring(
    launch: _Launch, version: str, before: StartupResponse, after: StartupResponse
) -> Iterator[Restoring]:
    """What gives the old number of tokens back for sure: old defaults, then more memory."""
    wanted, left = before.startup.kv_cache_tokens, after.startup.kv_cache_tokens
    if wanted is None or left is None or left >= wanted:
        return
    changed = [item for item in _changed_defaults(before, after) if item.argument in _SETTABLE]
    sets: list[dict[str, Any]] = [{item.argument: item.before} for item in changed]
    if len(changed) > 1:
        sets.append({item.argument: item.before for item in changed})
    for fields in sets:
        if (restored := _restored(launch, version, fields, wanted)) is not None:
            yield restored
    share = float(after.arguments["gpu_memory_utilization"])
    for hundredths in range(math.floor(share * 100) + 1, _MOST_HUNDREDTHS + 1):
        fields = {"gpu_memory_utilization": hundredths / 100}
        if (restored := _restored(launch, version, fields, wanted)) is not None:
            yield restored
            break
    size = gib_to_bytes(before.startup.available_kv_cache_gib or 0.0)
    restored = _restored(launch, version, {"kv_cache_memory_bytes": size}, wanted)
    if restored is not None:
        yield restored


def _restored(
    launch: _Launch, version: str, fields: Mapping[str, Any], wanted: int
) -> Restoring | None:
    """The settings, where the launch starts with them and holds as much as wanted."""
    flags = " ".join(render_flags(fields))
    try:
        tried = launch.in_release(version, flags)
    except PreflightError:
        return None
    tokens = tried.startup.kv_cache_tokens
    if not tried.verdict.good or tokens is None or tokens < wanted * _AS_MUCH:
        return None
    return Restoring(
        flags=flags,
        kv_cache_tokens=tokens,
        start_probability=tried.verdict.start_probability,
    )
