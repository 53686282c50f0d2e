"""Answers kept for questions that are asked again.

Only answers that hang on nothing but the question and this release: a named GPU and a
model of the catalogue, where the Hub is switched off. A folder may change, the Hub may
answer anew, and a detected GPU may be in use, so those are worked out each time.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import cache
from typing import Any, Generic, TypeVar

from vllm_preflight.contract.request import RequestModel
from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight.models.hub_client import is_offline

T = TypeVar("T")
MOST_KEPT = 256
# Fields that may name another model, another GPU, or one of the Hub.
_SAY_MORE = ("command", "log", "revision", "profile", "arguments")
# GPUs that are found now, not named.
_FOUND = ("auto", "fleet:")


class Remembered(Generic[T]):
    """The answers asked for last, by question; used by one thread."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._answers: OrderedDict[RequestModel, T] = OrderedDict()

    def get(self, question: RequestModel) -> T | None:
        """The answer kept for `question`, if any."""
        answer = self._answers.get(question)
        if answer is not None:
            self._answers.move_to_end(question)
        return answer

    def keep(self, question: RequestModel, answer: T) -> None:
        """Keep an answer; the one not asked for longest makes room."""
        self._answers[question] = answer
        self._answers.move_to_end(question)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)


def stands_alone(request: RequestModel) -> bool:
    """Whether the same question always has the same answer in this release."""
    given: dict[str, Any] = dict(request)
    model = given.get("model") or ""
    if any(given.get(name) is not None for name in _SAY_MORE):
        return False
    if "gpu" in given and str(given["gpu"] or "auto").strip().lower().startswith(_FOUND):
        return False
    if not is_offline():
        return False
    # A folder goes before a catalogued model of its name.
    return model.lower() in _catalogued() and not os.path.exists(os.path.expanduser(model))


@cache
def _catalogued() -> frozenset[str]:
    return frozenset(identifier.lower() for identifier in catalog_ids())
