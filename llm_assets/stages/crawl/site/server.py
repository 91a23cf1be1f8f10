"""A small HTTP/1.1 server for the local site: keep-alive, one write a reply, Nagle off (asyncio's default).

Thousands of pages a second on one core, where a framework serves hundreds: the protocol class parses requests itself.
"""

import asyncio

from llm_assets.stages.crawl.site.pages import Site
from llm_assets.stages.crawl.site.plan import WIKI
from llm_assets.stages.crawl.site.reply import Reply, error

_MAX_HEAD = 65_536
_WRITE_BUFFER = 1 << 20


class _Connection(asyncio.Protocol):
    """One visitor. Requests have no body; several may be waiting in the buffer."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=_WRITE_BUFFER)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            request, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self._serve(request.decode("latin-1"))
        if len(self.buffer) > _MAX_HEAD and self.transport:
            self.transport.close()

    def _serve(self, request: str) -> None:
        first, *lines = request.split("\r\n")
        method, _, rest = first.partition(" ")
        target = rest.rpartition(" ")[0]
        asked = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if method not in ("GET", "HEAD"):
            reply = error(405)
        else:
            host = asked.get("host", WIKI).partition(":")[0].lower()
            reply = self.site.answer(host, target, asked)
        self._write(reply, method, asked.get("connection", "").lower() == "close")

    def _write(self, reply: Reply, method: str, close: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        cut = reply.headers.get("X-Cut-After")
        head = (
            reply.head().replace(f"Content-Length: {len(reply.body)}".encode(), b"Content-Length: 100000")
            if cut
            else reply.head()
        )
        if reply.trick:
            self._trick(reply)
            return
        self.transport.write(head + (b"" if method == "HEAD" else reply.body))
        if cut or close:
            self.transport.close()

    def _trick(self, reply: Reply) -> None:
        """Never come to an end: a byte now and then, headers for ever, or a length that nothing follows."""
        assert self.transport is not None
        head = reply.head().replace(f"Content-Length: {len(reply.body)}".encode(), b"Content-Length: 1000000")
        if reply.trick == "length":
            self.transport.write(head.replace(b"1000000", b"1000000000000") + reply.body)
        elif reply.trick == "drip":
            self.transport.write(head)
            self._go_on(reply.body[:1], 0.1)
        else:
            self.transport.write(head.removesuffix(b"\r\n"))
            self._go_on(b"X-Endless: header after header\r\n" * 500, 0.01)

    def _go_on(self, part: bytes, seconds: float) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(part)
            asyncio.get_running_loop().call_later(seconds, self._go_on, part, seconds)


async def serve(site: Site, port: int = 0) -> asyncio.Server:
    """Listen on 127.0.0.1; port 0 takes a free one (``server.sockets[0].getsockname()[1]`` tells)."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Connection(site), "127.0.0.1", port, backlog=256)
