"""``raw_crawl``: one crawl, from the local site, the web, Common Crawl, or files of one's own; its key decides.

A source: what was fetched is what it is. It reads the clock (captures have a time), is never refetched because
code or recipe changed. A killed crawl of a site goes on where it was (``journal``), one of Common Crawl with the downloads
it has, one of files starts again.
"""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm_assets.core import embedded, inbox
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.identity import library_version
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.report import Report
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.address import Address, Addresses
from llm_assets.stages.crawl.commoncrawl.fetch import host_of
from llm_assets.stages.crawl.commoncrawl.subset import fetch_subset, id_of
from llm_assets.stages.crawl.crawler import Crawler
from llm_assets.stages.crawl.earlier import Earlier
from llm_assets.stages.crawl.http import Client
from llm_assets.stages.crawl.importer import SUFFIXES, Importer
from llm_assets.stages.crawl.local import files as local_files
from llm_assets.stages.crawl.local.files import LocalFile
from llm_assets.stages.crawl.local.importer import LocalImporter
from llm_assets.stages.crawl.records import Books, index_counts
from llm_assets.stages.crawl.resume import begin, clear
from llm_assets.stages.crawl.site.launch import serving
from llm_assets.stages.crawl.site.plan import HOSTS
from llm_assets.stages.crawl.warc import WarcWriter

_DOWNLOADS = "common-crawl"


def run(inputs: Inputs, out: WorkDir, config: RawCrawlConfig, progress: Progress) -> Report:
    """Fetch or import the crawl ``out.partition``.

    Raises ``InputError`` where the recipe does not name the key and the inbox has no folder of that name.
    """
    crawl = out.partition
    if crawl in config.snapshots:
        with serving(config.site, config.snapshots[crawl]) as served:
            pinned = dict.fromkeys(HOSTS, ("127.0.0.1", served.port))
            seeds = [f"http://{host}/" for host in HOSTS]
            report = _fetch(inputs, out, config, progress, seeds, pinned, config.snapshots[crawl])
        report.metrics.update(articles_shown=served.articles, snapshot=config.snapshots[crawl], credit=embedded.credit())
        return report
    seeds = config.seeds_of(crawl)
    if seeds and (crawl in config.seeds or not crawl_folder(inputs, config, crawl).is_dir()):
        return _fetch(inputs, out, config, progress, seeds, {}, 0)
    clear(out, keep=[_DOWNLOADS])
    crawl_id = id_of(config.common_crawl, crawl)
    if crawl_id and (crawl in config.common_crawl.ids or not crawl_folder(inputs, config, crawl).is_dir()):
        return _common_crawl(inputs, out, config, progress, crawl_id)
    files, ignored = crawl_files(inputs, config, crawl)
    report = _import(inputs, out, config, progress, files)
    report.counts["files_ignored"] = ignored
    return report


def _common_crawl(inputs: Inputs, out: WorkDir, config: RawCrawlConfig, progress: Progress, crawl_id: str) -> Report:
    """Fetch a part of a Common Crawl month, then import it. A killed run's downloads are gone on with."""
    cache = config.common_crawl.cache
    subset = fetch_subset(Path(cache).expanduser() if cache else out.private / _DOWNLOADS, config, crawl_id, progress)
    report = _import(inputs, out, config, progress, [LocalFile(path, path.name) for path in subset.files])
    report.counts.update(subset.counts, files_listed=subset.listed, captures_by_index=subset.captures)
    report.metrics.update(common_crawl=crawl_id, from_host=host_of(config.common_crawl.base_url))
    return report


def crawl_folder(inputs: Inputs, config: RawCrawlConfig, crawl: str) -> Path:
    """Where a crawl's own files are: what the recipe says, else the folder of that name in the inbox."""
    return inbox.crawl_folder(config.local.folders, config.inbox, inputs.store or Path(), crawl)


def crawl_files(inputs: Inputs, config: RawCrawlConfig, crawl: str) -> tuple[list[LocalFile], int]:
    """The files of a crawl's folder, and how many are passed over.

    Raises ``InputError`` where there is no folder, or nothing in it that can be read.
    """
    folder = crawl_folder(inputs, config, crawl)
    if not folder.is_dir():
        raise InputError(
            f"nothing says what the crawl {crawl!r} is: it is in neither raw_crawl.snapshots nor raw_crawl.seeds nor "
            f"raw_crawl.common_crawl.ids of the recipe, and there is no folder {folder}; name it in the recipe, or put its "
            "files there"
        )
    files, ignored = local_files.listed(folder)
    known = (*SUFFIXES, *local_files.SUFFIXES)
    if not any(file.name.lower().endswith(known) for file in files):
        raise InputError(f"{folder} holds no file that ends in {', '.join(known)}; put the crawl's files there")
    return files, ignored


