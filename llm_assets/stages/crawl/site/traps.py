"""What the web holds ready for a crawler that trusts it: a bomb, endless redirects, an endless calendar, a way inside."""

import gzip
from functools import cache
from urllib.parse import parse_qs

from llm_assets.stages.crawl.site.reply import Reply, error, redirect

BOMB_BYTES = 50_000_000  # zeros; under 50 kB on the wire
INTERNAL = "http://169.254.169.254/latest/meta-data/"  # where clouds keep a machine's credentials
MAPPED = "http://[::ffff:10.0.0.1]/"
ADDRESSES = (
    "/trap/bomb",
    "/trap/loop?n=1",
    "/trap/calendar?month=1",
    "/trap/internal",
    "/trap/mapped",
    "/trap/scheme",
    "/trap/short",
)


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(BOMB_BYTES), 9, mtime=0)


def trap(name: str, query: str) -> Reply:
    """The answer of ``/trap/<name>?<query>``."""
    number = (
        int((parse_qs(query).get("n") or parse_qs(query).get("month") or ["1"])[0]) if query.replace("=", "").isalnum() else 1
    )
    if name == "bomb":
        return Reply(body=_bomb(), headers={"Content-Encoding": "gzip"})
    if name == "loop":
        return redirect(f"/trap/loop?n={number + 1}")
    if name == "internal":
        return redirect(INTERNAL)
    if name == "mapped":
        return redirect(MAPPED)
    if name == "scheme":
        return redirect("file:///etc/passwd")
    if name == "short":  # promises more than it sends: the server cuts the connection
        return Reply(body=b"<html><body><p>This page ends too ear", headers={"X-Cut-After": "1"})
    if name == "calendar":
        around = "".join(f'<li><a href="/trap/calendar?month={n}">Month {n}</a></li>' for n in (number - 1, number + 1))
        return Reply(body=f"<html><head><title>Month {number}</title></head><body><ul>{around}</ul></body></html>".encode())
    return error(404)
