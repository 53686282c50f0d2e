"""Talking to the Hugging Face Hub: bounded in bytes, time and hosts, without telemetry.

The HTTP session, the token and the environment (HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE,
proxies) are huggingface_hub's. Its download functions are not used: they read answers
of any size, retry for minutes, and name the machine's software in each request.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

from vllm_preflight.base.cancellation import check_stop, current_stop
from vllm_preflight.base.errors import HubUnavailable, InvalidRequest
from vllm_preflight.base.text import presentable, quoted
from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.models.config_files import parse_json_object

# Seconds for everything one model needs of the Hub, short enough to wait for; and where the
# embedded catalogue can answer instead.
BUDGET_S = 10.0
BUDGET_BEFORE_CATALOG_S = 5.0
# A listing of a repository with thousands of files has a few MB.
LISTING_CAP = 32 * BYTES_TO_MIB
USER_AGENT = "vllm-preflight"
_MOST_REDIRECTS = 5
_TURN_S = 0.1
_SWITCHES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})
_REDIRECTS = (301, 302, 303, 307, 308)
# Where the public Hub serves its files from; a mirror is held to its own address.
_PUBLIC_HOSTS = ("huggingface.co", "hf.co")
_LOCAL_HINT = "Give a local folder that holds the model's config.json, or a model of the catalogue."


class HubAway(HubUnavailable):
    """No answer came from the Hub: no connection, or nothing in time."""


class HubRefusal(Exception):
    """The Hub answered with an error status; `code` is its X-Error-Code, often empty."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"{status} {code}".strip())
        self.status = status
        self.code = code


@dataclass(frozen=True)
class HubClient:
    """One conversation with the Hub, over at `deadline` (of `time.monotonic`)."""

    endpoint: str
    token: str | None = field(repr=False)
    deadline: float
    # Headers are read by threads of a pool, which do not inherit the context.
    stop: threading.Event | None = field(default_factory=current_stop, repr=False)

    @classmethod
    def from_environment(cls, budget: float | None = None) -> HubClient:
        """A client of HF_ENDPOINT with the user's token and `budget` seconds (10 by default).

        Raises:
            HubUnavailable: the endpoint or the token cannot be used, or HF_HUB_OFFLINE.
        """
        if is_offline():
            raise HubUnavailable(
                "The Hugging Face Hub is switched off by HF_HUB_OFFLINE.",
                f"Unset HF_HUB_OFFLINE to ask the Hub. {_LOCAL_HINT}",
            )
        seconds = BUDGET_S if budget is None else budget
        return cls(_endpoint(), _token(), time.monotonic() + seconds)

    @property
    def host(self) -> str:
        """The Hub's host name, for sentences."""
        return urlsplit(self.endpoint).hostname or self.endpoint

    @property
    def address(self) -> str:
        """The endpoint as it may be shown: without a user's name or password."""
        parts = urlsplit(self.endpoint)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    def json(self, path: str) -> dict[str, Any]:
        """The JSON object at `path`.

        Raises:
            HubRefusal: the Hub answered with an error status.
            HubUnavailable: it did not answer in time, or with something else than JSON.
        """
        return self.parse(self.get(path, LISTING_CAP, conditional=True), path)

    def parse(self, data: bytes, path: str) -> dict[str, Any]:
        """An answer as a JSON object; raises HubUnavailable."""
        try:
            return parse_json_object(data, f"The answer of {self.host} for {path}")
        except InvalidRequest as error:
            raise HubUnavailable(
                error.message,
                "Check HF_ENDPOINT and any proxy or sign-in page between here and the Hub. "
                + _LOCAL_HINT,
            ) from error

    def get(self, path: str, cap: int, *, conditional: bool = False) -> bytes:
        """The whole answer for `path`, refused above `cap` bytes; raises as `json` does.

        With `conditional` the Hub is asked whether the answer it gave last still holds.
        """
        data = self._fetch(path, cap + 1, None, conditional=conditional)
        if len(data) > cap:
            raise HubUnavailable(
                f"The answer of {self.host} for {path} is larger than {cap // BYTES_TO_MIB} MiB, "
                "more than any file of its kind.",
                _LOCAL_HINT,
            )
        return data

    def start(self, path: str, length: int) -> bytes:
        """The first `length` bytes of the file at `path`; raises as `json` does."""
        return self._fetch(path, length, f"bytes=0-{length - 1}")[:length]

    def _fetch(
        self, path: str, most: int, byte_range: str | None, *, conditional: bool = False
    ) -> bytes:
        """At most about `most` bytes of an answer, or an error when the deadline passes.

        The request runs in a thread of its own: the HTTP library's timeouts bound each
        step, but neither name resolution nor a server that sends a byte a second.
        """
        remaining = self.deadline - time.monotonic()
        answer: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()

        def exchange() -> None:
            try:
                answer.put(self._exchange(path, most, byte_range, remaining, conditional))
            except Exception as error:  # Whatever it is, the caller raises it.
                answer.put(error)

        threading.Thread(target=exchange, name="hub-request", daemon=True).start()
        outcome = self._wait(answer)
        if isinstance(outcome, bytes):
            return outcome
        if isinstance(outcome, HubRefusal | HubUnavailable):
            raise outcome
        raise HubAway(
            f"{self.host} cannot be reached: {_reason(outcome)}.",
            f"Check the network, HF_ENDPOINT and proxy settings. {_LOCAL_HINT}",
        ) from outcome

    def _wait(self, answer: queue.SimpleQueue[bytes | Exception]) -> bytes | Exception:
        """What arrives before the deadline; waits in short turns, to notice being given up."""
        while True:
            check_stop(self.stop)
            remaining = self.deadline - time.monotonic()
            try:
                return answer.get(timeout=max(0.0, min(_TURN_S, remaining)))
            except queue.Empty:
                if remaining > _TURN_S:
                    continue
                raise HubAway(
                    f"{self.host} did not answer in time.", f"Try again later. {_LOCAL_HINT}"
                ) from None

    def _exchange(
        self, path: str, most: int, byte_range: str | None, timeout: float, conditional: bool
    ) -> bytes:
        from huggingface_hub.utils import get_session

        headers = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if byte_range:
            headers["Range"] = byte_range
        url = asked = self.endpoint + path
        known = _ANSWERS.get(asked) if conditional else None
        if known is not None:
            headers["If-None-Match"] = known[0]
        session = get_session()
        for _ in range(_MOST_REDIRECTS):
            # The caller's own wait ends first; this only lets the thread end too.
            with session.stream(
                "GET", url, headers=headers, timeout=timeout + 1, follow_redirects=False
            ) as response:
                if response.status_code in _REDIRECTS:
                    url = self._redirected(url, response.headers.get("Location", ""), headers)
                    continue
                if response.status_code == 304 and known is not None:
                    return known[1]
                if response.status_code not in (200, 206):
                    code = response.headers.get("X-Error-Code", "")
                    raise HubRefusal(response.status_code, code)
                data = bytearray()
                for chunk in response.iter_bytes():
                    check_stop(self.stop)
                    data += chunk
                    if len(data) >= most:
                        break
                if conditional:
                    _keep_answer(asked, response.headers.get("ETag", ""), bytes(data))
                return bytes(data)
        raise HubUnavailable(f"{self.host} redirects in circles for {path}.", _LOCAL_HINT)

    def _redirected(self, url: str, location: str, headers: dict[str, str]) -> str:
        """Where a redirect leads, without the token when that is another origin."""
        target = urljoin(url, location)
        if _origin(target) == _origin(self.endpoint):
            return target
        if not (_is_public(self.endpoint) and _is_public(target)):
            # With the port, which may be all that differs.
            host = quoted(urlsplit(target).netloc.rpartition("@")[2])
            raise HubUnavailable(
                f"{self.host} redirects to another host, {host}, which is not followed.",
                "Check HF_ENDPOINT.",
            )
        headers.pop("Authorization", None)
        return target


