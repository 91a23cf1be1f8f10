"""A crawl made of WARC files that others wrote: each capture is checked, decoded and written again, one gzip member a record.

Two passes: the first finds robots.txt captures, since their opt-outs decide what the second keeps. Records that are cut
off or corrupt are counted and kept out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlsplit

from llm_assets.core.documents import canonical_url, doc_id, payload_digest
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.captures import Capture, Unreadable, is_text, read_capture, text_capture
from llm_assets.stages.crawl.earlier import Earlier
from llm_assets.stages.crawl.optout import barred_by, page_optouts
from llm_assets.stages.crawl.origin import store_robots
from llm_assets.stages.crawl.records import Books, kind_of
from llm_assets.stages.crawl.robots import Robots, parse_robots, product_token
from llm_assets.stages.crawl.warc import WarcWriter
from llm_assets.stages.crawl.warc_reader import Record, read_records

_HEAD_ROOM = 131_072  # bytes that the HTTP head may add to the payload's limit
_PROGRESS_EVERY = 500
SUFFIXES = (".warc", ".warc.gz", ".warc.zst", ".wet", ".wet.gz", ".wet.zst", ".arc", ".arc.gz")


@dataclass
class Importer:
    """Imports the WARC files of one folder."""

    config: RawCrawlConfig
    writer: WarcWriter
    books: Books
    earlier: Earlier
    tombstones: Tombstones
    progress: Progress
    robots_folder: Path
    rejected: dict[str, str] = field(default_factory=dict)  # file → why
    records_read: int = 0
    other_records: int = 0
    repaired: int = 0
    _robots: dict[str, Robots] = field(default_factory=dict)
    _written: set[str] = field(default_factory=set)

    def import_all(self, files: list[Path]) -> None:
        """Both passes."""
        for path in files:
            for record in self._records(path):
                self._learn_robots(record)
        for path in files:
            for record in self._records(path, note=True):
                self._take(path, record)

    def _records(self, path: Path, note: bool = False) -> Iterator[Record]:
        try:
            yield from read_records(path, self.config.limits.max_payload_bytes + _HEAD_ROOM, self.config.verify_digests)
        except InputError as error:
            self.rejected[path.name] = str(error)
            if note:
                self.books.drop(
                    f"https://{self.books.crawl}.invalid/{quote(path.name)}", "file_unreadable", detail=str(error)[:200]
                )
                self.progress.note(f"left out: {error}")

    def _learn_robots(self, record: Record) -> None:
        url = record.headers.get("warc-target-uri", "").strip("<>")
        if record.type != "response" or record.problem or urlsplit(url).path != "/robots.txt":
            return
        try:
            capture = read_capture(record, self.config.limits.max_payload_bytes)
        except Unreadable:
            return
        if capture.status == 200:
            origin = _origin(canonical_url(url))
            agent = product_token(self.config.user_agent)
            self._robots[origin] = parse_robots(capture.payload, agent, self.config.ai_agents)
            store_robots(self.robots_folder, origin, capture.payload)

    def _take(self, path: Path, record: Record) -> None:
        self.records_read += 1
        if self.records_read % _PROGRESS_EVERY == 0:
            self.progress.update(self.records_read, None, "records")
        url = record.headers.get("warc-target-uri", "").strip("<>")
        if record.problem:
            return self.books.drop(
                url or f"{path.name}@{record.offset}", record.problem, float(len(record.block)), detail=record.detail[:200]
            )
        text = is_text(record, url)
        if record.type not in ("response", "revisit") and not text:
            self.other_records += 1
            return None
        try:
            canonical = canonical_url(url)
            moment = _moment(record.headers.get("warc-date", ""))
        except ValueError as error:
            return self.books.drop(url or f"{path.name}@{record.offset}", "bad_header", detail=str(error)[:200])
        buried = self.tombstones.match(url=canonical)
        if buried:
            return self.books.drop(url, "tombstone", detail=buried[:200])
        if record.type == "revisit":
            return self._revisit(record, url, canonical, moment)
        if record.headers.get("warc-truncated"):
            return self.books.drop(url, "truncated", detail=f"WARC-Truncated: {record.headers['warc-truncated'][:40]}")
        try:
            read = text_capture if text else read_capture
            capture = read(record, self.config.limits.max_payload_bytes)
        except Unreadable as error:
            return self.books.drop(url, error.rule, detail=str(error)[:200])
        kind = "page" if text else kind_of(capture.media_type, capture.payload)
        return self._response(record, capture, kind, url, canonical, moment)

    def _response(self, record: Record, capture: Capture, kind: str, url: str, canonical: str, moment: datetime) -> None:
        if capture.status != 200:
            return self.books.drop(url, "status", capture.status, 200)
        if kind not in self.config.kinds:
            return self.books.drop(url, "content_type", detail=capture.media_type[:80] or "none given")
        robots = self._robots.get(_origin(canonical))
        optouts = page_optouts(
            capture.headers, capture.payload, kind == "page", False, robots is not None and robots.forbids_ai(canonical)
        )
        rule = barred_by(optouts, self.config)
        if rule:
            return self.books.drop(url, rule)
        digest = payload_digest(capture.payload)
        identity = doc_id(canonical, moment, digest)
        buried = self.tombstones.match(doc_id=identity, sha256=digest)
        if buried:
            return self.books.drop(url, "tombstone", detail=buried[:200])
        if identity in self._written:
            return self.books.drop(url, "duplicate_record", detail=identity)
        self._written.add(identity)
        self.repaired += capture.repaired
        address = record.headers.get("warc-ip-address", "")
        place = self.writer.response(identity, url, moment, capture.head, capture.payload, address)
        return self.books.keep(
            doc_id=identity, url=url, canonical=canonical, fetched_at=moment, status=200,
            content_type=capture.headers.get("content-type", ""), kind=kind, digest=digest, place=place, optouts=optouts,
            etag=capture.headers.get("etag", ""), last_modified=capture.headers.get("last-modified", ""),
        )  # fmt: skip

    def _revisit(self, record: Record, url: str, canonical: str, moment: datetime) -> None:
        """A revisit is kept if an earlier crawl holds what it refers to."""
        prior = self.earlier.get(canonical)
        if prior is None:
            return self.books.drop(url, "revisit_unknown", detail="no earlier crawl holds this page")
        identity = doc_id(canonical, moment, prior.digest)
        if identity in self._written:
            return self.books.drop(url, "duplicate_record", detail=identity)
        self._written.add(identity)
        head = record.block.partition(b"\r\n\r\n")[0] or b"HTTP/1.1 304 Not Modified"
        place = self.writer.revisit(identity, url, moment, head, prior.original, prior.digest, modified=False)
        return self.books.keep(
            doc_id=identity, url=url, canonical=canonical, fetched_at=moment, status=304, content_type=prior.content_type,
            kind=prior.kind, digest=prior.digest, place=place, optouts=prior.optouts, revisit_of=prior.original.doc_id,
            etag=prior.etag, last_modified=prior.last_modified,
        )  # fmt: skip


def _origin(canonical: str) -> str:
    return "/".join(canonical.split("/", 3)[:3])


def _moment(value: str) -> datetime:
    """WARC-Date, a W3C date of any precision; ``ValueError`` for none."""
    found = datetime.fromisoformat(value)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
