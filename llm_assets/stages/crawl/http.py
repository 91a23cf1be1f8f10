"""A light HTTP/1.1 client over asyncio streams: one request, no redirects, everything bounded.

It keeps the head of the answer as it came (an archive stores that), reuses connections, and never talks to an address that
``Addresses`` has not passed. Bodies are read (``body``) and decoded under the limits of the recipe.
"""

import asyncio
import ssl
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urlsplit

from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.stages.crawl.address import Addresses, RefusedAddress
from llm_assets.stages.crawl.body import MAX_HEAD_BYTES, Pace, ProtocolError, read_body
from llm_assets.stages.crawl.decode import ACCEPTED, CannotDecode, Limited, decode

__all__ = ["Answer", "Client", "Failure", "Pace", "ProtocolError", "parse_head"]

_MAX_INTERIM = 16  # answers of the 1xx kind before the real one

_Origin = tuple[str, str, int]  # scheme, host, port
Failure = Literal["", "address", "timeout", "connection", "protocol", "too_large", "truncated", "encoding"]


@dataclass(frozen=True)
class Answer:
    """What came back. ``failure`` is empty when the answer is whole; ``payload`` is decoded.

    ``head``: status line and headers as received, without the empty line; ``headers``: see ``parse_head``. ``detail``: one
    short phrase on a failure. ``seconds``: from the request to the last byte.
    """

    status: int = 0
    head: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    payload: bytes = b""
    wire_bytes: int = 0
    failure: Failure = ""
    detail: str = ""
    address: str = ""
    seconds: float = 0.0

    @property
    def media_type(self) -> str:
        """``text/html`` of ``text/html; charset=utf-8``."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    address: str
    used: bool = False


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers, names in lower case. Raises ``ProtocolError``.

    Folded and malformed lines are taken as servers mean them. Values of a repeated name are joined by ", "; those of
    ``x-robots-tag`` by a line end, because the agent that such a line names counts to its end only.
    """
    first, *lines = head.decode("latin-1").split("\r\n") if b"\r\n" in head else head.decode("latin-1").split("\n")
    parts = first.split(None, 2)
    if len(parts) < 2 or not parts[0].startswith("HTTP/1.") or not parts[1].isdigit() or not 100 <= int(parts[1]) <= 599:
        raise ProtocolError(f"no HTTP/1 status line: {first[:60]!r}")
    headers: dict[str, str] = {}
    name = ""
    for line in lines:
        if line[:1] in " \t" and name:
            headers[name] = f"{headers[name]} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name:
            joint = "\n" if name == "x-robots-tag" else ", "
            headers[name] = f"{headers[name]}{joint}{value.strip()}" if name in headers else value.strip()
        else:
            name = ""
    return int(parts[1]), headers


