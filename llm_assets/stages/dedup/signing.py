"""The texts of one crawl, read once and signed: small columns in memory, shingle sets and band keys on disk.

In memory a text takes some 100 bytes, however long it is; its shingles (4 bytes a word) and band keys (8 bytes a band) are
spilled to two files in the work folder, from which the later passes read what they need.
"""

import mmap
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from llm_assets.core.documents import CLEANED
from llm_assets.core.machine import available_cores
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.core.threads import in_order
from llm_assets.stages.dedup.fingerprints import EvalRuns, Fingerprints, HashFunctions, fingerprint
from llm_assets.stages.dedup.index import doc_id_bytes, url_hashes

Array = npt.NDArray[Any]
_CHUNK_BYTES = 2 << 20  # text a task: its arrays stay in the cache of a core, and threads share the work evenly
_KEPT_BYTES = 64 << 20  # of a crawl's first shards
_COLUMNS = ["doc_id", "canonical_url", "fetched_at", "n_bytes", "text"]
FACTS = pl.Schema({name: CLEANED[name] for name in _COLUMNS if name != "text"})


@dataclass(frozen=True)
class BandFile:
    """Band keys on disk, a band after the other: (bands, n) uint64 in the order in which texts were read."""

    path: Path
    texts: int
    bands: int

    def read(self, band: int) -> Array:
        """The keys of all texts in one band: (n,) uint64."""
        return np.fromfile(self.path, np.uint64, self.texts, offset=band * self.texts * 8)

    def write(self, file: BinaryIO, first: int, keys: Array) -> None:
        """Put the keys (m, bands) of texts ``first`` … in their places."""
        for band in range(self.bands):
            os.pwrite(file.fileno(), np.ascontiguousarray(keys[:, band]).tobytes(), (band * self.texts + first) * 8)


@dataclass(frozen=True)
class Texts:
    """n texts of one crawl, all columns in one order: as read, until ``ranked`` puts them into judging order."""

    row: Array  # (n,) int64: place in the shards, counted through
    doc_ids: Array  # (n, 16) uint8
    urls: Array  # (n, 2) uint64: BLAKE2b-128 of the canonical URL
    fetched: Array  # (n,) int64, microseconds
    exact: Array  # (n, 2) uint64
    starts: Array  # (n,) int64: where the shingles begin
    ends: Array  # (n,) int64: where they end
    overlap: Array  # (n,) int32
    item: Array  # (n,) int32
    shingles: Array  # uint32, mapped
    bands: BandFile

    def ranked(self, order: Array) -> "Texts":
        """The same texts in another order."""
        columns = ("row", "doc_ids", "urls", "fetched", "exact", "starts", "ends", "overlap", "item")
        return replace(self, **{name: getattr(self, name)[order] for name in columns})

    def let_go(self) -> None:
        """Give the pages of the shingle file that were looked at back to the system; they are read again when needed."""
        mapping = getattr(self.shingles, "_mmap", None)
        if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapping.madvise(mmap.MADV_DONTNEED)

    def keys(self, band: int) -> Array:
        """Keys of one band in this order: (n,) uint64."""
        return self.bands.read(band)[self.row]

    @property
    def size(self) -> int:
        """How many texts."""
        return int(self.row.size)


def heights(shards: list[Path]) -> list[int]:
    """Rows of each shard, by its footer."""
    return [pq.read_metadata(shard).num_rows for shard in shards]


class Frames:
    """The shards of one crawl, read twice: to sign the texts, and to write what stays of them.

    The first ones, up to some bytes, are kept in between, so a small crawl is read once; the memory that this takes does not
    grow with the crawl.
    """

    def __init__(self, shards: list[Path]) -> None:
        self.shards = shards
        self._kept: dict[int, pl.DataFrame] = {}
        self._room = _KEPT_BYTES

    def first(self, number: int) -> pl.DataFrame:
        """A shard with what signing needs."""
        frame = pl.read_parquet(self.shards[number], columns=None if self._room > 0 else _COLUMNS)
        if self._room > 0:
            self._room -= int(frame.estimated_size())
            self._kept[number] = frame
        return frame.select(_COLUMNS)

    def again(self, number: int) -> pl.DataFrame:
        """A whole shard, with the columns of CLEANED; asked for once."""
        frame = self._kept.pop(number, None)
        return (pl.read_parquet(self.shards[number]) if frame is None else frame).select(CLEANED.names()).cast(CLEANED)