def _import(inputs: Inputs, out: WorkDir, config: RawCrawlConfig, progress: Progress, files: list[LocalFile]) -> Report:
    """A crawl of files: archives by the one importer, all others by the other."""
    now = datetime.now(UTC)
    writer = WarcWriter(out.files, config.warc_bytes, warc_info("imported"), now)
    books = Books(out.partition, config.source_kinds, config.crawl_kinds.get(out.partition, ""))
    earlier, tombstones = _earlier(inputs, out), Tombstones.given(inputs)
    archives = [file.path for file in files if file.name.lower().endswith(SUFFIXES)]
    own = [file for file in files if not file.name.lower().endswith(SUFFIXES)]
    importer = Importer(config, writer, books, earlier, tombstones, progress, out.files / "robots")
    local = LocalImporter(config, writer, books, earlier, tombstones, progress, now)
    try:
        importer.import_all(archives)
        local.import_all(own)
    finally:
        writer.close()
    if not books.index:
        raise InputError(_nothing(importer, books, archives, own))
    report = finish(out.files, books, writer)
    report.counts.update(
        files_read=len(files),
        files_rejected=len(importer.rejected),
        records_read=importer.records_read,
        records_of_other_types=importer.other_records,
        repaired_blank_lines=importer.repaired,
        local_documents=local.documents,
        surrogates_replaced=local.surrogates,
    )
    if importer.rejected:
        report.tables["Files left out"] = [{"file": name, "why": why} for name, why in sorted(importer.rejected.items())[:20]]
    return report


def _nothing(importer: Importer, books: Books, archives: list[Path], own: list[LocalFile]) -> str:
    reasons = [*importer.rejected.values(), *(f"{n} × {rule}" for rule, n in books.dropped().items())]
    what = "capture" if archives else "document"
    kind = "WARC file(s)" if archives and not own else "file(s)"
    folder = archives[0].parent if archives else own[0].path.parent
    return (
        f"no usable {what} in the {len(archives) + len(own)} {kind} of {folder}: "
        f"{'; '.join(reasons) or 'no response records'}. Put whole files there, then materialise this crawl again"
    )


def _earlier(inputs: Inputs, out: WorkDir) -> Earlier:
    return Earlier([crawl for crawl in inputs.many("raw_crawl") if crawl.partition != out.partition])


def _fetch(
    inputs: Inputs,
    out: WorkDir,
    config: RawCrawlConfig,
    progress: Progress,
    seeds: list[str],
    pinned: dict[str, Address],
    snapshot: int,
) -> Report:
    """Crawl from the seeds, or go on with what a killed run left. ``snapshot``: of the local site, 0 for the web."""
    started = time.perf_counter()
    begun = begin(inputs, out, config, progress, seeds, snapshot, warc_info(config.user_agent))
    addresses = Addresses(config.allow_private_hosts, pinned)
    crawler = Crawler(
        config,
        Client.of(config, addresses),
        begun.writer,
        begun.books,
        earlier=_earlier(inputs, out),
        tombstones=Tombstones.given(inputs),
        progress=progress,
        robots_folder=out.files / "robots",
        unhurried=frozenset(pinned),
        journal=begun.journal,
    )
    before = begun.state.requests if begun.state else 0
    if begun.state:
        crawler.restore(begun.state)
    try:
        asyncio.run(crawler.crawl(seeds))
    finally:
        begun.writer.close()
        begun.journal.close()
    seconds = time.perf_counter() - started
    progress.update(crawler.requests, crawler.requests, "pages")
    report = finish(out.files, begun.books, begun.writer)
    report.counts.update(requests=crawler.requests, requests_before_resume=before, bytes_on_the_wire=crawler.wire_bytes)
    rate = (crawler.requests - before) / seconds
    report.metrics.update(crawl_seconds=round(seconds, 3), requests_per_second=round(rate, 1))
    return report


def warc_info(user_agent: str) -> dict[str, str]:
    """The fields of a warcinfo record."""
    return {
        "software": f"llm_assets/{library_version('llm_assets')}",
        "format": "WARC File Format 1.1",
        "conformsTo": "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/",
        "http-header-user-agent": user_agent,
        "robots": "RFC 9309",
    }


def source_kind_table(books: Books) -> list[dict[str, Any]]:
    """Documents of each kind of source, most first."""
    found = Counter(row["source_kind"] for row in books.index)
    return [{"source kind": kind, "documents": n} for kind, n in sorted(found.items(), key=lambda item: (-item[1], item[0]))]


def finish(files: Path, books: Books, writer: WarcWriter) -> Report:
    """Write index and ledger, and sum them up."""
    counts = books.write(files)
    counts.update(index_counts(books.index))
    hosts: dict[str, int] = {}
    for row in books.index:
        host = row["canonical_url"].split("/", 3)[2]
        hosts[host] = hosts.get(host, 0) + 1
    counts["warc_files"] = writer.parts
    counts["warc_bytes"] = sum(path.stat().st_size for path in (files / "warc").iterdir())
    for flag in ("robots_ai", "noai", "tdm", "ai_txt"):
        counts[f"flagged_optout_{flag}"] = sum(row[f"optout_{flag}"] for row in books.index)
    largest = sorted(hosts.items(), key=lambda item: (-item[1], item[0]))[:20]
    report = Report(counts)
    report.tables["Documents by source kind"] = source_kind_table(books)
    report.tables["Documents by host"] = [{"host": host, "documents": n} for host, n in largest]
    fates = sorted(
        ((rule.partition(":")[2], n) for rule, n in counts.items() if rule.startswith("dropped:")), key=lambda f: -f[1]
    )
    report.tables["Why URLs were not kept"] = [{"rule": rule, "URLs": n} for rule, n in fates]
    return report
