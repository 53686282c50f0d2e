"""Taking secrets out of a text before any of it is repeated.

Known are tokens by their issuer's prefix, values by the name before them, and what is long and
random enough to be one. All quantifiers are bounded or over a single class, so a hostile text
costs linear time; callers cut first.
"""

from __future__ import annotations

import re

REMOVED = "[removed]"

# Tokens that name their issuer. Some came apart at a blank on their way into a log.
_TOKENS = re.compile(
    r"\bhf_[A-Za-z0-9]{6,}(?:\s[A-Za-z0-9]{12,})?"
    r"|\b(?:sk|rk|pk)[-_](?:live_|test_|proj-|ant-)?[A-Za-z0-9_\-]{6,}(?:\s[A-Za-z0-9]{16,})?"
    r"|\b(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abprs]|AKIA|ASIA|nvapi|r8|npm|pypi|whsec|dckr_pat)"
    r"[_\-]?[A-Za-z0-9_\-]{8,}"
    r"|\bAIza[A-Za-z0-9_\-]{30,}"
    r"|\bya29\.[A-Za-z0-9_\-]{10,}"
    r"|\beyJ[A-Za-z0-9_\-]{10,}(?:\.[A-Za-z0-9_\-]+){0,2}"
    r"|\b[A-Za-z0-9_\-]{23,28}\.[A-Za-z0-9_\-]{6,7}\.[A-Za-z0-9_\-]{27,40}\b"
    r"|\b(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-\S{1,30})\s{1,3}[A-Za-z0-9+/]{16,}={0,2}"
)
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END [A-Z0-9 ]{1,40}-----|\Z)", re.S)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=\-]{4,}")
_COOKIE = re.compile(r"(?i)\b((?:set-)?cookie['\"]?\s{0,3}[:=]\s{0,3})\S.*")
# What a signed address proves itself by.
_SIGNED = re.compile(
    r"(?i)([?&;](?:x-[a-z]{2,8}-(?:signature|credential|security-token)|sig|signature|token"
    r"|access_token|awsaccesskeyid|key|key-pair-id|policy|googleaccessid)=)[^&\s'\"<>)]{3,}"
)
_WEBHOOK = re.compile(r"(?i)(/api/webhooks/|hooks\.slack\.com/services/)[\w/\-]{8,}")
# Names after which a secret stands, and the word in the languages of most users.
_NAME = (
    r"(?:api[_\-]?keys?|access[_\-]?keys?|secret|passw(?:or)?d|passwd|token|credentials?"
    r"|[_\-]key|accountkey|accesskey|passwort|contraseña|mot de passe|senha|parola|hasło|wachtwoord"
    r"|lösenord|пароль|密码|密碼|パスワード|비밀번호)"
)
_NAMED = re.compile(
    rf"(?i)({_NAME}[A-Za-z0-9_\-]{{0,20}}['\"]?\s{{0,3}}(?:[=:：]|\s)\s{{0,3}})"
    r"(\[?['\"]?)([^\s'\",\])}]{3,})"
)
# "user:password@host", with or without a scheme before it.
_URL = re.compile(r"(^|[\s/'\"(])[^\s/@'\":(]{1,100}:[^\s/@'\"]{1,200}@")
# Long and random: hexadecimal keys, and keys in base 64 of Amazon's or of greater length.
_HEX = re.compile(r"(?<![A-Za-z0-9])[0-9a-fA-F]{32,128}(?![A-Za-z0-9])")
_BASE64 = re.compile(
    r"(?<![A-Za-z0-9+/])(?:[A-Za-z0-9+/]{40}|[A-Za-z0-9+/]{60,2000})={0,2}(?![A-Za-z0-9+/=])"
)
# What stands before a hash that is none: a commit, a digest, a place in the Hub's cache.
_HASHES = ("commit", "revision", "snapshots/", "resolve/", "sha256:", "@", "revision=", "tree/")
# What may follow "token" in vLLM's own lines without being one.
_HARMLESS = re.compile(
    r"(?i)^(?:\d[\d.,x]*|removed|none|null|true|false|auto|per|of|in|to|the|is|are|and)$"
)
_MAIL = re.compile(r"\b[\w.+\-]{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){0,4}\.[A-Za-z]{2,18}\b")
_PRIVATE_ADDRESS = re.compile(
    r"(?<![\d.])(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}"
    r"|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})(?![\d.]*\d)"
)


def without_secrets(text: str) -> str:
    """`text` with every secret that is known as one replaced by REMOVED."""
    text = _PEM.sub(REMOVED, text)
    text = _URL.sub(rf"\1{REMOVED}@", text)
    text = _BEARER.sub(rf"\1 {REMOVED}", text)
    text = _COOKIE.sub(rf"\1{REMOVED}", text)
    text = _SIGNED.sub(rf"\1{REMOVED}", text)
    text = _WEBHOOK.sub(rf"\1{REMOVED}", text)
    text = _TOKENS.sub(REMOVED, text)
    text = _NAMED.sub(_without_value, text)
    text = _HEX.sub(_without_key, text)
    return _BASE64.sub(_without_random, text)


def without_people(text: str) -> str:
    """`text` without addresses of people and of machines in private networks."""
    return _PRIVATE_ADDRESS.sub(REMOVED, _MAIL.sub(REMOVED, text))


def _without_value(match: re.Match[str]) -> str:
    if _HARMLESS.match(match[3]) or (
        "token" in match[1].lower() and match[1].rstrip()[-1:] not in "=:："
    ):
        return match[0]
    if match[3].startswith(REMOVED[:8]):
        return match[0]
    return f"{match[1]}{match[2]}{REMOVED}"


def _without_key(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 12) : match.start()].rstrip(" '\"").lower()
    is_hash = len(match[0]) in (40, 64) and before.endswith(_HASHES)
    is_random = len(set(match[0])) >= 8 and not match[0].isdigit()
    return REMOVED if is_random and not is_hash else match[0]


def _without_random(match: re.Match[str]) -> str:
    found = match[0]
    upper, lower = sum(map(str.isupper, found)), sum(map(str.islower, found))
    is_random = min(upper, lower) >= 6 and any(map(str.isdigit, found)) and found.count("/") < 4
    return REMOVED if is_random else found
