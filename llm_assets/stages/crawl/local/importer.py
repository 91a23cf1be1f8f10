"""A crawl made of files of one's own. Every file and row has its fate in the ledger; a document becomes a response record.

Its address is ``https://<collection>.invalid/<path>``, or the web address that its row gives; its time is the row's date,
else the file's. What an earlier crawl holds unchanged at the same address is a revisit, as it is for pages.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from llm_assets.core.documents import canonical_url, doc_id, payload_digest
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.earlier import Earlier
from llm_assets.stages.crawl.local.documents import HTML, Document, Rejected, head_of
from llm_assets.stages.crawl.local.files import LocalFile, items
from llm_assets.stages.crawl.optout import OptOuts, barred_by, page_optouts
from llm_assets.stages.crawl.records import Books
from llm_assets.stages.crawl.warc import WarcWriter

_PROGRESS_EVERY = 500


@dataclass
class LocalImporter:
    """Imports the files of one folder. ``moment``: when this crawl reads, the time of revisits."""

    config: RawCrawlConfig
    writer: WarcWriter
    books: Books
    earlier: Earlier
    tombstones: Tombstones
    progress: Progress
    moment: datetime
    documents: int = 0
    surrogates: int = 0
    _written: set[str] = field(default_factory=set)

    @property
    def collection(self) -> str:
        """The host of the addresses."""
        return self.config.local.collections.get(self.books.crawl, self.books.crawl)

    def import_all(self, files: list[LocalFile]) -> None:
        """Read all files, in order."""
        for number, (file, item) in enumerate(items(files, self.config.local), start=1):
            if number % _PROGRESS_EVERY == 0:
                self.progress.update(number, None, "documents")
            if isinstance(item, Rejected):
                self.books.drop(self._address(file, item.place), item.rule, detail=str(item)[:200])
                continue
            self.documents += 1
            self.surrogates += item.surrogates
            self._take(file, item)

    def _address(self, file: LocalFile, place: str) -> str:
        return f"https://{self.collection}.invalid/{quote(file.name)}" + (f"?{place}" if place else "")

    def _url(self, file: LocalFile, document: Document) -> tuple[str, str]:
        """Address and canonical address: what the row says where that is a web address, else the file's own."""
        if document.url.startswith(("http://", "https://")):
            try:
                url = document.url.partition("#")[0]
                part = document.place.partition("part=")[2]
                if part:
                    url += f"{'&' if urlsplit(url).query else '?'}part={part}"
                return url, canonical_url(url)
            except ValueError:  # "http://[broken": the file's own address will do
                pass
        url = self._address(file, document.place)
        return url, canonical_url(url)

    def _take(self, file: LocalFile, document: Document) -> None:
        url, canonical = self._url(file, document)
        moment = document.date or datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
        optouts = page_optouts({}, document.body, True, False, False) if HTML in document.media else OptOuts()
        rule = barred_by(optouts, self.config)
        if rule:
            return self.books.drop(url, rule)
        digest = payload_digest(document.body)
        prior = self.earlier.get(canonical)
        unchanged = prior is not None and prior.digest == digest
        identity = doc_id(canonical, self.moment if unchanged else moment, digest)
        buried = self.tombstones.match(url=canonical, doc_id=identity, sha256=digest)
        if buried:
            return self.books.drop(url, "tombstone", detail=buried[:200])
        if identity in self._written:
            return self.books.drop(url, "duplicate_record", detail=identity)
        self._written.add(identity)
        head = head_of(document, file.name, moment)
        if prior is not None and unchanged:
            moment, revisit_of = self.moment, prior.original.doc_id
            place = self.writer.revisit(identity, url, moment, head, prior.original, digest, modified=True)
        else:
            revisit_of = None
            place = self.writer.response(identity, url, moment, head, document.body)
        return self.books.keep(
            doc_id=identity, url=url, canonical=canonical, fetched_at=moment, status=200, content_type=document.media,
            kind="page", digest=digest, place=place, optouts=optouts, revisit_of=revisit_of,
            source_kind=self.config.local.source_kind, stated_kind=document.source_kind,
        )  # fmt: skip
