"""Taking secrets out of what a log's text contributes to an answer."""

from __future__ import annotations

import re

REMOVED = "[removed]"

# Tokens that name their issuer, and values that follow a telling word. All quantifiers
# are bounded or over a single class, so a hostile line costs linear time.
_TOKENS = re.compile(
    r"\bhf_[A-Za-z0-9]{6,}"
    r"|\bsk-[A-Za-z0-9_\-]{6,}"
    r"|\b(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abps]|AKIA|ASIA|nvapi|r8)[_\-]?[A-Za-z0-9_\-]{8,}"
    r"|\beyJ[A-Za-z0-9_\-]{10,}(?:\.[A-Za-z0-9_\-]+){0,2}"
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{4,}")
_NAMED = re.compile(
    r"(?i)([A-Za-z0-9_\-]{0,40}(?:api[_\-]?keys?|access[_\-]?keys?|secret|passw(?:or)?d|passwd|token)"
    r"[A-Za-z0-9_\-]{0,20}['\"]?\s{0,3}(?:[=:]|\s)\s{0,3})(\[?['\"]?)([^\s'\",\])}]{3,})"
)
# "user:password@host", with or without a scheme before it.
_URL = re.compile(r"(^|[\s/'\"(])[^\s/@'\":(]{1,100}:[^\s/@'\"]{1,200}@")
_SECRET_NAME = re.compile(
    r"(?i)api[_\-]?key|access[_\-]?key|secret|passw|hf[_\-]?token|auth[_\-]?token|credential"
    r"|^token$|ssl_|headers"
)
# What may follow "token" in vLLM's own lines without being one.
_HARMLESS = re.compile(
    r"(?i)^(?:\d[\d.,x]*|removed|none|null|true|false|auto|per|of|in|to|the|is|are|and)$"
)


def scrub(text: str, limit: int = 300) -> str:
    """`text` without secrets and control characters, at most `limit` characters long.

    Taken out: tokens of known issuers, bearer and basic credentials, passwords in URLs,
    and whatever follows a name such as --api-key, password or secret.
    """
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * limit])
    shown = _URL.sub(rf"\1{REMOVED}@", shown)
    shown = _BEARER.sub(rf"\1 {REMOVED}", shown)
    shown = _TOKENS.sub(REMOVED, shown)
    shown = _NAMED.sub(_blank, shown)
    shown = shown.strip()
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def is_secret_name(name: str) -> bool:
    """Whether an argument of this name is left out whatever its value."""
    return _SECRET_NAME.search(name) is not None


def _blank(match: re.Match[str]) -> str:
    if _HARMLESS.match(match[3]) or (
        "token" in match[1].lower() and match[1].rstrip()[-1:] not in "=:"
    ):
        return match[0]
    return f"{match[1]}{match[2]}{REMOVED}"