# The last listings with their marks (ETag), so that the Hub need not send them again.
_ANSWERS: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
_MOST_ANSWERS, _LARGEST_ANSWER = 32, BYTES_TO_MIB


def _keep_answer(url: str, mark: str, data: bytes) -> None:
    _ANSWERS.pop(url, None)
    if mark.isascii() and 0 < len(mark) <= 200 and len(data) <= _LARGEST_ANSWER:
        _ANSWERS[url] = (mark, data)
        while len(_ANSWERS) > _MOST_ANSWERS:
            _ANSWERS.popitem(last=False)


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) switches the Hub off."""
    if any(os.environ.get(name, "").upper() in _TRUE for name in _SWITCHES):
        return True
    # The library reads the variables when it is imported; they may have been unset since.
    constants = sys.modules.get("huggingface_hub.constants")
    return bool(constants and constants.HF_HUB_OFFLINE)


def _endpoint() -> str:
    from huggingface_hub import constants

    endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise HubUnavailable(
            f"HF_ENDPOINT is {endpoint[:80]!r}, which is no http or https address.",
            "Correct it, or unset it for https://huggingface.co.",
        )
    return endpoint


def _token() -> str | None:
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return None
    try:
        token = get_token()
    except Exception as error:  # Keyless and refreshed tokens fail in the library's many ways.
        raise HubUnavailable(
            f"The Hugging Face token cannot be obtained ({type(error).__name__}).",
            "Set HF_TOKEN to a token of https://huggingface.co/settings/tokens.",
        ) from error
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        # Never shown: an HTTP library's own complaint would quote it.
        raise HubUnavailable(
            "The Hugging Face token holds characters that no token has.",
            "Set HF_TOKEN to a token of https://huggingface.co/settings/tokens.",
        )
    return token


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _is_public(url: str) -> bool:
    scheme, host, port = _origin(url)
    inside = any(host == name or (host or "").endswith(f".{name}") for name in _PUBLIC_HOSTS)
    return scheme == "https" and port == 443 and inside


def _reason(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")[:160]
    return presentable(text) or type(error).__name__
