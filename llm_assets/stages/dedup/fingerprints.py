"""Texts as what deduplication compares: exact hash, set of shingles, band keys, and runs of words for decontamination."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import kernels

Array = npt.NDArray[Any]
_CHUNK = 2_000  # texts a task: some MB, so that threads share the work evenly


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
    overlap: Array  # (n,) int64: runs of words that an evaluation item has too
    item: Array  # (n,) int64: the evaluation item of the first such run, or -1

    @classmethod
    def joined(cls, parts: Sequence["Fingerprints"]) -> "Fingerprints":
        """One after another."""
        before = np.cumsum([0, *(part.shingles.size for part in parts)])
        return cls(
            np.concatenate([part.exact for part in parts]),
            np.concatenate([part.shingles for part in parts]),
            np.concatenate([part.ends + start for part, start in zip(parts, before[:-1], strict=True)]),
            np.concatenate([part.keys for part in parts]),
            np.concatenate([part.overlap for part in parts]),
            np.concatenate([part.item for part in parts]),
        )


@dataclass(frozen=True)
class EvalRuns:
    """Runs of words in the evaluation items: sorted 64-bit hashes, and the item of each."""

    hashes: Array  # (runs,) uint64, sorted
    items: Array  # (runs,) int64
    width: int  # words a run

    def find(self, runs: Array, ends: Array) -> tuple[Array, Array]:
        """For texts with these runs: how many of them an item has too, and the item of the first (or -1)."""
        count = np.zeros(ends.size, np.int64)
        item = np.full(ends.size, -1, np.int64)
        if not self.hashes.size or not runs.size:
            return count, item
        place = np.minimum(np.searchsorted(self.hashes, runs), self.hashes.size - 1)
        matching = np.flatnonzero(self.hashes[place] == runs)
        text = np.searchsorted(ends, matching, side="right")
        np.add.at(count, text, 1)
        for index in range(matching.size - 1, -1, -1):  # backwards: the first is written last
            item[text[index]] = self.items[place[matching[index]]]
        return count, item


def normalise(texts: pl.Series) -> pl.Series:
    """What two texts must share to be exact copies: NFKC, lower case, runs of white space as one space."""
    return texts.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()


def exact_hashes(normalised: Sequence[str]) -> Array:
    """BLAKE2b-128 of each text: (n, 2) uint64."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in normalised)
    return np.frombuffer(digests, "<u8").reshape(-1, 2).astype(np.uint64)


def word_hashes(normalised: Sequence[str]) -> tuple[Array, Array]:
    """Hashes of the words of texts, and where each text's words end."""
    encoded = [text.encode() for text in normalised]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    hashes, stops = kernels.words(np.frombuffer(b"".join(encoded), np.uint8), ends)
    return hashes, stops


def fingerprint(texts: pl.Series, config: DedupedShardsConfig, functions: HashFunctions, runs: EvalRuns) -> Fingerprints:
    """Fingerprints of texts, on ``config.threads`` threads; the result does not depend on how many there are."""
    chunks = [texts[start : start + _CHUNK] for start in range(0, max(1, len(texts)), _CHUNK)]
    with ThreadPoolExecutor(config.threads or os.cpu_count()) as pool:
        return Fingerprints.joined(list(pool.map(lambda chunk: _chunk(chunk, config, functions, runs), chunks)))


def _chunk(texts: pl.Series, config: DedupedShardsConfig, functions: HashFunctions, runs: EvalRuns) -> Fingerprints:
    normalised = normalise(texts).to_list()
    hashes, ends = word_hashes(normalised)
    shingles, set_ends = shingle_sets(hashes, ends, config.shingle_words)
    keys = kernels.band_keys(shingles, set_ends, functions.multipliers, functions.offsets, functions.bands)
    overlap, item = runs.find(*kernels.windows(hashes, ends, runs.width))
    return Fingerprints(exact_hashes(normalised), shingles, set_ends, keys, overlap, item)


def shingle_sets(hashes: Array, ends: Array, width: int) -> tuple[Array, Array]:
    """The sets of ``width``-word shingles of texts, as sorted 32-bit hashes, and where each set ends."""
    found, stops = kernels.windows(hashes, ends, width)
    text = np.repeat(np.arange(ends.size, dtype=np.uint64), np.diff(stops, prepend=0))
    distinct = np.unique((text << np.uint64(32)) | (found >> np.uint64(32)))
    set_ends = np.searchsorted(distinct >> np.uint64(32), np.arange(ends.size, dtype=np.uint64), side="right")
    return (distinct & np.uint64(0xFFFFFFFF)).astype(np.uint32), set_ends.astype(np.int64)
