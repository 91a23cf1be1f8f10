"""The band join: which texts share a band key with which others, in this crawl and in older ones, one band at a time.

A band of all new texts is read from disk and sorted; walked beside the sorted band of each older crawl, and beside itself, it
gives what the two have in common. So memory holds one band of this crawl (some 24 bytes a text) and a window of one older
crawl, besides the pairs that were found; the length of the history makes more walks, not more memory.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.core.machine import available_cores
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import kernels
from llm_assets.stages.dedup.index import OlderIndex, stable_order
from llm_assets.stages.dedup.signing import Texts

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Hits:
    """Texts, sorted, and for each a slice of an older crawl's ``band_rows`` that shares a band with it."""

    texts: Array  # (m,) int64
    first: Array  # (m,) int64
    last: Array  # (m,) int64


@dataclass(frozen=True)
class Buckets:
    """The band keys that two or more texts of this crawl share; see ``compare_kernels.settle``."""

    offsets: Array  # (n + 1,) int64
    buckets: Array  # (entries,) int32
    begins: Array  # (buckets,) int64
    room: Array  # (buckets,) int32


@dataclass(frozen=True)
class _Band:
    hits: list[Array]  # by older crawl: (m, 3) int64
    texts: Array  # (entries,) int32
    numbers: Array  # (entries,) int32, within this band
    sizes: Array  # (buckets,) int64
    room: Array  # (buckets,) int32


class Join:
    """The join of all bands. ``wanted``: numbers of the texts that take part, sorted."""

    def __init__(
        self, texts: Texts, wanted: Array, older: list[OlderIndex], config: DedupedShardsConfig, private: Path
    ) -> None:
        self._texts, self._wanted, self._older, self._limit = texts, wanted, older, config.bucket_limit
        self._files = [private / f"hits-{number}.i64" for number in range(len(older))]
        for file in self._files:
            file.unlink(missing_ok=True)
        with ThreadPoolExecutor(config.threads or available_cores()) as pool:
            self.buckets = self._gathered(pool.map(self._band, range(config.bands)))

    def hits(self, crawl: int) -> Hits | None:
        """What was found in one older crawl; None where there is nothing."""
        if not self._files[crawl].exists():
            return None
        rows = np.fromfile(self._files[crawl], np.int64).reshape(-1, 3)
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        return Hits(*(np.ascontiguousarray(column) for column in rows.T))

    def _band(self, band: int) -> _Band:
        keys = self._texts.keys(band)[self._wanted]
        by_key = stable_order(keys)  # texts of one key stay in judging order
        keys, texts = keys[by_key], self._wanted[by_key]
        starts = np.flatnonzero(np.concatenate([np.ones(min(1, keys.size), bool), keys[1:] != keys[:-1]]))
        sizes = np.diff(starts, append=keys.size)
        distinct = keys[starts]
        used = np.zeros(starts.size, np.int64)  # kept texts of older crawls that were looked at for a key
        hits = []
        for index in self._older:
            first, last = kernels.ranges(index.band_keys(band), distinct, self._limit)
            last = np.minimum(last, first + self._limit - used)
            used += last - first
            hit = np.flatnonzero(last > first)
            moved = band * index.band_size
            owners = texts[_members(starts[hit], sizes[hit])]
            hits.append(np.stack([owners, *(np.repeat(x[hit] + moved, sizes[hit]) for x in (first, last))], axis=1))
        shared = np.flatnonzero((sizes > 1) & (used < self._limit))
        return _Band(
            hits,
            texts[_members(starts[shared], sizes[shared])].astype(np.int32),
            np.repeat(np.arange(shared.size, dtype=np.int32), sizes[shared]),
            sizes[shared],
            (self._limit - used[shared]).astype(np.int32),
        )

    def _gathered(self, bands: Iterator[_Band]) -> Buckets:
        texts, numbers, sizes, room = [], [], [], []
        before = 0
        for band in bands:
            for file, found in zip(self._files, band.hits, strict=True):
                if found.size:
                    with open(file, "ab") as handle:
                        found.tofile(handle)
            texts.append(band.texts)
            numbers.append(band.numbers + np.int32(before))
            sizes.append(band.sizes)
            room.append(band.room)
            before += band.sizes.size
        owner, all_sizes = np.concatenate(texts), np.concatenate(sizes)
        by_text = np.argsort(owner, kind="stable")
        offsets = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=self._texts.size))]).astype(np.int64)
        return Buckets(offsets, np.concatenate(numbers)[by_text], np.cumsum(all_sizes) - all_sizes, np.concatenate(room))


def _members(starts: Array, sizes: Array) -> Array:
    """The places of slices, one slice after another."""
    ends = np.cumsum(sizes)
    places: Array = np.arange(int(sizes.sum())) + np.repeat(starts - (ends - sizes), sizes)
    return places
