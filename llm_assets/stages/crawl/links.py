"""Addresses on a page, in one pass over its bytes: a tag at a time, so that broken HTML gives what it has.

No tree is built: a native parser that dies on a crafted page would take the crawl with it.
"""

import re
from functools import lru_cache
from html import unescape
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from llm_assets.core.documents import canonical_url
from llm_assets.core.tags import attributes, without

# No pattern may look at a byte more than a few times, whatever the page holds: none crosses a "<" or starts inside a word.
_TAG = re.compile(rb"<(?:a|area|img|base|meta|link|iframe|frame)\s[^<>]{0,4000}>", re.IGNORECASE)
_LOC = re.compile(rb"<loc>\s*+(?:<!\[CDATA\[\s*+)?([^<\]\s]{1,2048})", re.IGNORECASE)
_REFRESH = re.compile(r"url\s*=\s*['\"]?([^'\";]+)", re.IGNORECASE)
_SAFE = "/%:@!$&'()*+,;=~-._?[]|"
MAX_URL = 2_048
MAX_LINKS = 5_000  # a page


def page_links(payload: bytes, url: str) -> list[tuple[str, str]]:
    """(URL, canonical URL) of every page and image that an HTML page refers to, in order, each once."""
    data = without(without(payload, b"<!--", b"-->"), b"<script", b"</script")
    base = url
    found: dict[str, str] = {}
    for tag in _TAG.findall(data):
        reference = _reference(tag)
        resolved = resolve(base, reference)
        if tag[1:3].lower() == b"ba":
            base = resolved[0] if resolved else base
        elif resolved:
            found.setdefault(resolved[1], resolved[0])
            if len(found) >= MAX_LINKS:
                break
    return [(address, canonical) for canonical, address in found.items()]


@lru_cache(maxsize=1 << 16)  # the same navigation stands on every page of a site
def _reference(tag: bytes) -> str:
    """What one tag refers to; empty where that is nothing to fetch."""
    name, given = tag[1:3].lower(), attributes(tag)
    if name == b"me":
        target = _REFRESH.search(given.get("content", "")) if given.get("http-equiv", "").lower() == "refresh" else None
        return target.group(1) if target else ""
    if name == b"li":
        return given.get("href", "") if given.get("rel", "").lower() in ("next", "prev", "alternate") else ""
    return given.get("src") or given.get("href") or ""


def resolve(base: str, reference: str) -> tuple[str, str] | None:
    """(ASCII URL without fragment, canonical URL), or None for what is no http(s) address or too long."""
    reference = reference.strip()
    if not reference or reference[0] == "#" or len(reference) > MAX_URL:
        return None
    if reference[0] == "/" and not reference.startswith("//"):
        parts = base.split("/", 3)  # the same for all pages of a host: the cache then serves nearly all links
        return _resolved("/".join(parts[:3]), reference)
    return _resolved(base, reference)


@lru_cache(maxsize=1 << 17)
def _resolved(base: str, reference: str) -> tuple[str, str] | None:
    try:
        parts = urlsplit(urljoin(base, reference))  # which also takes out line ends and tabs
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            return None
        netloc = parts.netloc if parts.netloc.isascii() else parts.netloc.encode("idna").decode("ascii")
        path, query = (quote(part, safe=_SAFE, errors="surrogateescape") for part in (parts.path or "/", parts.query))
        url = urlunsplit((parts.scheme, netloc, path, query, ""))
        return (url, canonical_url(url)) if len(url) <= MAX_URL else None
    except ValueError:  # a port that is no number, brackets without an address, a host that IDNA has no form for
        return None


def sitemap_locations(payload: bytes) -> tuple[list[str], bool]:
    """(addresses, whether it is an index of sitemaps). Read by pattern: no XML parser, no entities to expand."""
    index = b"<sitemapindex" in payload[:2_000]
    return [unescape(found.decode("utf-8", "replace")) for found in _LOC.findall(payload)], index
