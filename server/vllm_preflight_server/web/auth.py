"""A shared token before the HTTP endpoint: `Authorization: Bearer TOKEN`."""

from __future__ import annotations

import hashlib
import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from vllm_preflight_server.web.problems import refusal

REALM = "vllm-preflight"


class BearerToken:
    """ASGI middleware that lets only requests with the token through.

    `open_paths` need none. Others are answered 401 with `WWW-Authenticate`, as RFC 6750
    says; the answer does not tell a wrong token from a missing one by its time.
    """

    def __init__(self, app: ASGIApp, token: str, open_paths: frozenset[str]) -> None:
        self._app = app
        self._digest = _digest(token.encode())
        self._open_paths = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it before anything of it is read."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        # Compared even when there is none, so that both refusals take the same time.
        is_right = hmac.compare_digest(_digest(_token(given)), self._digest)
        if is_right and len(given) == 1:
            await self._app(scope, receive, send)
            return
        challenge = f'Bearer realm="{REALM}"'
        if given:
            challenge += ', error="invalid_token"'
        # The body that may follow is not read.
        headers = {"WWW-Authenticate": challenge, "Connection": "close"}
        sentence = "This server wants its token in the header Authorization, after the word Bearer."
        await refusal(scope, 401, "no_token", sentence, headers)(scope, receive, send)


def _token(values: list[bytes]) -> bytes:
    scheme, _, token = (values[0] if values else b"").partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def _digest(token: bytes) -> bytes:
    # Digests have one length, so the comparison says nothing of the token's.
    return hashlib.sha256(token).digest()
