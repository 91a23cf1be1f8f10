"""Texts as what deduplication compares: exact hash, set of shingles, band keys, and runs of words for decontamination."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import kernels

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class HashFunctions:
    """The functions behind a signature; equal for equal (bands, rows, seed)."""

    multipliers: Array  # (bands × rows,) uint64, odd
    offsets: Array  # (bands × rows,) uint64
    bands: int

    @classmethod
    def of(cls, config: DedupedShardsConfig) -> "HashFunctions":
        """Drawn from BLAKE2b(seed, number), so that they are the same with any version of any library."""
        drawn = [
            np.frombuffer(hashlib.blake2b(f"{config.seed} {number}".encode(), digest_size=16).digest(), "<u8")
            for number in range(config.bands * config.rows)
        ]
        both = np.stack(drawn).astype(np.uint64)
        return cls(both[:, 0] | np.uint64(1), both[:, 1].copy(), config.bands)


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
            runs, run_ends = kernels.windows(words, ends, table.width)
            kernels.count_common(runs, run_ends, table.hashes, table.items, count, item)
        return count, item


def normalise(texts: pl.Series) -> pl.Series:
    """What two texts must share to be exact copies: NFKC, lower case, runs of white space as one space."""
    return texts.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def encoded(texts: pl.Series) -> tuple[bytes, Array]:
    """Texts as UTF-8, one after another, and where each ends (n,) int64."""
    ends = np.cumsum(texts.str.len_bytes().to_numpy(), dtype=np.int64)
    return "".join(texts.to_list()).encode(), ends


def exact_hashes(data: bytes, ends: Array) -> Array:
    """BLAKE2b-128 of each text: (n, 2) uint64."""
    view = memoryview(data)
    digests = (hashlib.blake2b(view[start:end], digest_size=16).digest() for start, end in pairwise([0, *ends.tolist()]))
    return np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2).astype(np.uint64)


def word_hashes(normalised: Sequence[str]) -> tuple[Array, Array]:
    """Hashes of the words of texts, and where each text's words end."""
    data, ends = encoded(pl.Series(normalised, dtype=pl.String))
    hashes, stops = kernels.words(np.frombuffer(data, np.uint8), ends)
    return hashes, stops


def fingerprint(texts: pl.Series, config: DedupedShardsConfig, functions: HashFunctions, runs: EvalRuns) -> Fingerprints:
    """Fingerprints of texts, each by itself: it does not matter which texts are given together."""
    data, text_ends = encoded(normalise(texts))
    words, ends = kernels.words(np.frombuffer(data, np.uint8), text_ends)
    shingles, set_ends = shingle_sets(words, ends, config.shingle_words)
    keys = kernels.band_keys(shingles, set_ends, functions.multipliers, functions.offsets, functions.bands)
    return Fingerprints(exact_hashes(data, text_ends), shingles, set_ends, keys, *runs.find(words, ends))


def shingle_sets(hashes: Array, ends: Array, width: int) -> tuple[Array, Array]:
    """The sets of ``width``-word shingles of texts, as sorted 32-bit hashes, and where each set ends."""
    found, stops = kernels.windows(hashes, ends, width)
    text = np.repeat(np.arange(ends.size, dtype=np.uint64), np.diff(stops, prepend=0))
    distinct = (text << np.uint64(32)) | (found >> np.uint64(32))
    distinct.sort()  # numpy's sort is vectorised, np.unique would hash: ten times as long
    distinct = distinct[np.concatenate([np.ones(min(1, distinct.size), bool), distinct[1:] != distinct[:-1]])]
    set_ends = np.searchsorted(distinct >> np.uint64(32), np.arange(ends.size, dtype=np.uint64), side="right")
    return (distinct & np.uint64(0xFFFFFFFF)).astype(np.uint32), set_ends.astype(np.int64)