def sign(
    frames: Frames, config: DedupedShardsConfig, runs: EvalRuns, private: Path, progress: Progress
) -> tuple[Texts, pl.DataFrame]:
    """Read and sign all texts; returns them as read, and the facts that decide their order (FACTS), not needed after it.

    The result does not depend on ``config.threads``.
    """
    count = sum(heights(frames.shards))
    functions = HashFunctions.of(config)
    bands = BandFile(private / "bands.u64", count, config.bands)
    metas: list[pl.DataFrame] = []
    parts: list[Fingerprints] = []
    first = 0
    with open(private / "shingles.u32", "wb") as shingles, open(bands.path, "wb") as keys:
        keys.truncate(count * config.bands * 8)
        for part in _signed(_chunks(frames, metas, progress), config, functions, runs):
            part.shingles.tofile(shingles)
            bands.write(keys, first, part.keys)
            first += part.ends.size
            parts.append(_light(part))
    facts = pl.concat([pl.DataFrame(schema=FACTS), *metas])
    return _texts(facts, parts, bands, private / "shingles.u32"), facts


def _chunks(frames: Frames, metas: list[pl.DataFrame], progress: Progress) -> Iterator[pl.Series]:
    """Texts in pieces of some bytes; what else is needed of each shard goes to ``metas``."""
    for number in range(len(frames.shards)):
        frame = frames.first(number)
        metas.append(frame.drop("text"))
        if frame.height:
            rows = max(1, frame.height * _CHUNK_BYTES // max(1, int(frame["text"].str.len_bytes().sum())))
            yield from (frame["text"][start : start + rows] for start in range(0, frame.height, rows))
        progress.update(number + 1, len(frames.shards), "shards")


def _signed(
    chunks: Iterable[pl.Series], config: DedupedShardsConfig, functions: HashFunctions, runs: EvalRuns
) -> Iterator[Fingerprints]:
    """Fingerprints in the order of the chunks; only so many chunks are under way as keep all threads busy."""
    threads = config.threads or available_cores()
    return in_order(lambda chunk: fingerprint(chunk, config, functions, runs), chunks, threads)


def _light(part: Fingerprints) -> Fingerprints:
    """Without what was spilled."""
    return Fingerprints(part.exact, np.empty(0, np.uint32), part.ends, np.empty(0, np.uint64), part.overlap, part.item)


def _texts(facts: pl.DataFrame, parts: list[Fingerprints], bands: BandFile, shingles: Path) -> Texts:
    lengths = _joined([np.diff(part.ends, prepend=0) for part in parts], np.int64)
    ends = np.cumsum(lengths)
    return Texts(
        row=np.arange(bands.texts),
        doc_ids=doc_id_bytes(facts["doc_id"]),
        urls=url_hashes(facts["canonical_url"]),
        fetched=facts["fetched_at"].dt.epoch("us").to_numpy(),
        exact=_joined([part.exact for part in parts], np.uint64).reshape(-1, 2),
        starts=ends - lengths,
        ends=ends,
        overlap=_joined([part.overlap for part in parts], np.int32),
        item=_joined([part.item for part in parts], np.int32),
        shingles=np.memmap(shingles, np.uint32, "r") if ends.size and ends[-1] else np.empty(0, np.uint32),
        bands=bands,
    )


def _joined(arrays: list[Array], dtype: Any) -> Array:
    return np.concatenate(arrays).astype(dtype, copy=False) if arrays else np.empty(0, dtype)
