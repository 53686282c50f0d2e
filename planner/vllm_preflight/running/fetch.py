"""GET of a server that the user names: one host, no redirects, bounded in time and size."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from typing import Any

from vllm_preflight.base.errors import InvalidRequest

# Seconds for a step, and for the whole answer, however slowly it trickles in.
TIMEOUT_S = 5.0
WHOLE_S = 15.0
_LARGEST = 8_000_000


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """What redirects elsewhere is no server that the user named."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Refuse."""
        return


# No proxy of the environment: the address is meant as it is written.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects())


def base_of(url: str) -> str:
    """Scheme and host of an address, whatever path of the server follows.

    Raises:
        InvalidRequest: no http address, or one with a password in it.
    """
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urllib.parse.urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_address(url) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise _no_address(url)
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest("The address holds a password.", "Give it without user and password.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/")
    for known in ("/metrics", "/version", "/v1/models", "/v1", "/health"):
        path = path.removesuffix(known)
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"


def _no_address(url: str) -> InvalidRequest:
    return InvalidRequest(
        f"{url[:80]!r} is no address of a server.", "Write it as http://HOST:8000."
    )


def get_text(base: str, path: str) -> str | None:
    """The text that a GET answers; None where the server has no such path or refuses it.

    Raises:
        InvalidRequest: nobody answers there, in time, or it answers without end.
    """
    found: list[str | InvalidRequest | None] = []
    # Headers that trickle in end no step, and cannot be interrupted but by leaving them.
    reader = threading.Thread(target=lambda: found.append(_read(base, path)), daemon=True)
    reader.start()
    reader.join(WHOLE_S)
    answer = found[0] if found else _silent(base, f"it took longer than {WHOLE_S:g} s")
    if isinstance(answer, InvalidRequest):
        raise answer
    return answer


def _read(base: str, path: str) -> str | InvalidRequest | None:
    request = urllib.request.Request(f"{base}{path}", headers={"Accept": "*/*"})
    ends = time.monotonic() + WHOLE_S
    data = bytearray()
    try:
        with _OPENER.open(request, timeout=TIMEOUT_S) as answer:
            while part := answer.read1(_LARGEST + 1 - len(data)):
                data += part
                if len(data) > _LARGEST:
                    most = _LARGEST // 10**6
                    return InvalidRequest(f"{base}{path} answers with more than {most} MB.")
                if time.monotonic() > ends:
                    return _silent(base, f"it took longer than {WHOLE_S:g} s")
    except urllib.error.HTTPError as error:
        error.close()
        return None
    except (OSError, HTTPException, ValueError) as error:
        return _silent(base, str(getattr(error, "reason", None) or error))
    return bytes(data).decode("utf-8", errors="replace")


def _silent(base: str, reason: str) -> InvalidRequest:
    return InvalidRequest(
        f"{base} does not answer: {reason[:120]}.",
        "Check the address, and that the server runs and can be reached from here.",
    )
