"""Copies of an image: found by difference hashes in near-linear time, verified by thumbnails, judged in an order of their own.

A hash of 64 bits, cut into d + 2 bands, that differs from another in at most d bits equals it in at least two of them (the
pigeonhole principle; Manku, Jain and Das Sarma 2007 find near-duplicate pages so). So a look-up compares only hashes that share
a pair of bands, and finds what comparing with all would. One band would do for d + 1 of them, but pictures have much in common,
and many share one. Hashes tell of brightness alone, and images with little in them share all: a pair counts only if its
thumbnails agree too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from llm_assets.core.ledger import KEEP, Verdict

BITS = 64
SIDE = 16  # of a thumbnail
Thumb = NDArray[np.uint8]


@dataclass(frozen=True)
class Candidate:
    """An image that may be kept. ``order`` decides between copies: the smaller stays."""

    doc_id: str
    order: tuple[int, str, str]
    dhash: int
    thumb: Thumb  # (16, 16, 3)


def order_of(source_pixels: int, address: str, doc_id: str) -> tuple[int, str, str]:
    """Of copies the one that came with most pixels stays, then the one with the first address, then with the first id.

    When or in which place of the crawl an image was met plays no part.
    """
    return -source_pixels, address, doc_id


def difference_hash(image: Image.Image) -> int:
    """64-bit difference hash (dHash: Krawetz 2013): is each of 8 × 8 grey cells brighter than its right neighbour?"""
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR), dtype=np.int16)
    bits = (cells[:, :-1] > cells[:, 1:]).ravel()
    return int(sum(1 << position for position, bit in enumerate(bits) if bit))


def thumbnail(image: Image.Image) -> Thumb:
    """16 × 16 RGB cells, each the mean of its part of the image."""
    return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX))


def thumb_of(digits: str) -> Thumb:
    """A thumbnail from the hex digits of its bytes."""
    return np.frombuffer(bytes.fromhex(digits), np.uint8).reshape(SIDE, SIDE, 3)


def colour_difference(one: Thumb, other: Thumb) -> float:
    """Mean absolute difference of two thumbnails, of 255."""
    return float(np.abs(one.astype(np.int16) - other).mean())


def band_masks(max_distance: int) -> list[int]:
    """The pairs of bands, as masks: hashes within the distance are equal in one pair at least."""
    edges = [round(BITS * band / (max_distance + 2)) for band in range(max_distance + 3)]
    bands = [(1 << high) - (1 << low) for low, high in pairwise(edges)]
    return [one | other for one, other in combinations(bands, 2)]


class NearHashes:
    """Hashes of ``BITS`` bits, found again within a Hamming distance."""

    def __init__(self, max_distance: int) -> None:
        self.max_distance = max_distance
        self._masks = band_masks(max_distance)
        self._tables: list[dict[int, list[int]]] = [{} for _ in self._masks]
        self._hashes: list[int] = []

    def add(self, value: int) -> int:
        """Remember a hash; returns its number, from 0."""
        number = len(self._hashes)
        self._hashes.append(value)
        for table, mask in zip(self._tables, self._masks, strict=True):
            table.setdefault(value & mask, []).append(number)
        return number

    def candidates(self, value: int) -> set[int]:
        """Numbers of the remembered hashes that share two bands with this one: all within the distance, and some more."""
        met: set[int] = set()
        for table, mask in zip(self._tables, self._masks, strict=True):
            met.update(table.get(value & mask, ()))
        return met

    def near(self, value: int) -> list[tuple[int, int]]:
        """(distance, number) of every remembered hash within the distance, nearest first, then in the order they were added."""
        found = [((value ^ self._hashes[number]).bit_count(), number) for number in self.candidates(value)]
        return sorted(pair for pair in found if pair[0] <= self.max_distance)


def choose(candidates: Sequence[Candidate], max_distance: int, max_difference: float) -> Iterator[tuple[Candidate, Verdict]]:
    """A verdict on each candidate, in their order: kept, or ``near_duplicate`` of the nearest that is kept."""
    index, kept = NearHashes(max_distance), list[Candidate]()
    for one in sorted(candidates, key=lambda candidate: candidate.order):
        near = index.near(one.dhash)
        twins = ((n, d) for d, n in near if colour_difference(one.thumb, kept[n].thumb) <= max_difference)
        twin = next(twins, None)
        if twin is None:
            index.add(one.dhash)
            kept.append(one)
            yield one, KEEP
        else:
            number, distance = twin
            yield one, Verdict(False, "near_duplicate", distance, max_distance, related_doc=kept[number].doc_id)
