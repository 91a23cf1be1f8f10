"""Texts as what deduplication compares: exact hash, set of shingles, band keys, and runs of words for decontamination."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import kernels
from llm_assets.stages.dedup.plain import encoded, normalised

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class HashFunctions:
    """The functions behind a signature; equal for equal (bands, rows, seed)."""

    multipliers: Array  # (bands × rows,) uint32, odd
    offsets: Array  # (bands × rows,) uint32
    bands: int

    @classmethod
    def of(cls, config: DedupedShardsConfig) -> "HashFunctions":
        """Drawn from BLAKE2b(seed, number), so that they are the same with any version of any library."""
        drawn = [
            np.frombuffer(hashlib.blake2b(f"{config.seed} {number}".encode(), digest_size=8).digest(), "<u4")
            for number in range(config.bands * config.rows)
        ]
        both = np.stack(drawn).astype(np.uint32)
        return cls(both[:, 0] | np.uint32(1), both[:, 1].copy(), config.bands)


@dataclass(frozen=True)
class Fingerprints:
    """Of n texts. ``shingles`` are sorted and distinct within a text; those of text i end at ``ends[i]``."""

    exact: Array  # (n, 2) uint64: BLAKE2b-128 of the normalised text
    shingles: Array  # (total,) uint32
    ends: Array  # (n,) int64
    keys: Array  # (n, bands) uint64
    overlap: Array  # (n,) int32: runs of words that an evaluation item has too
    item: Array  # (n,) int32: the evaluation item of the first such run, or -1


@dataclass(frozen=True)
class Runs:
    """Runs of ``width`` words in the evaluation items: sorted distinct 64-bit hashes, and the item of each."""

    width: int
    hashes: Array  # (runs,) uint64, sorted
    items: Array  # (runs,) int32

    @cached_property
    def maybe(self) -> Array:
        """The sieve before the table."""
        return kernels.sieve(self.hashes)


@dataclass(frozen=True)
class EvalRuns:
    """What to look for in texts: a table for each width of run."""

    tables: tuple[Runs, ...] = ()

    def find(self, words: Array, ends: Array) -> tuple[Array, Array]:
        """For texts as hashes of words: how many runs an item has too, and the item of the first (or -1); earlier tables
        first.
        """
        count, item = np.zeros(ends.size, np.int32), np.full(ends.size, -1, np.int32)
        for table in self.tables:
            kernels.count_common(words, ends, table.width, table.hashes, table.items, table.maybe, count, item)
        return count, item


def exact_hashes(data: Array, ends: Array) -> Array:
    """BLAKE2b-128 of each text: (n, 2) uint64."""
    view = data.data
    digests = (hashlib.blake2b(view[start:end], digest_size=16).digest() for start, end in pairwise([0, *ends.tolist()]))
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2).astype(np.uint64)


def word_hashes(normalised: Sequence[str]) -> tuple[Array, Array]:
    """Hashes of the words of texts, and where each text's words end."""
    hashes, stops = kernels.words(*encoded(pl.Series(normalised, dtype=pl.String)))
    return hashes, stops


def fingerprint(texts: pl.Series, config: DedupedShardsConfig, functions: HashFunctions, runs: EvalRuns) -> Fingerprints:
    """Fingerprints of texts, each by itself: it does not matter which texts are given together."""
    data, text_ends = normalised(texts)
    words, ends = kernels.words(data, text_ends)
    shingles, set_ends = shingle_sets(words, ends, config.shingle_words)
    keys = kernels.band_keys(shingles, set_ends, functions.multipliers, functions.offsets, functions.bands)
    return Fingerprints(exact_hashes(data, text_ends), shingles, set_ends, keys, *runs.find(words, ends))


def shingle_sets(hashes: Array, ends: Array, width: int) -> tuple[Array, Array]:
    """The sets of ``width``-word shingles of texts, as sorted 32-bit hashes, and where each set ends."""
    tagged = kernels.tagged(*kernels.windows(hashes, ends, width))
    tagged.sort()  # numpy's sort is vectorised
    found, set_ends = kernels.distinct(tagged, ends.size)
    return found, set_ends
