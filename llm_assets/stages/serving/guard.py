"""Who may ask, how much, and how many at once.

The key is asked for outside the router, on every path that is not exactly ``/health``: a route added later, or the same path
spelt otherwise, is never open by accident (case B44). One counter both books and refuses a key's requests, by key and not by
model, and nothing awaits between the two (case B45).
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Receive, Scope, Send

from llm_assets.stages.serving.requests import ApiError

OPEN_PATHS = frozenset({"/health"})


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


class KeyGuard:
    """ASGI wrapper: 401 without a known ``Authorization: Bearer`` key; the key's digest is left in ``scope["state"]``."""

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self.app = app
        self.digests = [_digest(key.encode()) for key in keys]
        if not self.digests:
            raise ValueError("a gateway needs at least one API key")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let through, or answer."""
        if scope["type"] == "lifespan" or self._open(scope):
            await self.app(scope, receive, send)
            return
        digest = self._known(scope)
        if digest is not None:
            scope.setdefault("state", {})["key"] = digest
            await self.app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "no valid API key"})
            return
        message = "no valid API key: send the header 'Authorization: Bearer <key>'"
        error = ApiError(401, message, kind="authentication_error", code="invalid_api_key")
        await send_error(send, error, {"WWW-Authenticate": "Bearer"})

    def _open(self, scope: Scope) -> bool:
        return scope["type"] == "http" and scope["path"] in OPEN_PATHS and scope["method"] in ("GET", "HEAD")

    def _known(self, scope: Scope) -> bytes | None:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if len(given) != 1:
            return None
        scheme, _, key = given[0].partition(b" ")
        digest = _digest(key.strip())
        # Digests of equal length, all compared: how long it takes says nothing about any key.
        matches = [hmac.compare_digest(digest, known) for known in self.digests]
        return digest if scheme.lower() == b"bearer" and any(matches) else None


async def send_error(send: Send, error: ApiError, headers: dict[str, str] | None = None) -> None:
    """An error as a plain ASGI answer."""
    body = error.body()
    fields = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
    raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


class Budget:
    """Requests that each key may still make; 0 is no limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used: dict[bytes, int] = {}

    def book(self, key: bytes) -> None:
        """Count one request. Raises ``ApiError`` (429) where the key has none left."""
        used = self.used.get(key, 0)
        if self.limit and used >= self.limit:
            raise ApiError(
                429,
                f"this key's budget of {self.limit} requests is spent; ask the operator for more",
                kind="insufficient_quota",
                code="insufficient_quota",
            )
        self.used[key] = used + 1

    def refund(self, key: bytes) -> None:
        """Take one booking back: the request was refused before the model saw it."""
        self.used[key] -= 1


class Turns:
    """At most ``parallel`` requests at once, and ``waiting`` more in line."""

    def __init__(self, parallel: int, waiting: int) -> None:
        self.room = parallel + waiting
        self.inside = 0
        self._turn = asyncio.Semaphore(parallel)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises ``ApiError`` (429 with Retry-After) where the line is full."""
        if self.inside >= self.room:
            raise ApiError(
                429,
                "the server is busy; try again in a moment",
                kind="rate_limit_error",
                code="server_busy",
                headers={"Retry-After": "1"},
            )
        self.inside += 1
        try:
            async with self._turn:
                yield
        finally:
            self.inside -= 1
