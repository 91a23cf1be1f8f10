"""The index of one crawl's kept texts: written once, read by memory map by every later crawl, never changed.

``index/``: ``index.json`` (what two crawls must share to be compared). Row by row, in the order in which texts were kept:
``doc_ids.npy`` (n, 16) uint8, ``urls.npy`` (n,) uint64 (half of a hash of the canonical URL), ``shingles.npy`` uint32 and
``shingle_ends.npy`` int64 (the sorted shingle set of row i ends at ``[i]``). Sorted, to be searched: ``exact.npy`` and
``url_rows.npy`` (3, n) uint64 (both halves of the hash, and the row), ``band_keys.npy`` (bands, m) uint64, each band sorted,
and ``band_rows.npy`` (bands, m) uint32 the row of each (m: texts of a shingle or more). ``lines.npy`` (2, k) uint64, where
repeated lines are looked for: pairs of a line and a page that has it, sorted.

Shingle sets, not signatures, are kept: similarity is then measured, not estimated, without reading text (4 bytes a word).
A reader maps one crawl's band at a time and lets go of it, so it holds as little of a long history as of a short one.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.comparable import check_comparable
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import kernels

Array = npt.NDArray[Any]
FOLDER = "index"
_FORMAT = 3
_ARRAYS = ("doc_ids", "urls", "url_rows", "exact", "shingles", "shingle_ends", "band_keys", "band_rows")
_BLOCK = 1 << 14  # texts whose shingles are copied at a time


def url_hashes(urls: Iterable[str]) -> Array:
    """BLAKE2b-128 of canonical URLs: (n, 2) uint64. At 128 bits equal hashes are equal addresses."""
    digests = b"".join(hashlib.blake2b(url.encode("utf-8", "surrogateescape"), digest_size=16).digest() for url in urls)
    return np.frombuffer(digests, "<u8").astype(np.uint64).reshape(-1, 2)


def doc_id_bytes(ids: pl.Series) -> Array:
    """Ids (32 hex digits each) as (n, 16) uint8."""
    return np.frombuffer(bytes.fromhex("".join(ids.to_list())), np.uint8).reshape(-1, 16)


def doc_id_strings(ids: Array) -> list[str]:
    """The way back: (n, 16) uint8 as hex digits."""
    digits = np.ascontiguousarray(ids).tobytes().hex()
    return [digits[start : start + 32] for start in range(0, len(digits), 32)]


def parameters(config: DedupedShardsConfig) -> dict[str, Any]:
    """What two crawls must share to be compared."""
    lines = config.repeated_lines
    return {
        "format": _FORMAT,
        "shingle_words": config.shingle_words,
        "bands": config.bands,
        "rows": config.rows,
        "seed": config.seed,
        # flagged or removed, the lines are the same
        "repeated_lines": "off" if lines.action == "keep" else f"{lines.scope}, {lines.max_pages}, {lines.min_words}",
    }


def stable_order(keys: Array) -> Array:
    """``np.argsort(keys, kind="stable")`` in half the time, where few keys are equal: numpy's other sort is vectorised."""
    order = np.argsort(keys)
    ordered = keys[order]
    tied = np.flatnonzero(ordered[1:] == ordered[:-1])
    if tied.size:
        places = np.union1d(tied, tied + 1)
        part = order[places]
        order[places] = part[np.lexsort((part, keys[part]))]
    return order


