"""From the text of a vLLM log to a `StartupLog`."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any

from vllm_preflight.logs import failure, readings
from vllm_preflight.logs.causes import Role, cause_words, find_cause
from vllm_preflight.logs.lines import Line, clip, find_lines, normalise
from vllm_preflight.logs.startup_log import LogFailure, Outcome, RankMemory, StartupLog

_STARTED = (
    (re.compile(r"INFO:\s{1,10}Application startup complete\.\Z"), "the server's start line"),
    (re.compile(r"INFO:\s{1,10}Uvicorn running on "), "the server's start line"),
    (re.compile(r"INFO:\s{1,10}[\w.:\[\]]{1,60} - \"(?:GET|POST) \S{1,200} HTTP/1\.\d\" 200"),
     "a request that was served"),
    (re.compile(r".{0,40}Avg (?:prompt|generation) throughput: [\d.]{1,12} tokens/s"),
     "the engine's statistics"),
    (re.compile(r"Processed prompts: "), "prompts that were processed"),
)  # fmt: skip
_START_WORDS = (
    "Application startup complete",
    "Uvicorn running on",
    '" 200',
    "throughput: ",
    "Processed prompts: ",
)
# What the engine says once its warm-up is over.
_READY = ("init engine (profile", "kv cache memory in use is")
_BANNER = ("API server version", "▄▄ ▄█ █", "non-default args: ", "args: Namespace(")
_ENGINE_START = "LLM engine (v"
_SERVER_SIGNS = ("APIServer", "API server", "api_server")
# Tracebacks that are printed and survived.
_HANDLED = (
    "never retrieved",
    "Exception in thread",
    "Exception ignored",
    "Exception in ASGI application",
)
_TRACEBACK = "Traceback (most recent call last)"
_EXCEPTION_WORDS = ("Error: ", "Exception: ", "Error\n", "Value error, ")
_OTHER_WORDS = (": error: ", "OOMKilled", "code 137", "code: 137", "Killed\n")
WORDS = tuple(
    dict.fromkeys(
        (
            *readings.WORDS,
            *failure.FRAME_WORDS,
            *failure.FATAL,
            *failure.PROGRESS_WORDS,
            *failure.SENTENCES,
            *_START_WORDS,
            *_READY,
            *_BANNER,
            *_HANDLED,
            _TRACEBACK,
            *_EXCEPTION_WORDS,
            *_OTHER_WORDS,
            *cause_words(),
        )
    )
)
_AT_ALL: tuple[Role, ...] = ("cause", "consequence", "symptom")
_SYMPTOMS: tuple[Role, ...] = ("symptom",)
# So many lines are no log but a pasted message, which has lost what framed it.
_MOST_PASTED_LINES = 5


@dataclass
class _Attempt:
    """One start-up while its lines are read."""

    readings: readings.Readings = field(default_factory=readings.Readings)
    failures: failure.Failures = field(default_factory=failure.Failures)
    started: str = ""
    ready: bool = False
    serving: bool = False
    server: bool = False
    pasted: bool = False
    # Processes inside an uncaught traceback (True) or a handled one (False).
    tracebacks: dict[str, bool] = field(default_factory=dict[str, bool])

    @property
    def decided(self) -> bool:
        failures = self.failures
        told = failures.found or failures.fatal or failures.caused
        return bool(self.started or self.ready or told)

    def outcome(self) -> tuple[Outcome, str, LogFailure | None]:
        cause = self.failures.judge()
        if self.started:
            died = cause is not None and self.serving
            if died or self.failures.consequence:
                return "started_then_failed", self.started, cause
            return "started", self.started, None
        if cause:
            return "failed", "a fatal line", cause
        negative = _negative(self.readings)
        if negative is not None:
            return "failed", "negative memory for the KV cache", negative
        if self.ready and not self.server:
            return "started", "the engine's last start-up line", None
        return "unknown", "", None


def parse_log(text: str) -> StartupLog:
    """What a vLLM log says of the start-up it shows; the text may be any text at all.

    Reads logs of the V0 and V1 engines at any level, of several workers, with the
    prefixes of containers and clusters, colours, JSON envelopes or broken characters.
    Memory is in GiB as printed. A text that holds several start-ups is answered with the
    last that shows how it ended. Costs time linear in the length of the text. Strings in
    the answer are shortened and hold no secrets.
    """
    text, clipped = clip(text)
    text = normalise(text)
    pasted = text.strip().count("\n") < _MOST_PASTED_LINES
    attempts = [_Attempt(pasted=pasted)]
    for line in find_lines(text, WORDS):
        if _is_boundary(attempts[-1], line):
            attempts.append(_Attempt(pasted=pasted))
        _read(attempts[-1], line)
    told = next((a for a in reversed(attempts) if a.outcome()[0] != "unknown"), None)
    return _assemble(told or max(attempts, key=_fullness), len(attempts), clipped)


def _is_boundary(attempt: _Attempt, line: Line) -> bool:
    """Whether a line begins another start-up in the same text."""
    if any(words in line.text for words in _BANNER):
        return attempt.readings.has_memory or attempt.decided
    return _ENGINE_START in line.text and attempt.decided and not attempt.started


def _read(attempt: _Attempt, line: Line) -> None:
    # Somebody's prompt may hold any words; what follows it is not vLLM's.
    if "Received request " in line.text or "prompt: " in line.text:
        return
    readings.read_line(attempt.readings, line)
    attempt.server = attempt.server or any(sign in line.text for sign in _SERVER_SIGNS)
    attempt.failures.add_progress(line.text)
    attempt.ready = attempt.ready or any(words in line.text for words in _READY)
    for pattern, evidence in _STARTED:
        if pattern.match(line.content) and not attempt.started:
            attempt.started = evidence
            # What failed before the server was up was survived.
            attempt.failures.survive()
    _read_failure(attempt, line)


def _read_failure(attempt: _Attempt, line: Line) -> None:
    failures, before = attempt.failures, len(attempt.failures.found)
    text, content = line.text, line.content
    if ", in " in text:
        failures.add_frame(text)
    if any(words in text for words in _HANDLED):
        attempt.tracebacks[line.key] = False
    elif _TRACEBACK in text and line.level == "":
        attempt.tracebacks.setdefault(line.key, True)
    _read_cause(attempt, line)
    fatal = next((words for words in failure.FATAL if words in text), None)
    if fatal:
        failures.add_fatal(content)
    usage = failure.USAGE_ERROR.search(text)
    if usage and not line.level:
        failures.add_usage_error(usage[1])
    elif content.startswith("Value error, "):
        failures.add_value_error(content)
    elif line.level in ("", "ERROR", "CRITICAL"):
        _read_exception(attempt, line)
    if len(failures.found) > before and attempt.started:
        attempt.serving = failures.serving = True


def _read_cause(attempt: _Attempt, line: Line) -> None:
    """Take in a line that the catalogue of causes knows, unless it was handled or a remark."""
    remark = line.level not in ("", "ERROR", "CRITICAL")
    handled = attempt.tracebacks.get(line.key) is False
    cause = find_cause(line.content, _SYMPTOMS if remark or handled else _AT_ALL)
    # A server that is up survives what only ends a start.
    if cause is None or (attempt.started and cause.when == "start"):
        return
    attempt.failures.add_cause(cause, line.content)
    if cause.role == "cause" and attempt.started:
        attempt.serving = attempt.failures.serving = True


def _negative(seen: readings.Readings) -> LogFailure | None:
    """The failure that a negative figure of memory for the cache is by itself."""
    left = [rank.available_kv_gib for rank in seen.ranks.values()]
    least = min((gib for gib in left if gib is not None), default=0.0)
    if least >= 0:
        return None
    return LogFailure(
        "no_kv_cache_memory",
        f"Available KV cache memory: {least:g} GiB",
        figures={"available_kv_gib": least},
    )


def _read_exception(attempt: _Attempt, line: Line) -> None:
    failures, content = attempt.failures, line.content
    is_sentence = any(words in content for words in failure.SENTENCES)
    is_sentence = is_sentence and not failure.of_host_memory(content)
    shaped = failure.is_exception(content)
    if is_sentence and (shaped or attempt.pasted):
        failures.add_sentence(content)
    elif shaped:
        failures.add_exception(content)
    else:
        failures.add_kill(content)
    # An exception that nobody caught ends the process it was raised in.
    if shaped and attempt.tracebacks.pop(line.key, False) and not failure.is_interrupt(content):
        failures.add_fatal(content)


def _fullness(attempt: _Attempt) -> int:
    return len(attempt.readings.scalars) + 10 * len(attempt.readings.ranks)


def _assemble(attempt: _Attempt, attempts: int, clipped: bool) -> StartupLog:
    outcome, evidence, cause = attempt.outcome()
    seen = attempt.readings
    scalars: dict[str, Any] = dict(seen.scalars)
    named = seen.arguments.get("model") or seen.arguments.get("model_tag")
    if "model" not in scalars and isinstance(named, str):
        scalars["model"] = named
    for name in ("max_num_batched_tokens", "max_num_seqs", "block_size", "max_model_len"):
        given = seen.arguments.get(name)
        if name not in scalars and isinstance(given, int) and given > 0:
            scalars[name] = given
    if "engine" not in scalars and any("EngineCore" in key for key in _processes(seen)):
        scalars["engine"] = "V1"
    return StartupLog(
        outcome=outcome,
        evidence=evidence,
        engine_ready=attempt.ready,
        symptoms=tuple(attempt.failures.symptoms),
        consequence=attempt.failures.consequence,
        arguments=seen.arguments,
        config=seen.config,
        ranks=tuple(_derived(rank) for rank in seen.ranks.values()),
        failure=cause,
        attempts=attempts,
        clipped=clipped,
        **scalars,
    )


def _processes(seen: readings.Readings) -> list[str]:
    return [rank.rank for rank in seen.ranks.values()]


def _derived(rank: RankMemory) -> RankMemory:
    """A worker's KV memory from its own terms, where only another worker's was printed."""
    if (
        rank.available_kv_gib is None
        and rank.requested_gib is not None
        and rank.non_kv_gib is not None
    ):
        value = round(rank.requested_gib - rank.non_kv_gib, 2)
        return dataclasses.replace(rank, available_kv_gib=value)
    return rank
