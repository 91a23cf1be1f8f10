"""A crawl made of WARC files that others wrote: each capture is checked, decoded and written again, one gzip member a record.

Files are read one after the other; threads do what can be done on each record by itself (``intake``), and what comes of it is
settled here in the order of the records, so that the number of threads leaves no trace. Records that are cut off or corrupt are
counted and kept out. A robots.txt may stand behind pages that it opts out: if one is found that would have judged an
earlier page otherwise, all is done again with what is known then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

from llm_assets.core.documents import doc_id
from llm_assets.core.errors import InputError
from llm_assets.core.machine import available_cores
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.threads import in_order
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.earlier import Earlier
from llm_assets.stages.crawl.intake import Dropped, Page, Revisit, Taken, origin_of, take
from llm_assets.stages.crawl.optout import barred_by
from llm_assets.stages.crawl.origin import store_robots
from llm_assets.stages.crawl.records import Books
from llm_assets.stages.crawl.robots import Robots, parse_robots, product_token
from llm_assets.stages.crawl.warc import WarcWriter
from llm_assets.stages.crawl.warc_reader import Record, read_records

_HEAD_ROOM = 131_072  # bytes that the HTTP head may add to the payload's limit
_PROGRESS_EVERY = 500
# A batch is what a thread takes at a time: large enough to cost little, small enough that few of them fill no memory.
_BATCH_BYTES, _BATCH_RECORDS = 1 << 20, 64
SUFFIXES = (".warc", ".warc.gz", ".warc.zst", ".wet", ".wet.gz", ".wet.zst", ".arc", ".arc.gz")

_Item = tuple[str, Record | Dropped]  # name of the file, and a record of it or the fate of the whole


@dataclass(frozen=True)
class _Batch:
    items: list[_Item]
    packed_for: str


@dataclass
class Importer:
    """Imports the WARC files of one folder. ``writer`` and ``books`` are empty when it begins."""

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
    _asked: list[tuple[str, bool]] = field(default_factory=list)  # canonical URL, whether robots.txt was seen to forbid it
    _written: set[str] = field(default_factory=set)

    def import_all(self, files: list[Path]) -> None:
        """Import the files, in their order."""
        self._import(files, learning=True)
        if any(self._forbidden(canonical) != forbidden for canonical, forbidden in self._asked if self._robots):
            self.writer.restart()
            self.books.forget()
            self.records_read = self.other_records = self.repaired = 0
            self._written.clear()
            self._import(files, learning=False)

    def _import(self, files: list[Path], learning: bool) -> None:
        threads = self.config.workers or available_cores()
        for batch in in_order(self._take, self._batches(files), threads, ahead=2):
            for taken in batch:
                if taken.robots is not None and learning:
                    self._learn(*taken.robots)
                self._settle(taken)

    def _batches(self, files: list[Path]) -> Iterator[_Batch]:
        items: list[_Item] = []
        size = 0
        for path in files:
            for found in self._records(path):
                items.append((path.name, found))
                size += len(found.block) if isinstance(found, Record) else 0
                if size >= _BATCH_BYTES or len(items) >= _BATCH_RECORDS:
                    yield _Batch(items, self.writer.coming)
                    items, size = [], 0
        yield _Batch(items, self.writer.coming)

    def _records(self, path: Path) -> Iterator[Record | Dropped]:
        """Of a file. Its digests are left to the threads."""
        try:
            yield from read_records(path, self.config.limits.max_payload_bytes + _HEAD_ROOM, verify_digests=False)
        except InputError as error:
            if path.name not in self.rejected:
                self.progress.note(f"left out: {error}")
            self.rejected[path.name] = str(error)
            url = f"https://{self.books.crawl}.invalid/{quote(path.name)}"
            yield Dropped(url, "file_unreadable", detail=str(error)[:200])

    def _take(self, batch: _Batch) -> list[Taken]:
        """What becomes of a batch, in whatever thread."""
        taken = []
        for name, item in batch.items:
            if isinstance(item, Dropped):
                taken.append(Taken(item, read=0))
                continue
            try:
                taken.append(take(name, item, self.config, self.tombstones, batch.packed_for))
            except Exception as error:
                error.add_note(f"while importing the record at byte {item.offset} of {name}")
                raise
        return taken

    def _learn(self, origin: str, payload: bytes) -> None:
        agent = product_token(self.config.user_agent)
        self._robots[origin] = parse_robots(payload, agent, self.config.ai_agents)
        store_robots(self.robots_folder, origin, payload)

    def _forbidden(self, canonical: str) -> bool:
        robots = self._robots.get(origin_of(canonical))
        return robots is not None and robots.forbids_ai(canonical)

    def _settle(self, taken: Taken) -> None:
        self.records_read += taken.read
        if taken.read and self.records_read % _PROGRESS_EVERY == 0:
            self.progress.update(self.records_read, None, "records")
        fate = taken.fate
        if isinstance(fate, Dropped):
            self.books.drop(fate.url, fate.rule, fate.value, fate.threshold, fate.detail)
        elif isinstance(fate, Revisit):
            self._revisit(fate)
        elif isinstance(fate, Page):
            self._response(fate)
        else:
            self.other_records += 1

    def _response(self, page: Page) -> None:
        record, headers = page.record, page.capture.headers
        identity, url = record.doc_id, record.url
        forbidden = self._forbidden(page.canonical)
        self._asked.append((page.canonical, forbidden))
        optouts = replace(page.optouts, robots_ai=True) if forbidden else page.optouts
        rule = barred_by(optouts, self.config)
        if rule:
            return self.books.drop(url, rule)
        buried = self.tombstones.match(doc_id=identity, sha256=page.digest)
        if buried:
            return self.books.drop(url, "tombstone", detail=buried[:200])
        if identity in self._written:
            return self.books.drop(url, "duplicate_record", detail=identity)
        self._written.add(identity)
        self.repaired += page.capture.repaired
        place = self.writer.write(record, page.packed_for, page.packed)
        return self.books.keep(
            doc_id=identity, url=url, canonical=page.canonical, fetched_at=record.moment, status=200,
            content_type=headers.get("content-type", ""), kind=page.kind, digest=page.digest, place=place, optouts=optouts,
            etag=headers.get("etag", ""), last_modified=headers.get("last-modified", ""),
        )  # fmt: skip

    def _revisit(self, found: Revisit) -> None:
        """A revisit is kept if an earlier crawl holds what it refers to."""
        prior = self.earlier.get(found.canonical)
        if prior is None:
            return self.books.drop(found.url, "revisit_unknown", detail="no earlier crawl holds this page")
        identity = doc_id(found.canonical, found.moment, prior.digest)
        if identity in self._written:
            return self.books.drop(found.url, "duplicate_record", detail=identity)
        self._written.add(identity)
        place = self.writer.revisit(identity, found.url, found.moment, found.head, prior.original, prior.digest, modified=False)
        return self.books.keep(
            doc_id=identity, url=found.url, canonical=found.canonical, fetched_at=found.moment, status=304,
            content_type=prior.content_type, kind=prior.kind, digest=prior.digest, place=place, optouts=prior.optouts,
            revisit_of=prior.original.doc_id, etag=prior.etag, last_modified=prior.last_modified,
        )  # fmt: skip
