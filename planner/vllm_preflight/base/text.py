"""Text as it may leave the engine, whoever wrote it.

A config, a file's name, a log or an answer of the Hub can hold what a terminal obeys, what
turns a line around, what nobody sees, and what no encoding carries. All of it is shown as an
escape, in one place: every answer passes `clean_values`, every error and every
progress sentence `presentable`.
"""

from __future__ import annotations

import re
from typing import Any, cast

from vllm_preflight.base.secrets import without_secrets

# Longer sentences are cut by some clients, and none needs more.
LONGEST_SENTENCE = 2_000
# Control characters but for the line break and the tabulator, unpaired surrogates, and
# characters that have no width or change the direction of others (Unicode's Cc, Cs, Cf, Zl, Zp).
_UNCLEAN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\ud800-\udfff\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def clean(text: str) -> str:
    """`text` with every character that is obeyed, unseen or no character as an escape."""
    return _UNCLEAN.sub(lambda match: ascii(match[0])[1:-1], text)


def is_clean(text: str) -> bool:
    """Whether `text` can be shown, written and passed on as it is."""
    return _UNCLEAN.search(text) is None


def clean_values(value: object) -> Any:
    """JSON values with all texts in them clean; lists and objects are new ones."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        members = cast(dict[str, object], value)
        return {clean(key): clean_values(member) for key, member in members.items()}
    if isinstance(value, list):
        return [clean_values(item) for item in cast(list[object], value)]
    return value


def presentable(sentence: str, longest: int = LONGEST_SENTENCE) -> str:
    """A sentence for people and models: clean, without secrets, cut to `longest` characters."""
    shown = without_secrets(clean(sentence[: 2 * longest]))
    return shown if len(shown) <= longest else shown[: longest - 1].rstrip() + "…"


def quoted(words: object, longest: int = 80) -> str:
    """What somebody else wrote, in quotes, on one line, cut: data in a sentence of ours."""
    text = str(words)
    return ascii(text if len(text) <= longest else text[: longest - 1] + "…")
