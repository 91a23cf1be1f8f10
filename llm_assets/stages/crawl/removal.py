"""A crawl without what was taken down: its WARC files, index and ledger written anew, nothing fetched.

Records that stay are copied as they are, member by member, below the same names; files that lose nothing are linked. In the
ledger a removed capture becomes a URL that a tombstone keeps out, as if it had been asked for again. The result is a function
of the crawl and the tombstones.
"""

import os
import shutil
from pathlib import Path
from typing import BinaryIO

import polars as pl

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import LEDGER, LEDGER_FILE, write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.report import Report
from llm_assets.core.rowindex import GROUP_ROWS
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl.earlier import INDEX_FILE
from llm_assets.stages.crawl.records import STAGE, index_counts

_COPIED = 1 << 22  # bytes at a time


def run(inputs: Inputs, out: WorkDir, config: RawCrawlConfig, progress: Progress) -> Report:
    """Write the crawl ``raw_crawl`` without what ``tombstones`` covers; of a crawl of nothing else the ledger is left."""
    old = inputs.one("raw_crawl")
    index = pl.read_parquet(old.file(INDEX_FILE))
    reasons = removed(index, Tombstones.given(inputs))
    kept = index.filter(~pl.col("doc_id").is_in(list(reasons)))
    for name in ("warc", "robots"):
        shutil.rmtree(out.files / name, ignore_errors=True)  # of a killed run
    if (old.files / "robots").is_dir():
        shutil.copytree(old.files / "robots", out.files / "robots")
    (out.files / "warc").mkdir()
    offsets = pl.concat([_copy(old.files, out.files, str(name), index, kept) for (name,) in _files(index)])
    table = kept.drop("offset").join(offsets, on="doc_id", how="left", maintain_order="left").select(index.columns)
    table.write_parquet(out.files / INDEX_FILE, compression="zstd", row_group_size=GROUP_ROWS)
    counts = write_ledger(out.files, _ledger(pl.read_parquet(old.file(LEDGER_FILE)), reasons, out.partition))
    counts |= index_counts(table.iter_rows(named=True))
    parts = list((out.files / "warc").iterdir())
    counts |= {"taken_down": len(reasons), "warc_files": len(parts), "warc_bytes": sum(path.stat().st_size for path in parts)}
    progress.note(f"{len(reasons):,} of {index.height:,} captures were taken down")
    host = pl.col("canonical_url").str.split("/").list.get(2)
    hosts = table.group_by(host=host).agg(documents=pl.len()).sort(["documents", "host"], descending=[True, False]).head(20)
    return Report(counts, tables={"Documents by host": hosts.to_dicts()})


def removed(index: pl.DataFrame, stones: Tombstones) -> dict[str, str]:
    """doc_id of each capture that goes → the tombstone that covers it. A revisit goes with the capture that has its content."""
    rows = index.select("doc_id", "canonical_url", "payload_digest", "revisit_of").iter_rows()
    found = {
        doc: stones.match(url=url, doc_id=doc, sha256=digest) or stones.match(doc_id=original or "")
        for doc, url, digest, original in rows
    }
    return {doc: stone for doc, stone in found.items() if stone}


def _files(index: pl.DataFrame) -> list[tuple[str]]:
    return sorted(index.select("warc_file").unique().iter_rows())


def _copy(old: Path, new: Path, name: str, index: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Copy one WARC file's warcinfo and the members that stay; returns ``doc_id`` and ``offset`` of each."""
    before = index.filter(pl.col("warc_file") == name).sort("offset")
    mine = kept.filter(pl.col("warc_file") == name).sort("offset").select("doc_id", "offset", "length")
    if mine.height == before.height:
        try:
            os.link(old / name, new / name)
        except OSError:  # another file system, or one without links
            shutil.copyfile(old / name, new / name)
        return mine.select("doc_id", "offset")
    rows = []
    with open(old / name, "rb") as source, open(new / name, "wb") as target:
        _pass_on(source, target, 0, int(before["offset"][0]))
        for doc, offset, length in mine.iter_rows():
            rows.append((doc, target.tell()))
            _pass_on(source, target, offset, length)
        target.flush()
        os.fsync(target.fileno())
    return pl.DataFrame(rows, schema={"doc_id": pl.String, "offset": pl.Int64}, orient="row")


def _pass_on(source: BinaryIO, target: BinaryIO, offset: int, length: int) -> None:
    source.seek(offset)
    while length > 0:
        data = source.read(min(length, _COPIED))
        if not data:
            raise InputError(f"a WARC file ends inside the record at byte {offset}; fetch this crawl again")
        target.write(data)
        length -= len(data)


def _ledger(before: pl.DataFrame, reasons: dict[str, str], crawl: str) -> pl.DataFrame:
    gone = pl.col("doc_id").is_in(list(reasons))
    stone = pl.col("doc_id").replace_strict(reasons, default=None, return_dtype=pl.String).str.slice(0, 200)
    rows = before.filter(gone).select(
        crawl=pl.lit(crawl),
        stage=pl.lit(STAGE),
        doc_id=pl.lit(None, pl.String),
        url="url",
        kept=pl.lit(False),
        rule=pl.lit("tombstone"),
        value=pl.lit(None, pl.Float64),
        threshold=pl.lit(None, pl.Float64),
        related_doc=pl.lit(None, pl.String),
        detail=stone,
    )
    return pl.concat([before.filter(~gone.fill_null(False)), rows.cast(LEDGER)])
