"""What people call models: "llama 3.1 8b", "deepseek r1", "qwen3:32b", "gpt oss 120b".

A nickname is resolved against the catalogue alone: all its words must be words of an id. Where
one id is the closest it is meant; where several are, the caller is told which.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache

from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight.models.checkpoint_names import read_name

# Letters, digits and what separates words; a path or an address is none.
_NICKNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:+-]{1,79}")
# "8b", "3.1", "oss"; so "qwen3" is "qwen" and "3", as "qwen 3" is.
_WORDS = re.compile(r"\d+(?:\.\d+)*[a-z](?![a-z])|\d+(?:\.\d+)*|[a-z]+")
# Words that name the tuned model people mean when they say nothing, or nothing at all.
_UNSAID = frozenset({"instruct", "chat", "it", "hf", "meta", "latest"})
# Of what a name without all the words could mean, this many are told.
_MOST_SHOWN = 6


@dataclass(frozen=True)
class Meaning:
    """What a nickname could mean.

    Attributes:
        models: the catalogued ids nearest to it, none where it is no nickname or fits none.
        clear: whether it is the only one, and says all words of its name.
    """

    models: tuple[str, ...] = ()
    clear: bool = False


def meant_by(text: str) -> Meaning:
    """The catalogued models a nickname could mean."""
    if not _NICKNAME.fullmatch(text):
        return Meaning()
    asked = Counter(_WORDS.findall(text.lower()))
    asked = Counter({word: count for word, count in asked.items() if word not in _UNSAID})
    # One word, such as "qwen" or "8b", means too many models to be a name.
    if len(asked) < 2:
        return Meaning()
    scored = [
        (extra, identifier)
        for identifier, words in _words_of_ids()
        if (extra := _words_left(asked, words, identifier)) is not None
    ]
    if not scored:
        return Meaning()
    least = min(extra for extra, _ in scored)
    nearest = sorted(identifier for extra, identifier in scored if extra == least)
    if least[0] > 0:
        # "llama 7b" is nearest to Llama-2-7b, which has a word it does not say.
        return Meaning(tuple(identifier for _, identifier in sorted(scored))[:_MOST_SHOWN])
    models = tuple(_tuned(nearest))
    return Meaning(models, clear=len(models) == 1)


def _tuned(nearest: list[str]) -> list[str]:
    """Of a base model and its tuned one the tuned one: it is what people serve."""
    unsaid = {identifier: _UNSAID.intersection(_name_words(identifier)) for identifier in nearest}
    plain = {
        identifier: [word for word in _name_words(identifier) if word not in _UNSAID]
        for identifier in nearest
    }
    tuned = [identifier for identifier in nearest if unsaid[identifier]]
    if len(tuned) == 1 and all(words == plain[tuned[0]] for words in plain.values()):
        return tuned
    return nearest


def _name_words(identifier: str) -> list[str]:
    return _WORDS.findall(identifier.lower().rpartition("/")[2])


def _words_left(
    asked: Counter[str], words: Counter[str], identifier: str
) -> tuple[int, int] | None:
    """How far an id is from what was asked: words not asked for, then whose it is."""
    organisation, _, name = identifier.lower().partition("/")
    if asked - words - Counter(_WORDS.findall(organisation)):
        return None
    # The publisher of a family has more of its models than whoever copies one.
    family = _WORDS.findall(name)[:1]
    return sum((words - asked).values()), -_published()[(organisation, *family)]


@cache
def _published() -> Counter[tuple[str, ...]]:
    """How many catalogued models of a family each organisation has."""
    return Counter(
        (
            identifier.lower().partition("/")[0],
            *_WORDS.findall(read_name(identifier).base.lower())[:1],
        )
        for identifier in catalog_ids()
    )


@cache
def _words_of_ids() -> tuple[tuple[str, Counter[str]], ...]:
    return tuple(
        (
            identifier,
            Counter(word for word in _name_words(identifier) if word not in _UNSAID),
        )
        for identifier in catalog_ids()
    )
