"""The index of one crawl's kept texts: written once, read by memory map by every later crawl, never changed.

``index/``: ``index.json`` (what two crawls must share to be compared), ``documents.parquet`` (row → doc_id, canonical_url;
rows in the order in which texts were kept), ``exact.npy`` (3, n) uint64 (both halves of the exact hash, sorted, and the
row), ``band_keys.npy`` (n × bands,) uint64 sorted, ``band_rows.npy`` the row of each, ``shingles.npy`` uint32 and
``shingle_ends.npy`` int64 (the sorted shingle set of row i ends at ``[i]``), ``urls.npy`` (n,) uint64 hashes of canonical
URLs. Shingle sets, not signatures, are kept: similarity is then measured, not estimated, without reading text (4 bytes a word).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup.fingerprints import Fingerprints

Array = npt.NDArray[Any]
FOLDER = "index"
_FORMAT = 1


def url_hashes(urls: Iterable[str]) -> Array:
    """64-bit BLAKE2b of canonical URLs: (n,) uint64."""
    digests = b"".join(hashlib.blake2b(url.encode("utf-8", "surrogateescape"), digest_size=8).digest() for url in urls)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def parameters(config: DedupedShardsConfig) -> dict[str, int]:
    """What two crawls must share to be compared."""
    return {
        "format": _FORMAT,
        "shingle_words": config.shingle_words,
        "bands": config.bands,
        "rows": config.rows,
        "seed": config.seed,
    }


def gather(shingles: Array, ends: Array, rows: Array) -> tuple[Array, Array]:
    """The shingle sets of some texts, one after another, and where each ends."""
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)[rows]
    lengths = ends[rows] - starts
    new_ends = np.cumsum(lengths)
    place = np.arange(int(lengths.sum())) + np.repeat(starts - (new_ends - lengths), lengths)
    return shingles[place], new_ends


def write_index(
    files: Path, found: Fingerprints, urls: Array, documents: pl.DataFrame, kept: Array, config: DedupedShardsConfig
) -> None:
    """Write the index of the kept texts; ``kept`` are their numbers, in the order in which they were kept."""
    folder = files / FOLDER
    folder.mkdir(exist_ok=True)
    exact = found.exact[kept]
    by_hash = np.lexsort((exact[:, 1], exact[:, 0]))
    rows = np.arange(kept.size, dtype=np.uint64)
    save(folder / "exact.npy", np.stack([exact[by_hash, 0], exact[by_hash, 1], rows[by_hash]]))
    shingles, ends = gather(found.shingles, found.ends, kept)
    save(folder / "shingles.npy", shingles)
    save(folder / "shingle_ends.npy", ends)
    save(folder / "urls.npy", urls[kept])
    long_enough = np.flatnonzero(np.diff(ends, prepend=0))  # texts without a shingle have no band
    keys = found.keys[kept[long_enough]].ravel()
    owners = np.repeat(long_enough.astype(np.uint32), found.keys.shape[1])
    by_key = np.argsort(keys, kind="stable")  # stable: equal keys stay in the order in which texts were kept
    save(folder / "band_keys.npy", keys[by_key])
    save(folder / "band_rows.npy", owners[by_key])
    documents.select("doc_id", "canonical_url")[kept].write_parquet(folder / "documents.parquet", compression="zstd")
    write_json(folder / "index.json", {**parameters(config), "documents": int(kept.size), "shingles": int(shingles.size)})


def save(path: Path, array: Array) -> None:
    """Write an array that readers map."""
    np.save(path, array, allow_pickle=False)


class OlderIndex:
    """The index of an older crawl, mapped. ``InputError`` where it can't be compared with what ``config`` makes."""

    def __init__(self, artefact: Artefact, config: DedupedShardsConfig) -> None:
        self.crawl = artefact.partition
        folder = artefact.file(FOLDER)
        about = read_json(folder / "index.json")
        for name, wanted in parameters(config).items():
            if about.get(name) != wanted:
                raise InputError(
                    f"deduped_shards[{self.crawl}] was indexed with {name} = {about.get(name)}, the recipe says {wanted}; "
                    f"materialise deduped_shards[{self.crawl}] again first: oldest crawl first"
                )
        self.documents = pl.read_parquet(folder / "documents.parquet")
        self.exact, self.band_keys, self.band_rows, self.shingles, self.ends, self.urls = (
            _map(folder / f"{name}.npy") for name in ("exact", "band_keys", "band_rows", "shingles", "shingle_ends", "urls")
        )

    def find_exact(self, hashes: Array) -> Array:
        """The row with each exact hash, or -1. ``hashes``: (n, 2) uint64."""
        rows = np.full(len(hashes), -1, np.int64)
        high, low, owner = self.exact
        if not high.size:
            return rows
        place = np.searchsorted(high, hashes[:, 0])
        # the upper 64 bits of two different texts may be equal: walk on while they are
        waiting = np.flatnonzero(place < high.size)
        while waiting.size:
            at = place[waiting]
            same_high = high[at] == hashes[waiting, 0]
            hit = same_high & (low[at] == hashes[waiting, 1])
            rows[waiting[hit]] = owner[at[hit]].astype(np.int64)
            waiting = waiting[same_high & ~hit]
            place[waiting] += 1
            waiting = waiting[place[waiting] < high.size]
        return rows

    def find_bands(self, keys: Array) -> tuple[Array, Array]:
        """For each band key the slice of ``band_rows`` that shares it: first and last (excluded), each shaped like ``keys``."""
        flat = keys.ravel()
        order = np.argsort(flat)  # sorted look-ups walk the map once
        first, last = np.empty(flat.size, np.int64), np.empty(flat.size, np.int64)
        first[order] = np.searchsorted(self.band_keys, flat[order], side="left")
        last[order] = np.searchsorted(self.band_keys, flat[order], side="right")
        return first.reshape(keys.shape), last.reshape(keys.shape)


def _map(path: Path) -> Array:
    if not path.is_file():
        raise InputError(f"the index file {path} is missing; materialise that crawl's deduped_shards again")
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
