"""Which later crawls a change of an older one concerns: those that dropped copies of what is gone, or hold likes of what came.

Later crawls are compared with what older ones kept. Where a document goes, its copies in later crawls come back; where one
comes back that had been dropped for it, a later crawl may hold a copy of that, or another capture of its page. All others would
come out the same, and are left alone. Likeness is asked of the indexes: an equal text, an equal address, or an equal key of any
band, which every pair that deduplication would look at has.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.ledger import LEDGER_FILE

_INDEX = "index"


def concerned_later(old: Artefact, new: Artefact, later: Iterable[Artefact]) -> Iterator[str]:
    """The crawls among ``later`` that the change from ``old`` to ``new`` concerns; all of the same asset."""
    before, after = _kept(old), _kept(new)
    gone, back = before - after, after - before
    for crawl in later:
        lines = bool(gone or back) and _shares_lines(new)
        if lines or (gone and _dropped_for(crawl, gone)) or (back and _is_alike(new, back, crawl)):
            yield crawl.partition


def _kept(artefact: Artefact) -> set[str]:
    ledger = pl.scan_parquet(artefact.file(LEDGER_FILE)).filter("kept").select("doc_id").collect()
    return set(ledger["doc_id"])


def _dropped_for(crawl: Artefact, gone: set[str]) -> bool:
    ledger = pl.scan_parquet(crawl.file(LEDGER_FILE))
    rows = ledger.filter(~pl.col("kept"), pl.col("related_doc").is_in(list(gone)))
    return not rows.head(1).collect().is_empty()


def _shares_lines(new: Artefact) -> bool:
    """Where lines are counted over crawls, any page counts for all."""
    return (new.files / _INDEX / "lines.npy").is_file()


def _is_alike(new: Artefact, back: set[str], crawl: Artefact) -> bool:
    folder = new.files / _INDEX
    if not folder.is_dir():  # images have no such index: their crawls are cheap to make
        return True
    rows = _rows(folder, back)
    theirs = crawl.files / _INDEX
    return any(_share_pairs(folder, theirs, name, rows) for name in ("exact", "url_rows")) or _share_bands(folder, theirs, rows)


def _rows(folder: Path, documents: set[str]) -> npt.NDArray[np.int64]:
    ids = np.load(folder / "doc_ids.npy", mmap_mode="r")
    wanted = np.frombuffer(bytes.fromhex("".join(sorted(documents))), "V16")
    return np.flatnonzero(np.isin(np.ascontiguousarray(ids).view("V16").ravel(), wanted))


def _share_pairs(mine: Path, theirs: Path, name: str, rows: npt.NDArray[np.int64]) -> bool:
    table, other = (np.load(folder / f"{name}.npy", mmap_mode="r") for folder in (mine, theirs))
    pairs = {(int(high), int(low)) for high, low, row in table.T if row in rows}
    highs = np.isin(other[0], np.array([high for high, _ in pairs], np.uint64))
    return any((int(high), int(low)) in pairs for high, low in other[:2, highs].T)


def _share_bands(mine: Path, theirs: Path, rows: npt.NDArray[np.int64]) -> bool:
    keys, numbers, other = (
        np.load(folder / name, mmap_mode="r")
        for folder, name in ((mine, "band_keys.npy"), (mine, "band_rows.npy"), (theirs, "band_keys.npy"))
    )
    return any(
        bool(np.isin(keys[band][np.isin(numbers[band], rows)], other[band]).any()) for band in range(min(len(keys), len(other)))
    )
