"""Whether the Hub can be reached at all, found out quickly and remembered.

A machine without a network must not wait before the embedded catalogue answers: one
connection is tried for at most CONNECT_S seconds, to the proxy where one is set, and a Hub
that is away is not tried again by this process for AWAY_S seconds. Nothing is sent. A model
that the Hub refused (gated, private, too many requests) is not asked for again as long, where
the catalogue answers for it.
"""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Mapping
from math import ceil
from typing import Any
from urllib.parse import urlsplit

from vllm_preflight.base.errors import HubUnavailable
from vllm_preflight.base.strangers import before_strangers

# Twice the round trips of a far continent; name resolution included.
CONNECT_S = 1.5
AWAY_S = 300.0
# For as long nobody else waits for it, not even for a model that nothing else knows.
SILENT_S = 20.0
_MOST_REFUSED = 100
_PUBLIC = "https://huggingface.co"

_AWAY_UNTIL: dict[str, float] = {}
# Why a model was refused, and until when that is believed, by endpoint and id.
_REFUSED: dict[tuple[str, str], tuple[float, str]] = {}


def answers() -> bool:
    """Whether something at the Hub's address takes a connection; remembered when not."""
    endpoint = _endpoint()
    if time.monotonic() < _AWAY_UNTIL.get(endpoint, 0.0):
        return False
    before_strangers(asks_hub=True)
    found = _connects(endpoint)
    if not found:
        found_away()
    return found


def found_away() -> None:
    """Remember that the Hub did not answer, however that was found out."""
    _AWAY_UNTIL[_endpoint()] = time.monotonic() + AWAY_S


def check_not_silent() -> None:
    """Go on, or refuse a question that would wait for a Hub that was silent a moment ago.

    Raises:
        HubUnavailable: less than SILENT_S seconds have passed since it did not answer.
    """
    left = _AWAY_UNTIL.get(_endpoint(), 0.0) - AWAY_S + SILENT_S - time.monotonic()
    if left > 0:
        raise HubUnavailable(
            "The Hugging Face Hub did not answer a moment ago.",
            f"Ask again in {ceil(left)} s, or give a local folder that holds the model's "
            "config.json, or a model of the catalogue.",
        )


def found_refused(model: str, reason: str) -> None:
    """Remember that the Hub refuses a model, and why."""
    _refuse((_endpoint(), model), time.monotonic() + AWAY_S, reason)


def refusal(model: str) -> str | None:
    """Why the Hub refused a model a moment ago, None where it did not."""
    until, reason = _REFUSED.get((_endpoint(), model), (0.0, ""))
    return reason if time.monotonic() < until else None


def known() -> dict[str, Any]:
    """What is remembered, as JSON values, for another process of this machine."""
    return {
        "away": [[endpoint, until] for endpoint, until in list(_AWAY_UNTIL.items())],
        "refused": [[*key, *why] for key, why in list(_REFUSED.items())],
    }


def restore(state: Mapping[str, Any]) -> None:
    """Take over what another process of this machine remembers."""
    for endpoint, until in state["away"]:
        _AWAY_UNTIL[endpoint] = max(until, _AWAY_UNTIL.get(endpoint, 0.0))
    for endpoint, model, until, reason in state["refused"]:
        _refuse((endpoint, model), until, reason)


def forget_away() -> None:
    """Try the Hub again at the next question."""
    _AWAY_UNTIL.clear()
    _REFUSED.clear()


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT") or _PUBLIC


def _refuse(key: tuple[str, str], until: float, reason: str) -> None:
    # The oldest make room: models are strangers' names.
    _REFUSED.pop(key, None)
    _REFUSED[key] = (until, reason)
    while len(_REFUSED) > _MOST_REFUSED:
        _REFUSED.pop(next(iter(_REFUSED)), None)


def _connects(endpoint: str) -> bool:
    address = _first_hop(endpoint)
    if address is None:
        # An address that makes no sense is the client's to explain.
        return True
    outcome: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def attempt() -> None:
        try:
            socket.create_connection(address, timeout=CONNECT_S).close()
        except OSError:
            outcome.put(False)
        else:
            outcome.put(True)

    # Name resolution knows no timeout: the thread may outlive the wait.
    threading.Thread(target=attempt, name="hub-reach", daemon=True).start()
    try:
        return outcome.get(timeout=CONNECT_S)
    except queue.Empty:
        return False


def _first_hop(endpoint: str) -> tuple[str, int] | None:
    """Host and port a request to the endpoint goes to first: a proxy, or the endpoint."""
    # Half the time of a start; only a machine that may ask the Hub needs it.
    from urllib.request import getproxies, proxy_bypass

    try:
        parts = urlsplit(endpoint)
        proxies = getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all")
        if proxy and not proxy_bypass(parts.hostname or ""):
            parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
        port = parts.port or {"http": 80, "https": 443, "": 80}.get(parts.scheme, 1080)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None