class IndexWriter:
    """Writes ``index/`` of the kept texts, piece by piece."""

    def __init__(self, files: Path) -> None:
        self._folder = files / FOLDER
        self._folder.mkdir(exist_ok=True)
        for stale in self._folder.iterdir():  # of a killed run
            stale.unlink()

    def save(self, name: str, array: Array) -> None:
        """One array that readers map."""
        np.save(self._folder / f"{name}.npy", array, allow_pickle=False)

    def sorted_pairs(self, name: str, pairs: Array) -> None:
        """128-bit values (n, 2) with their rows, sorted: (3, n)."""
        by_value = np.lexsort((pairs[:, 1], pairs[:, 0]))
        self.save(name, np.stack([pairs[by_value, 0], pairs[by_value, 1], by_value.astype(np.uint64)]))

    def shingles(self, shingles: Array, starts: Array, ends: Array, let_go: Callable[[], None]) -> None:
        """The sets ``starts[i]``:``ends[i]`` one after another; ``let_go`` is called whenever some were read."""
        lengths = ends - starts
        self.save("shingle_ends", np.cumsum(lengths))
        with open(self._folder / "shingles.npy", "wb") as file:
            _header(file, np.uint32, (int(lengths.sum()),))
            for first in range(0, starts.size, _BLOCK):
                kernels.gathered(shingles, starts[first : first + _BLOCK], ends[first : first + _BLOCK]).tofile(file)
                let_go()

    def bands(self, keys: Iterable[Array], rows: Array, bands: int) -> None:
        """``keys``: for each band those (m,) of the texts in ``rows`` (m,)."""
        with open(self._folder / "band_keys.npy", "wb") as key_file, open(self._folder / "band_rows.npy", "wb") as row_file:
            _header(key_file, np.uint64, (bands, rows.size))
            _header(row_file, np.uint32, (bands, rows.size))
            for band in keys:
                by_key = stable_order(band)  # equal keys stay in the order in which texts were kept
                band[by_key].tofile(key_file)
                rows[by_key].astype(np.uint32).tofile(row_file)

    def finish(self, config: DedupedShardsConfig, documents: int) -> None:
        """What the index is of."""
        write_json(self._folder / "index.json", {**parameters(config), "documents": documents})


def _header(file: Any, dtype: Any, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape})
    file.flush()


class OlderIndex:
    """The index of an older crawl; nothing of it is held. ``InputError`` where ``config`` can't be compared with it."""

    def __init__(self, artefact: Artefact, config: DedupedShardsConfig) -> None:
        self.crawl = artefact.partition
        self._folder = artefact.file(FOLDER)
        about = read_json(self._folder / "index.json")
        check_comparable(artefact, about, parameters(config))
        for name in _ARRAYS:
            self._path(name)
        self._bands = {name: self._band_place(name) for name in ("band_keys", "band_rows")}

    def array(self, name: str) -> Array:
        """One array, mapped for as long as somebody holds it."""
        return np.asarray(np.load(self._path(name), mmap_mode="r", allow_pickle=False))

    def band_keys(self, band: int) -> Array:
        """The sorted keys of one band: (m,) uint64, mapped."""
        return self._band("band_keys", band)

    def band_rows(self) -> Array:
        """The rows of all bands, one band after the other: (bands × m,) uint32, mapped."""
        return self.array("band_rows").reshape(-1)

    @property
    def band_size(self) -> int:
        """Entries a band."""
        return self._bands["band_rows"][1]

    def find(self, name: str, wanted: Array) -> tuple[Array, Array, Array]:
        """Rows of 128-bit values (n, 2), sorted by both halves: first and last place of each (n,), and the row by place."""
        high, low, rows = self.array(name)
        first, last = kernels.ranges_of_pairs(high, low, wanted[:, 0].copy(), wanted[:, 1].copy())
        return first, last, rows

    def doc_ids(self, rows: Array) -> list[str]:
        """Ids of some rows."""
        return doc_id_strings(self.array("doc_ids")[rows])

    def _path(self, name: str) -> Path:
        path = self._folder / f"{name}.npy"
        if not path.is_file():
            raise InputError(f"the index file {path} is missing; materialise that crawl's deduped_shards again")
        return path

    def _band_place(self, name: str) -> tuple[int, int]:
        """Where the array begins in its file, in bytes, and entries a band."""
        with open(self._path(name), "rb") as file:
            np.lib.format.read_magic(file)
            shape, _, _ = np.lib.format.read_array_header_1_0(file)
            return file.tell(), int(shape[1])

    def _band(self, name: str, band: int) -> Array:
        begin, size = self._bands[name]
        if not size:
            return np.empty(0, np.uint64)
        return np.asarray(np.memmap(self._path(name), np.uint64, "r", begin + band * size * 8, (size,)))