def _key(url: str) -> _Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class Client:
    """Connections by (scheme, host, port), kept while servers keep them."""

    def __init__(
        self,
        addresses: Addresses,
        user_agent: str,
        timeout_seconds: float,
        max_payload_bytes: int,
        connections: int = 64,
        pace: Pace = Pace(),  # noqa: B008 - frozen
    ) -> None:
        self.addresses = addresses
        self.timeout_seconds = timeout_seconds
        self.max_payload_bytes = max_payload_bytes
        self.pace = pace
        self._fixed = f"User-Agent: {user_agent}\r\nAccept: text/html,application/xhtml+xml,image/*;q=0.9,*/*;q=0.5\r\n"
        self._fixed += f"Accept-Encoding: {ACCEPTED}\r\nConnection: keep-alive\r\n"
        self._idle: dict[_Origin, list[_Connection]] = {}
        self._slots = asyncio.Semaphore(connections)
        self._tls = ssl.create_default_context()

    @classmethod
    def of(cls, config: RawCrawlConfig, addresses: Addresses) -> "Client":
        """A client with the limits of the recipe."""
        limits = config.limits
        pace = Pace(limits.min_bytes_per_second, limits.slow_after_seconds)
        return cls(addresses, config.user_agent, limits.timeout_seconds, limits.max_payload_bytes, limits.connections, pace)

    async def get(self, url: str, headers: dict[str, str] | None = None, max_bytes: int = 0) -> Answer:
        """Fetch one URL (ASCII, as ``links.resolve`` gives it). What servers and networks do wrong is a ``failure``.

        ``max_bytes``: another limit than the client's; then what came before the limit is read even where the server said that
        there would be more.
        """
        async with self._slots:
            started = asyncio.get_running_loop().time()
            answer = await self._bounded(url, headers or {}, max_bytes)
        return replace(answer, seconds=asyncio.get_running_loop().time() - started)

    async def _bounded(self, url: str, headers: dict[str, str], max_bytes: int) -> Answer:
        deadline = asyncio.timeout(self.timeout_seconds)
        try:
            async with deadline:
                end = deadline.when() or 0.0
                return await self._get(url, headers, max_bytes, deadline)
        except TimeoutError:
            detail = f"no whole answer within {self.timeout_seconds:g} s"
            if deadline.expired() and (deadline.when() or 0.0) < end:
                detail = f"after {self.pace.after_seconds:g} s fewer than {self.pace.bytes_per_second:g} bytes a second"
            return Answer(failure="timeout", detail=detail)
        except RefusedAddress as error:
            return Answer(failure="address", detail=str(error))
        except (ProtocolError, ValueError) as error:
            return Answer(failure="protocol", detail=str(error)[:200])
        except (OSError, EOFError) as error:
            return Answer(failure="connection", detail=f"{type(error).__name__}: {error}"[:200])

    def release(self, url: str) -> None:
        """Close the idle connections to the origin of a URL."""
        for connection in self._idle.pop(_key(url), []):
            connection.writer.close()

    async def close(self) -> None:
        """Close all idle connections, and wait until they are."""
        kept = [connection.writer for connections in self._idle.values() for connection in connections]
        self._idle.clear()
        for writer in kept:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in kept), return_exceptions=True)

    async def _get(self, url: str, headers: dict[str, str], max_bytes: int, deadline: asyncio.Timeout) -> Answer:
        parts, key = urlsplit(url), _key(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n{self._fixed}{extra}\r\n".encode(
            "latin-1"
        )
        while True:
            connection = await self._connection(key)
            fresh = not connection.used
            try:
                connection.writer.write(request)
                head = await _head(connection.reader)
            except (OSError, EOFError):
                connection.writer.close()
                if fresh:
                    raise
                continue  # the server closed a kept connection between two requests: the next one may be new
            except BaseException:
                connection.writer.close()
                raise
            return await self._answer(key, connection, head, max_bytes, deadline)

    async def _connection(self, key: _Origin) -> _Connection:
        scheme, host, port = key
        kept = self._idle.get(key)
        while kept:
            connection = kept.pop()
            if not connection.reader.at_eof() and not connection.writer.is_closing():
                return connection
            connection.writer.close()
        address, real_port = await self.addresses.of(host, port)
        tls = {"ssl": self._tls, "server_hostname": host} if scheme == "https" else {}
        reader, writer = await asyncio.open_connection(address, real_port, limit=MAX_HEAD_BYTES, **tls)  # type: ignore[arg-type]
        return _Connection(reader, writer, address)

    async def _answer(
        self, key: _Origin, connection: _Connection, head: bytes, max_bytes: int, deadline: asyncio.Timeout
    ) -> Answer:
        limit = max_bytes or self.max_payload_bytes
        try:
            status, headers = parse_head(head)
            if not max_bytes and status == 200 and (promised := _promised(headers)) > limit:
                connection.writer.close()
                detail = f"Content-Length {promised}"[:80]
                return Answer(status, head, headers, b"", 0, "too_large", detail, connection.address)
            body, whole, reusable = await read_body(connection.reader, status, headers, limit, self.pace, deadline)
        except BaseException:
            connection.writer.close()
            raise
        if reusable and "close" not in headers.get("connection", "").lower():
            connection.used = True
            self._idle.setdefault(key, []).append(connection)
        else:
            connection.writer.close()
        failure: Failure = "" if whole else ("too_large" if len(body) > limit else "truncated")
        detail = "" if whole else f"{len(body)} bytes came"
        payload = body
        if not failure:
            try:
                payload = decode(body, headers.get("content-encoding", ""), limit)
            except Limited as error:
                payload, failure, detail = error.partial, "too_large", f"{len(body)} bytes on the wire"
            except CannotDecode as error:
                failure, detail = "encoding", str(error)[:200]
        return Answer(status, head, headers, payload, len(body), failure, detail, connection.address)


def _promised(headers: dict[str, str]) -> int:
    """The body's length as the server states it; 0 where it does not, or sends chunks."""
    length = headers.get("content-length", "").partition(",")[0].strip()
    return int(length[:30]) if length.isdigit() and "chunked" not in headers.get("transfer-encoding", "").lower() else 0


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        for _ in range(_MAX_INTERIM):
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            if not head.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):  # 100 Continue and kin come before the answer
                return head
    except asyncio.LimitOverrunError as error:
        raise ProtocolError(f"headers longer than {MAX_HEAD_BYTES} bytes") from error
    raise ProtocolError(f"{_MAX_INTERIM} interim answers and no real one")
