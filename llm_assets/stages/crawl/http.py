"""A light HTTP/1.1 client over asyncio streams: one request, no redirects, everything bounded.

It keeps the head of the answer as it came (an archive stores that), reuses connections, and never talks to an address that
``Addresses`` has not passed. Bodies are decoded under the limit of the recipe.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from llm_assets.stages.crawl.address import Addresses, RefusedAddress
from llm_assets.stages.crawl.decode import ACCEPTED, CannotDecode, Limited, decode

MAX_HEAD_BYTES = 65_536

_Origin = tuple[str, str, int]  # scheme, host, port
Failure = Literal["", "address", "timeout", "connection", "protocol", "too_large", "truncated", "encoding"]


class ProtocolError(ValueError):
    """The answer is not HTTP as we can read it."""


@dataclass(frozen=True)
class Answer:
    """What came back. ``failure`` is empty when the answer is whole; ``payload`` is decoded.

    ``head``: status line and headers as received, without the empty line; ``headers``: lower-case names, the values of
    repeated ones joined by ", ". ``detail``: one short phrase on a failure.
    """

    status: int = 0
    head: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    payload: bytes = b""
    wire_bytes: int = 0
    failure: Failure = ""
    detail: str = ""
    address: str = ""

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
    """Status and headers. Folded and malformed lines are taken as servers mean them. Raises ``ProtocolError``."""
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
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
        else:
            name = ""
    return int(parts[1]), headers


def _key(url: str) -> _Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


class Client:
    """Connections by (scheme, host, port), kept while servers keep them."""

    def __init__(
        self, addresses: Addresses, user_agent: str, timeout_seconds: float, max_payload_bytes: int, connections: int = 64
    ) -> None:
        self.addresses = addresses
        self.timeout_seconds = timeout_seconds
        self.max_payload_bytes = max_payload_bytes
        self._fixed = f"User-Agent: {user_agent}\r\nAccept: text/html,application/xhtml+xml,image/*;q=0.9,*/*;q=0.5\r\n"
        self._fixed += f"Accept-Encoding: {ACCEPTED}\r\nConnection: keep-alive\r\n"
        self._idle: dict[_Origin, list[_Connection]] = {}
        self._slots = asyncio.Semaphore(connections)
        self._tls = ssl.create_default_context()

    async def get(self, url: str, headers: dict[str, str] | None = None, max_bytes: int = 0) -> Answer:
        """Fetch one URL (ASCII, as ``links.resolve`` gives it). What servers and networks do wrong is a ``failure``."""
        limit = max_bytes or self.max_payload_bytes
        try:
            async with self._slots, asyncio.timeout(self.timeout_seconds):
                return await self._get(url, headers or {}, limit)
        except TimeoutError:
            return Answer(failure="timeout", detail=f"no whole answer within {self.timeout_seconds:g} s")
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

    async def _get(self, url: str, headers: dict[str, str], limit: int) -> Answer:
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
            return await self._answer(key, connection, head, limit)

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

    async def _answer(self, key: _Origin, connection: _Connection, head: bytes, limit: int) -> Answer:
        try:
            status, headers = parse_head(head)
            body, whole, reusable = await _body(connection.reader, status, headers, limit)
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


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
            if not head.startswith((b"HTTP/1.1 1", b"HTTP/1.0 1")):  # 100 Continue and kin come before the answer
                return head
    except asyncio.LimitOverrunError as error:
        raise ProtocolError(f"headers longer than {MAX_HEAD_BYTES} bytes") from error


async def _body(reader: asyncio.StreamReader, status: int, headers: dict[str, str], limit: int) -> tuple[bytes, bool, bool]:
    """(bytes, whole, connection reusable); stops within one read past the limit."""
    if status in (204, 304):
        return b"", True, True
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return await _chunked(reader, limit)
    length = headers.get("content-length", "").partition(",")[0].strip()
    if length.isdigit():
        wanted = int(length)
        if wanted <= limit:
            try:
                return await reader.readexactly(wanted), True, True
            except asyncio.IncompleteReadError as error:
                return error.partial, False, False
        body, _ = await _until(reader, limit)
        return body, False, False
    body, ended = await _until(reader, limit)
    return body, ended, False


async def _until(reader: asyncio.StreamReader, limit: int) -> tuple[bytes, bool]:
    """Read to the end, or to just past the limit: (bytes, whether the end was reached)."""
    out = bytearray()
    while len(out) <= limit:
        part = await reader.read(65_536)
        if not part:
            return bytes(out), True
        out += part
    return bytes(out), False


async def _chunked(reader: asyncio.StreamReader, limit: int) -> tuple[bytes, bool, bool]:
    out = bytearray()
    try:
        while len(out) <= limit:
            size = int((await reader.readuntil(b"\n")).partition(b";")[0].strip(), 16)
            if size < 0:
                raise ProtocolError("a chunk of negative size")
            if size == 0:
                while (await reader.readuntil(b"\n")).strip():
                    pass
                return bytes(out), True, True
            if len(out) + size > limit:
                out += await reader.readexactly(limit + 1 - len(out))
                break
            out += await reader.readexactly(size)
            await reader.readexactly(2)
    except asyncio.IncompleteReadError as error:
        return bytes(out + error.partial), False, False
    except (ValueError, asyncio.LimitOverrunError) as error:
        raise ProtocolError(f"bad chunk: {str(error)[:60]}") from error
    return bytes(out), False, False
