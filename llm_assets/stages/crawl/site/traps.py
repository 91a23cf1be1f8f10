"""What the web holds ready for a crawler that trusts it: bombs, ways inside; redirects, calendars and headers without end."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from urllib.parse import parse_qs

import brotli  # type: ignore[import-untyped]
import pyarrow as pa

from llm_assets.stages.crawl.site.reply import Reply, error, redirect

BOMB_BYTES = 50_000_000  # zeros; under 50 kB on the wire
INTERNAL = {
    "internal": "http://169.254.169.254/latest/meta-data/",  # where clouds keep a machine's credentials
    "mapped": "http://[::ffff:10.0.0.1]/",
    "decimal": "http://2130706433/",  # 127.0.0.1
    "nat64": "http://[64:ff9b::a00:1]/",
    "scheme": "file:///etc/passwd",
}
_BOMBS: dict[str, Callable[[], bytes]] = {
    "gzip": lambda: gzip.compress(bytes(BOMB_BYTES), 9, mtime=0),
    "deflate": lambda: zlib.compress(bytes(BOMB_BYTES), 9),
    "br": lambda: bytes(brotli.compress(bytes(BOMB_BYTES), quality=5)),
    "zstd": lambda: bytes(pa.Codec("zstd").compress(bytes(BOMB_BYTES), asbytes=True)),  # fastwarc's writer loses part of it
}
ADDRESSES = (
    "/trap/drip",
    "/trap/headers",
    "/trap/length",
    "/trap/short",
    "/trap/ring?n=1",
    "/trap/loop?n=1",
    "/trap/calendar?month=1",
    *(f"/trap/{name}" for name in INTERNAL),
    *(f"/trap/bomb-{name}" for name in _BOMBS),
)


@cache
def _bomb(encoding: str) -> bytes:
    return _BOMBS[encoding]()


def trap(name: str, query: str) -> Reply:
    """The answer of ``/trap/<name>?<query>``. What no reply can hold is a ``trick`` of the server."""
    kind, _, encoding = name.partition("-")
    if kind == "bomb" and encoding in _BOMBS:
        return Reply(body=_bomb(encoding), headers={"Content-Encoding": encoding})
    if name in INTERNAL:
        return redirect(INTERNAL[name])
    number = (
        int((parse_qs(query).get("n") or parse_qs(query).get("month") or ["1"])[0]) if query.replace("=", "").isalnum() else 1
    )
    if name == "loop":
        return redirect(f"/trap/loop?n={number + 1}")
    if name == "ring":  # three addresses that send a visitor around
        return redirect(f"/trap/ring?n={number % 3 + 1}")
    page = Reply(body=b"<html><body><p>This page ends too ear")
    if name == "short":  # promises more than it sends: the server cuts the connection
        return replace(page, headers={"X-Cut-After": "1"})
    if name in ("drip", "headers", "length"):
        return replace(page, trick=name)
    if name == "calendar":
        around = "".join(f'<li><a href="/trap/calendar?month={n}">Month {n}</a></li>' for n in (number - 1, number + 1))
        return Reply(body=f"<html><head><title>Month {number}</title></head><body><ul>{around}</ul></body></html>".encode())
    return error(404)
