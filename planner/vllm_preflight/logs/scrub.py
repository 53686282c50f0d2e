"""What a log's text contributes to an answer: short, on one line, without secrets."""

from __future__ import annotations

import re

from vllm_preflight.base.secrets import REMOVED, without_people, without_secrets

__all__ = ["REMOVED", "is_secret_name", "scrub"]

_SECRET_NAME = re.compile(
    r"(?i)api[_\-]?key|access[_\-]?key|secret|passw|hf[_\-]?token|auth[_\-]?token|credential"
    r"|^token$|ssl_|headers"
)


def scrub(text: str, limit: int = 300) -> str:
    """`text` without secrets, people and control characters, at most `limit` characters long."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    shown = without_people(without_secrets(shown)).strip()
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def is_secret_name(name: str) -> bool:
    """Whether an argument of this name is left out whatever its value."""
    return _SECRET_NAME.search(name) is not None
