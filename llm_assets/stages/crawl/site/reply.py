"""One answer of the site: status, headers, body; and how it is encoded and revalidated."""

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import brotli  # type: ignore[import-untyped]
from fastwarc.stream_io import ZstdWriter

HTML = "text/html; charset=utf-8"
REASONS = {
    200: "OK", 301: "Moved Permanently", 302: "Found", 304: "Not Modified", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip


@dataclass(frozen=True)
class Reply:
    """Status, body and headers; ``Content-Length`` is added when it is written.

    ``trick``: what the server does to the visitor instead (drip, headers, length); empty: nothing.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = HTML
    headers: Mapping[str, str] = field(default_factory=dict)
    trick: str = ""

    def head(self) -> bytes:
        """Status line and headers, with the empty line."""
        lines = [f"HTTP/1.1 {self.status} {REASONS[self.status]}", "Server: open-reader"]
        if self.status != 304:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _zstd(data: bytes) -> bytes:
    out = io.BytesIO()
    writer = ZstdWriter(out, compression_level=1)
    writer.write(data)
    writer.close()
    return out.getvalue()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda data: gzip.compress(data, 1, mtime=0),
    "deflate": lambda data: zlib.compress(data, 1),
    "br": lambda data: brotli.compress(data, quality=1),
    "zstd": _zstd,
}


def encoded(reply: Reply, encoding: str) -> Reply:
    """The reply with its body in a Content-Encoding."""
    headers = {**reply.headers, "Content-Encoding": encoding, "Vary": "Accept-Encoding"}
    return replace(reply, body=ENCODERS[encoding](reply.body), headers=headers)


def tagged(reply: Reply, last_modified: str = "") -> Reply:
    """The reply with an ``ETag`` made of its body, weak because the body may travel encoded, and ``Last-Modified``."""
    headers = {**reply.headers, "ETag": f'W/"{hashlib.blake2b(reply.body, digest_size=8).hexdigest()}"'}
    if last_modified:
        headers["Last-Modified"] = last_modified
    return replace(reply, headers=headers)


def revalidated(reply: Reply, asked: Mapping[str, str]) -> Reply:
    """304 where the visitor holds this very version (``asked``: request headers, lower-case names)."""
    if reply.status != 200 or "ETag" not in reply.headers:
        return reply
    match, since = asked.get("if-none-match"), asked.get("if-modified-since")
    fresh = match == reply.headers["ETag"] if match else bool(since) and since == reply.headers.get("Last-Modified")
    return replace(reply, status=304, body=b"") if fresh else reply


def redirect(target: str, status: int = 302) -> Reply:
    """A redirect with the short body that servers send."""
    return Reply(status, b"<html><body>Moved</body></html>", HTML, {"Location": target})


def error(status: int) -> Reply:
    """An error page."""
    return Reply(status, f"<html><head><title>{status}</title></head><body><h1>{REASONS[status]}</h1></body></html>".encode())
