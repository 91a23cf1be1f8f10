"""Documents: what identifies one, and the columns each data artefact has.

``doc_id`` is a 128-bit hash of canonical URL, fetch time and payload digest, as 32 hex digits: the same
page fetched twice is two documents, which is what lets a refresh keep the old one and mark it superseded.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

import polars as pl

UTC_TIME: Any = pl.Datetime("us", "UTC")

# raw_crawl/index.parquet: one row a WARC record that carries a page or an image (response or revisit).
RAW_INDEX = pl.Schema(
    {
        "doc_id": pl.String,
        "url": pl.String,  # as fetched
        "canonical_url": pl.String,
        "fetched_at": UTC_TIME,
        "status": pl.Int16,
        "content_type": pl.String,
        "kind": pl.String,  # page | image | other
        "record_type": pl.String,  # response | revisit
        "revisit_of": pl.String,  # doc_id of the earlier capture; null for a response
        "payload_digest": pl.String,  # "sha256:<hex>" of the decoded payload
        "warc_file": pl.String,  # relative to the artefact's files
        "offset": pl.Int64,  # bytes
        "length": pl.Int64,  # bytes, compressed
        "truncated": pl.Boolean,
        "source_kind": pl.String,  # web | book | paper | forum | code | own
        # opt-out signals, recorded for every document; the recipe decides which are honoured
        "optout_robots_ai": pl.Boolean,  # robots.txt forbids a known AI agent
        "optout_noai": pl.Boolean,  # X-Robots-Tag or <meta name=robots> says noai
        "optout_tdm": pl.Boolean,  # TDMRep reservation
        "optout_ai_txt": pl.Boolean,  # ai.txt keeps it from training
        # what the server said to ask with next time; null where it said nothing
        "etag": pl.String,
        "last_modified": pl.String,
    }
)

# extracted_pages/shards/*.parquet: one row a page that gave text.
EXTRACTED = pl.Schema(
    {
        "doc_id": pl.String,
        "url": pl.String,
        "canonical_url": pl.String,
        "host": pl.String,
        "fetched_at": UTC_TIME,
        "source_kind": pl.String,
        "title": pl.String,
        "description": pl.String,  # <meta name=description>
        "section": pl.String,  # <meta property=article:section>
        "license": pl.String,  # rel=license href, Dublin Core, or the one Creative Commons licence that is linked
        "license_id": pl.String,  # its short name after SPDX (CC-BY-SA-4.0); "" where it isn't known
        "html_lang": pl.String,
        "published": pl.String,  # YYYY-MM-DD as the page says; "" where it doesn't or it can't be
        "rel_canonical": pl.String,  # the address that the page gives as its own; "" where none
        "text": pl.String,  # main content, Markdown-like
    }
)

# cleaned_corpus/shards/*.parquet and deduped_shards/shards/*.parquet.
_EXTRACTED_COLUMNS: dict[str, Any] = dict(EXTRACTED.items())
CLEANED = pl.Schema(
    {
        **_EXTRACTED_COLUMNS,
        "lang": pl.String,  # ISO 639-1 by the language identifier, or "und"
        "lang_score": pl.Float32,
        "n_words": pl.Int32,
        "n_bytes": pl.Int64,  # UTF-8 bytes of text
        "n_pii": pl.Int32,  # replacements made
    }
)

_DEFAULT_PORTS = {"http": 80, "https": 443}
# Query keys that name a visit, not a page (the common analytics tags).
_VISIT_KEYS = {"fbclid", "gclid", "msclkid", "mc_eid", "mc_cid", "igshid", "ref_src"}


def canonical_url(url: str) -> str:
    """One spelling for a URL: lower-case scheme and host, no default port, no fragment, sorted query without
    visit tags (``utm_*`` and kin), percent-encoding normalised.

    Raises ``ValueError`` if it is not an absolute http(s) or file URL.
    """
    parts = urlsplit(url.strip())
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https", "file", "pypi"):
        raise ValueError(f"not an absolute http, https or file URL: {url[:200]!r}")
    host = (parts.hostname or "").lower().rstrip(".")
    if scheme in _DEFAULT_PORTS and not host:
        raise ValueError(f"the URL names no host: {url[:200]!r}")
    if ":" in host:
        host = f"[{host}]"
    port = parts.port
    netloc = host if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"
    path = quote(unquote(parts.path, errors="surrogateescape"), safe="/%:@!$&'()*+,;=~-._", errors="surrogateescape")
    query = urlencode(
        sorted(
            (key, value)
            for key, value in parse_qsl(parts.query, keep_blank_values=True)
            if key not in _VISIT_KEYS and not key.startswith("utm_")
        )
    )
    return urlunsplit((scheme, netloc, path or "/", query, ""))


def payload_digest(payload: bytes) -> str:
    """``sha256:<hex>`` of a decoded payload."""
    return "sha256:" + hashlib.sha256(payload).hexdigest()


def doc_id(canonical: str, fetched_at: datetime, digest: str) -> str:
    """128-bit BLAKE2b of canonical URL, fetch time (UTC, microseconds) and payload digest: 32 hex digits."""
    if fetched_at.tzinfo is None:
        raise ValueError("fetched_at must carry a time zone")
    moment = fetched_at.astimezone(UTC).isoformat(timespec="microseconds")
    return hashlib.blake2b(f"{canonical}\n{moment}\n{digest}".encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


_SURROGATE = re.compile("[\ud800-\udfff]")


def replace_surrogates(text: str) -> tuple[str, int]:
    """Replace lone UTF-16 surrogates by U+FFFD, so that one bad code point never loses a whole write (case B14).

    Returns the text and how many code points were replaced.
    """
    try:
        text.encode()  # a hundred times as fast as looking at each character
    except UnicodeEncodeError:
        return _SURROGATE.subn("\ufffd", text)
    return text, 0
