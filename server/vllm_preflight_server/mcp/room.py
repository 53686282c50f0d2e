"""The room that a concise answer has, and what it gives up where it needs more.

First what another part of the answer says as well, then what makes a figure up, last
warnings of the least weight, which are then counted. The whole answer has everything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

Answer = dict[str, Any]

# Tokens of an answer as JSON; its text has no more.
MOST_OF_A_PLAN, MOST_OF_A_CHECK = 480, 340
# Counts what GPT-4o's tokeniser (o200k) does of such texts to 3 % on average.
_PIECES = re.compile(r"\d{1,3}|[A-Za-z]{1,6}|[^\sA-Za-z\d]+")
# Settings that people look up by name although the command has them.
_KEPT_SETTINGS = frozenset(
    {"max_model_len", "tensor_parallel_size", "gpu_memory_utilization", "max_num_seqs"}
)
_OF_THE_OVERHEAD = frozenset(
    {"activation_peak_gib", "non_torch_gib", "cuda_graph_gib", "cuda_graph_charged"}
)
_BATCH_LIMITS = frozenset({"max_num_seqs", "max_num_batched_tokens"})
_OF_THE_SENTENCE = frozenset({"context_tokens", "concurrency", "decided_by"})


def within(answer: Answer, most: int) -> Answer:
    """The answer, with as little left out as makes it fit `most` tokens."""
    counted = {name: _count({name: value}) for name, value in answer.items()}
    for shorter in _shortened(answer):
        if sum(counted.values()) <= most:
            return answer
        counted = {
            name: counted[name] if value is answer.get(name) else _count({name: value})
            for name, value in shorter.items()
        }
        answer = shorter
    return answer


def tokens(answer: Answer) -> int:
    """About how many tokens a model reads of the answer."""
    return sum(_count({name: value}) for name, value in answer.items())


def _count(section: Answer) -> int:
    text = json.dumps(section, separators=(",", ":"), ensure_ascii=False)
    return len(_PIECES.findall(text))


def _shortened(answer: Answer) -> Iterator[Answer]:
    """Ever shorter answers, what is missed least left out first."""
    for shorten in _STEPS:
        answer = shorten(answer)
        yield answer
    for fewer in _with_fewer_warnings(answer):
        answer = fewer
        yield answer
    yield _without_what_the_command_says(answer)


def _without_settings_of_the_command(answer: Answer) -> Answer:
    if "serve_command" not in answer.get("artifacts", {}):
        return answer
    return _thinned(answer, "config", lambda name: name in _KEPT_SETTINGS)


def _without_words_of_the_sentence(answer: Answer) -> Answer:
    return _thinned(answer, "feasibility", lambda name: name not in _OF_THE_SENTENCE)


def _without_parts_of_the_overhead(answer: Answer) -> Answer:
    return _thinned(answer, "startup", lambda name: name not in _OF_THE_OVERHEAD)


def _without_second_changes(answer: Answer) -> Answer:
    """The mildest change alone; an alternative where there is no remedy."""
    first = next((name for name in ("remedies", "alternatives") if name in answer), None)
    return {
        name: value[:1] if name == first else value
        for name, value in answer.items()
        if name != "alternatives" or name == first
    }


def _without_batch_limits(answer: Answer) -> Answer:
    return _thinned(answer, "arguments", lambda name: name not in _BATCH_LIMITS)


def _without_message_of_the_sentence(answer: Answer) -> Answer:
    failure = answer.get("startup", {}).get("failure", {})
    said = failure.get("message", "").lower() in answer["verdict"]["sentence"].lower()
    return _without_of_failure(answer, "message") if said else answer


def _without_words_of_the_steps(answer: Answer) -> Answer:
    """What vLLM would take, where the next steps say what comes of it."""
    return _without_of_failure(answer, "remedies") if "next_steps" in answer else answer


def _without_of_failure(answer: Answer, left_out: str) -> Answer:
    failure = answer.get("startup", {}).get("failure", {})
    if left_out not in failure:
        return answer
    told = {name: value for name, value in failure.items() if name != left_out}
    return {**answer, "startup": {**answer["startup"], "failure": told}}


_STEPS = (
    _without_batch_limits,
    _without_words_of_the_steps,
    _without_settings_of_the_command,
    _without_words_of_the_sentence,
    _without_parts_of_the_overhead,
    _without_message_of_the_sentence,
    _without_second_changes,
)


def _with_fewer_warnings(answer: Answer) -> Iterator[Answer]:
    """The answer with one warning less each time, the last first, and how many there are."""
    warnings = answer.get("warnings", [])
    for kept in range(len(warnings) - 1, -1, -1):
        more = f"{len(warnings) - kept} more: detail=full"
        yield {**answer, "warnings": [*warnings[:kept], more]}


def _without_what_the_command_says(answer: Answer) -> Answer:
    """The answer without a plan's settings, or a check's step to its first remedy."""
    said: set[str] = set()
    if "serve_command" in answer.get("artifacts", {}):
        said = {"config"}
    elif "command" in answer:
        said = {"next_steps"}
    return {name: value for name, value in answer.items() if name not in said}


def _thinned(answer: Answer, section: str, keeps: Callable[[str], bool]) -> Answer:
    if section not in answer:
        return answer
    members = {name: value for name, value in answer[section].items() if keeps(name)}
    return {**answer, section: members}
