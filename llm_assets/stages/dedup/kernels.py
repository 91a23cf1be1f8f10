"""The inner loops of deduplication, compiled by numba: bytes → words → windows of words → signatures; then who is dropped.

Few and small, because each is compiled once a machine (numba keeps the result beside this file, or in ``NUMBA_CACHE_DIR``).
They release the interpreter lock, so plain threads run them side by side.

A word is a run of letters, digits and marks; a character of a script written without spaces (Han, kana, Thai and kin) is a
word of its own. Punctuation, symbols and spaces only separate. So 'Hello, world' and 'hello world!' are the same words.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

KEPT, EXACT, NEAR, SET_ASIDE = 0, 1, 2, 3  # the fate of a text; those set aside are looked at by nobody

Array = npt.NDArray[Any]

_F = TypeVar("_F", bound=Callable[..., Any])


def _compiled(function: _F) -> _F:
    """Compiled at its first call; later processes load what was kept."""
    compiled: _F = numba.njit(cache=True, nogil=True)(function)
    return compiled


@_compiled
def _mix(x: Any) -> Any:
    """The finaliser of SplitMix64 (Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@_compiled
def _kind(point: Any) -> int:
    """Of a code point. 0: separates words; 1: part of a word; 2: a word by itself."""
    if point < 0x80:
        return 1 if 48 <= point <= 57 or 65 <= point <= 90 or 97 <= point <= 122 else 0
    if point < 0xC0:
        return 1 if point == 0xAA or point == 0xB5 or point == 0xBA else 0
    if point == 0xD7 or point == 0xF7:
        return 0
    if 0x0E00 <= point < 0x0F00 or 0x1000 <= point < 0x10A0 or 0x1780 <= point < 0x1800:  # Thai, Lao, Burmese, Khmer
        return 2
    if 0x2000 <= point < 0x2070 or 0x20A0 <= point < 0x20D0 or 0x2190 <= point < 0x2C00 or 0x2E00 <= point < 0x2E80:
        return 0  # punctuation, currency, arrows, mathematical signs, boxes, dingbats
    if 0x3000 <= point < 0x3040 or 0xFE00 <= point < 0xFE70 or 0xFF00 <= point < 0xFF10:
        return 0  # CJK and full-width punctuation, variation selectors
    if 0x1F000 <= point < 0x20000:
        return 0  # emoji and other pictures
    if 0x2E80 <= point < 0xA000 or 0xF900 <= point < 0xFB00 or 0x20000 <= point < 0x40000:
        return 2  # Han, kana, bopomofo
    return 1


@_compiled
def words(data: Array, ends: Array) -> tuple[Array, Array]:
    """Hashes (FNV-1a, then mixed) of the words of consecutive texts, and where each text's words end.

    ``data``: UTF-8 bytes; ``ends``: (n,) int64, where each text ends. Returns (uint64 (words,), int64 (n,)).
    """
    found = np.empty(data.size + 1, np.uint64)
    stops = np.empty(ends.size, np.int64)
    filled = 0
    position = 0
    for text in range(ends.size):
        end = ends[text]
        inside = False
        current = np.uint64(0xCBF29CE484222325)
        while position < end:
            first = np.int64(data[position])
            size = 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            size = min(size, end - position)
            point = first if first < 0x80 else first & (0xFF >> (size + 1))
            for offset in range(1, size):
                point = (point << 6) | (np.int64(data[position + offset]) & 0x3F)
            kind = _kind(point)
            if inside and kind != 1:
                found[filled] = _mix(current)
                filled += 1
                inside = False
                current = np.uint64(0xCBF29CE484222325)
            if kind != 0:
                for byte in range(position, position + size):
                    current = (current ^ np.uint64(data[byte])) * np.uint64(0x100000001B3)
                inside = True
            if kind == 2:
                found[filled] = _mix(current)
                filled += 1
                inside = False
                current = np.uint64(0xCBF29CE484222325)
            position += size
        if inside:
            found[filled] = _mix(current)
            filled += 1
        stops[text] = filled
    return found[:filled].copy(), stops


@_compiled
def windows(hashes: Array, ends: Array, width: int) -> tuple[Array, Array]:
    """64-bit hashes of all runs of ``width`` words, and where each text's runs end; a shorter text has none."""
    found = np.empty(hashes.size, np.uint64)
    stops = np.empty(ends.size, np.int64)
    filled = 0
    start = 0
    for text in range(ends.size):
        for first in range(start, ends[text] - width + 1):
            value = np.uint64(0)
            for word in range(first, first + width):
                value = _mix(value + hashes[word]) + np.uint64(0x9E3779B97F4A7C15)
            found[filled] = value
            filled += 1
        stops[text] = filled
        start = ends[text]
    return found[:filled].copy(), stops


@_compiled
def band_keys(shingles: Array, ends: Array, multipliers: Array, offsets: Array, bands: int) -> Array:
    """MinHash signatures (Broder 1997), folded to a 64-bit key a band: uint64 (n, bands).

    ``multipliers``, ``offsets``: (bands × rows,) uint64, the hash functions h(x) = (a·x + b) >> 32 of a 32-bit shingle
    (multiply-add-shift, Dietzfelbinger 1996). The band's number is part of its key.
    """
    count = multipliers.size
    rows = count // bands
    keys = np.empty((ends.size, bands), np.uint64)
    signature = np.empty(count, np.uint64)
    start = 0
    for text in range(ends.size):
        signature[:] = np.uint64(0xFFFFFFFFFFFFFFFF)
        for place in range(start, ends[text]):
            shingle = np.uint64(shingles[place])
            for index in range(count):
                value = (multipliers[index] * shingle + offsets[index]) >> np.uint64(32)
                signature[index] = min(signature[index], value)
        for band in range(bands):
            key = np.uint64(band + 1)
            for row in range(rows):
                key = _mix(key ^ signature[band * rows + row]) + np.uint64(0x9E3779B97F4A7C15)
            keys[text, band] = key
        start = ends[text]
    return keys


@_compiled
def jaccard(one: Array, other: Array, floor: float) -> float:
    """|A ∩ B| / |A ∪ B| of two sorted sets; -1 where their sizes alone put it below ``floor``."""
    small, large = min(one.size, other.size), max(one.size, other.size)
    if small == 0 or small < floor * large:
        return -1.0
    i, j, common = 0, 0, 0
    while i < one.size and j < other.size:
        if one[i] == other[j]:
            common += 1
            i += 1
            j += 1
        elif one[i] < other[j]:
            i += 1
        else:
            j += 1
    return common / (one.size + other.size - common)


@_compiled
def against_older(
    shingles: Array,
    ends: Array,
    urls: Array,
    first: Array,
    last: Array,
    old_rows: Array,
    old_shingles: Array,
    old_ends: Array,
    old_urls: Array,
    floor: float,
    limit: int,
    used: Array,
    best: Array,
    partner: Array,
) -> None:
    """Compare new texts with the kept texts of one older crawl that share a band with them.

    ``first``, ``last``: (n, bands), the slice of ``old_rows`` with the same key. ``used``: (n, bands), how many kept texts a
    band has been compared with in still older crawls. Raises ``best`` (n,), and sets ``partner`` (n,), -1 at first, to the
    row of the text that did (equally similar: the older one).
    A text is never compared with another capture of its own URL.
    """
    seen = np.full(old_ends.size, -1, np.int64)
    start = 0
    for text in range(ends.size):
        mine = shingles[start : ends[text]]
        start = ends[text]
        for band in range(first.shape[1]):
            for place in range(first[text, band], last[text, band]):
                if used[text, band] >= limit:
                    break
                used[text, band] += 1
                row = np.int64(old_rows[place])
                if seen[row] == text or old_urls[row] == urls[text]:
                    continue
                seen[row] = text
                begin = old_ends[row - 1] if row > 0 else 0
                found = jaccard(mine, old_shingles[begin : old_ends[row]], floor)
                if found > best[text] or (found == best[text] and row < partner[text]):  # partner is -1 at first: no tie
                    best[text], partner[text] = found, row


@_compiled
def settle(
    order: Array,
    shingles: Array,
    ends: Array,
    urls: Array,
    buckets: Array,
    n_buckets: int,
    twins: Array,
    n_twins: int,
    floor: float,
    limit: int,
    used: Array,
    best: Array,
    fate: Array,
    partner: Array,
) -> None:
    """Go through a crawl's texts in order and drop each that equals, or resembles, one that was kept before it.

    Only pairs with a kept text count, each measured: there is no chain A~B~C along which C goes for A's sake (case B16).
    ``buckets``: (n, bands) number of a text's bucket in each band, -1 where it is alone; ``twins``: (n,) number of its exact
    text. ``best``: (n,) the similarity to older crawls so far. Sets ``fate`` of those not set aside or dropped before,
    raises ``best``, and sets ``partner`` (n,) to the text that did (equally similar: the earlier one).
    """
    bands = buckets.shape[1]
    head = np.full(n_buckets, -1, np.int64)
    tail = np.full(n_buckets, -1, np.int64)
    following = np.full(buckets.shape, -1, np.int64)
    kept_twin = np.full(n_twins, -1, np.int64)
    seen = np.full(ends.size, -1, np.int64)
    rank = np.empty(ends.size, np.int64)
    for place in range(order.size):
        rank[order[place]] = place
    for place in range(order.size):
        text = order[place]
        if fate[text] != KEPT:
            continue
        if kept_twin[twins[text]] >= 0:
            fate[text], partner[text], best[text] = EXACT, kept_twin[twins[text]], 1.0
            continue
        mine = shingles[ends[text - 1] if text > 0 else 0 : ends[text]]
        for band in range(bands):
            if buckets[text, band] < 0:
                continue
            other = head[buckets[text, band]]
            looked = used[text, band]
            while other >= 0 and looked < limit:
                looked += 1
                if seen[other] != text and urls[other] != urls[text]:
                    seen[other] = text
                    found = jaccard(mine, shingles[ends[other - 1] if other > 0 else 0 : ends[other]], floor)
                    tie = found == best[text] and partner[text] >= 0 and rank[other] < rank[partner[text]]
                    if found > best[text] or tie:
                        best[text], partner[text] = found, other
                other = following[other, band]
        if best[text] >= floor:
            fate[text] = NEAR
            continue
        partner[text] = -1
        kept_twin[twins[text]] = text
        for band in range(bands):
            bucket = buckets[text, band]
            if bucket < 0:
                continue
            if head[bucket] < 0:
                head[bucket] = text
            else:
                following[tail[bucket], band] = text
            tail[bucket] = text
