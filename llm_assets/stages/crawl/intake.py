"""What one record of a WARC file that others wrote becomes, as far as that can be said without the others.

Nearly all that an import costs is here: digests, decoding, opt-outs, compression. It depends on the record alone, so that any
thread may do it, and most of it lets go of the interpreter's lock. What depends on other records is the importer's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit

from llm_assets.core.documents import canonical_url, doc_id, payload_digest
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.captures import Capture, Unreadable, is_text, read_capture, text_capture
from llm_assets.stages.crawl.optout import OptOuts, page_optouts
from llm_assets.stages.crawl.records import kind_of
from llm_assets.stages.crawl.warc import Unwritten, response_record
from llm_assets.stages.crawl.warc_reader import Record, verified


@dataclass(frozen=True)
class Dropped:
    """A record of which nothing is kept, as its line in the ledger."""

    url: str
    rule: str
    value: float | None = None
    threshold: float | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Page:
    """A response that may be kept. ``optouts``: without what robots.txt says. ``packed``: its record, for a certain file."""

    canonical: str
    capture: Capture
    kind: str
    digest: str
    optouts: OptOuts
    record: Unwritten
    packed: bytes
    packed_for: str


@dataclass(frozen=True)
class Revisit:
    """A capture equal to an earlier one; ``head`` is its HTTP head."""

    url: str
    canonical: str
    moment: datetime
    head: bytes


@dataclass(frozen=True)
class Taken:
    """A record as far as it is known. ``fate``: None for a record of no interest.

    ``robots``: (origin, bytes) of the robots.txt that it is, too. ``read``: 0 for what stands for a whole file.
    """

    fate: Dropped | Page | Revisit | None
    robots: tuple[str, bytes] | None = None
    read: int = 1


def take(name: str, record: Record, config: RawCrawlConfig, tombstones: Tombstones, packed_for: str) -> Taken:
    """``name``: of the file. ``packed_for``: the warcinfo record of the file that a page's record is compressed for."""
    if config.verify_digests:
        record = verified(record)
    return Taken(_fate(name, record, config, tombstones, packed_for), _robots(record, config))


def origin_of(canonical: str) -> str:
    """Scheme, host and port of a canonical address."""
    return "/".join(canonical.split("/", 3)[:3])


def _url_of(record: Record) -> str:
    return record.headers.get("warc-target-uri", "").strip("<>")


def _robots(record: Record, config: RawCrawlConfig) -> tuple[str, bytes] | None:
    url = _url_of(record)
    if record.type != "response" or record.problem or "/robots.txt" not in url:
        return None
    try:
        if urlsplit(url).path != "/robots.txt":
            return None
        origin = origin_of(canonical_url(url))
        capture = read_capture(record, config.limits.max_payload_bytes)
    except ValueError:  # no address, or nothing in it that can be read: its fate is in the ledger
        return None
    return (origin, capture.payload) if capture.status == 200 else None


def _fate(
    name: str, record: Record, config: RawCrawlConfig, tombstones: Tombstones, packed_for: str
) -> Dropped | Page | Revisit | None:
    url = _url_of(record)
    place = url or f"{name}@{record.offset}"
    if record.problem:
        return Dropped(place, record.problem, float(len(record.block)), detail=record.detail[:200])
    text = is_text(record, url)
    if record.type not in ("response", "revisit") and not text:
        return None
    try:
        canonical = canonical_url(url)
        moment = _moment(record.headers.get("warc-date", ""))
    except ValueError as error:
        return Dropped(place, "bad_header", detail=str(error)[:200])
    buried = tombstones.match(url=canonical)
    if buried:
        return Dropped(url, "tombstone", detail=buried[:200])
    if record.type == "revisit":
        return Revisit(url, canonical, moment, record.block.partition(b"\r\n\r\n")[0] or b"HTTP/1.1 304 Not Modified")
    if record.headers.get("warc-truncated"):
        return Dropped(url, "truncated", detail=f"WARC-Truncated: {record.headers['warc-truncated'][:40]}")
    try:
        capture = (text_capture if text else read_capture)(record, config.limits.max_payload_bytes)
    except Unreadable as error:
        return Dropped(url, error.rule, detail=str(error)[:200])
    kind = "page" if text else kind_of(capture.media_type, capture.payload)
    if capture.status != 200:
        return Dropped(url, "status", capture.status, 200)
    if kind not in config.kinds:
        return Dropped(url, "content_type", detail=capture.media_type[:80] or "none given")
    optouts = page_optouts(capture.headers, capture.payload, kind == "page", False, False)
    digest = payload_digest(capture.payload)
    address = record.headers.get("warc-ip-address", "")
    made = response_record(doc_id(canonical, moment, digest), url, moment, capture.head, capture.payload, digest, address)
    return Page(canonical, capture, kind, digest, optouts, made, made.packed(packed_for), packed_for)


def _moment(value: str) -> datetime:
    """WARC-Date, a W3C date of any precision; ``ValueError`` for none."""
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
