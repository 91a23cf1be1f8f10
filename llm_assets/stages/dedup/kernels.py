"""The inner loops of deduplication, compiled by numba: bytes → words → runs of words → signatures, and look-ups.

Few and small, because each is compiled once a machine. Plain threads run them side by side.

A word is a run of letters, digits and marks; a character of a script written without spaces (Han, kana, Thai and kin) is a
word of its own. Punctuation, symbols and spaces only separate. So 'Hello, world' and 'hello world!' are the same words.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import compiled, mix

Array = npt.NDArray[Any]

_WORD = np.array([48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 for c in range(128)])
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, of the rolling hash


@compiled
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


@compiled
def words(data: Array, ends: Array) -> tuple[Array, Array]:
    """Hashes (FNV-1a, then mixed) of the words of consecutive texts, and where each text's words end.

    ``data``: UTF-8 bytes; ``ends``: (n,) int64, where each text ends. Returns (uint64 (words,), int64 (n,)).
    """
    found = np.empty(data.size + 1, np.uint64)
    stops = np.empty(ends.size, np.int64)
    filled = 0
    position = 0
    start = np.uint64(0xCBF29CE484222325)
    for text in range(ends.size):
        end = ends[text]
        inside = False
        current = start
        while position < end:
            first = np.int64(data[position])
            if first < 0x80:  # most bytes; without a branch, since where words end can't be foreseen
                part = _WORD[first]
                found[filled] = current
                filled += inside & ~part
                current = (current ^ np.uint64(first)) * np.uint64(0x100000001B3) if part else start
                inside = part
                position += 1
                continue
            size = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            size = min(size, end - position)
            point = first & (0xFF >> (size + 1))
            for offset in range(1, size):
                point = (point << 6) | (np.int64(data[position + offset]) & 0x3F)
            kind = _kind(point)
            if inside and kind != 1:
                found[filled] = current
                filled += 1
                inside = False
                current = start
            if kind != 0:
                for byte in range(position, position + size):
                    current = (current ^ np.uint64(data[byte])) * np.uint64(0x100000001B3)
                inside = True
            if kind == 2:
                found[filled] = current
                filled += 1
                inside = False
                current = start
            position += size
        if inside:
            found[filled] = current
            filled += 1
        stops[text] = filled
    mixed = np.empty(filled, np.uint64)
    for place in range(filled):
        mixed[place] = mix(found[place])
    return mixed, stops


@compiled
def windows(hashes: Array, ends: Array, width: int) -> tuple[Array, Array]:
    """64-bit hashes of all runs of ``width`` words, and where each text's runs end; a shorter text has none.

    A polynomial of the words' hashes that rolls from run to run (Karp and Rabin 1987), then mixed.
    """
    found = np.empty(hashes.size, np.uint64)
    stops = np.empty(ends.size, np.int64)
    filled = 0
    start = 0
    leaving = _power(width)
    for text in range(ends.size):
        value = np.uint64(0)
        for place in range(start, ends[text]):
            value = value * _BASE + hashes[place]
            if place - start >= width:
                value -= hashes[place - width] * leaving
            if place - start >= width - 1:
                found[filled] = mix(value)
                filled += 1
        stops[text] = filled
        start = ends[text]
    return found[:filled], stops


@compiled
def _power(exponent: int) -> Any:
    value = np.uint64(1)
    for _ in range(exponent):
        value = value * _BASE
    return value


@compiled
def tagged(runs: Array, ends: Array) -> Array:
    """The upper halves of the runs' hashes, each below the number of its text: sorted, they are sorted text by text."""
    found = np.empty(runs.size, np.uint64)
    start = 0
    for text in range(ends.size):
        for place in range(start, ends[text]):
            found[place] = (np.uint64(text) << np.uint64(32)) | (runs[place] >> np.uint64(32))
        start = ends[text]
    return found


@compiled
def distinct(ordered: Array, texts: int) -> tuple[Array, Array]:
    """Of sorted ``tagged`` hashes the distinct ones, without the tag: uint32, and where those of each text end (texts,)
    int64.
    """
    found = np.empty(ordered.size, np.uint32)
    ends = np.zeros(texts, np.int64)
    filled = 0
    for place in range(ordered.size):
        if place > 0 and ordered[place] == ordered[place - 1]:
            continue
        found[filled] = ordered[place] & np.uint64(0xFFFFFFFF)
        filled += 1
        ends[np.int64(ordered[place] >> np.uint64(32))] = filled
    for text in range(1, texts):
        ends[text] = max(ends[text], ends[text - 1])
    return found[:filled].copy(), ends


@compiled
def _lowest(shingles: Array, multiplier: Any, offset: Any) -> Any:
    """The least h(x) = a·x + b mod 2^32 over the shingles of one text: a loop that becomes vector instructions."""
    lowest = np.uint32(0xFFFFFFFF)
    for place in range(shingles.size):
        lowest = min(np.uint32(np.uint32(multiplier * shingles[place]) + offset), lowest)
    return lowest


@compiled
def band_keys(shingles: Array, ends: Array, multipliers: Array, offsets: Array, bands: int) -> Array:
    """MinHash signatures (Broder 1997), folded to a 64-bit key a band: uint64 (n, bands).

    ``multipliers`` (odd), ``offsets``: (bands × rows,) uint32. Each h is a permutation of the 32-bit numbers; shingles are
    mixed hashes already, so their order under it is as good as random. The band's number is part of its key.
    """
    rows = multipliers.size // bands
    keys = np.empty((ends.size, bands), np.uint64)
    start = 0
    for text in range(ends.size):
        own = shingles[start : ends[text]]
        for band in range(bands):
            key = np.uint64(band + 1)
            for index in range(band * rows, band * rows + rows):
                key = mix(key ^ np.uint64(_lowest(own, multipliers[index], offsets[index]))) + np.uint64(0x9E3779B97F4A7C15)
            keys[text, band] = key
        start = ends[text]
    return keys


@compiled
def gathered(values: Array, starts: Array, ends: Array) -> Array:
    """The pieces ``starts[i]``:``ends[i]`` of an array one after another."""
    found = np.empty((ends - starts).sum(), values.dtype)
    filled = 0
    for piece in range(starts.size):
        size = ends[piece] - starts[piece]
        found[filled : filled + size] = values[starts[piece] : ends[piece]]
        filled += size
    return found


@compiled
def _lower(haystack: Array, wanted: Any, low: int) -> int:
    """The first place from ``low`` on that is not below ``wanted``: doubling steps, then halving (Bentley and Yao 1976)."""
    high, step = low, 1
    while high < haystack.size and haystack[high] < wanted:
        low = high + 1
        high += step
        step *= 2
    high = min(high, haystack.size)
    while low < high:
        middle = (low + high) // 2
        if haystack[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@compiled
def count_common(
    words: Array, ends: Array, width: int, table: Array, items: Array, maybe: Array, count: Array, item: Array
) -> None:
    """Count the runs of ``width`` words of each text that stand in a sorted table too, and name the item of the first.

    ``items``: by place in the table; ``maybe``: ``sieve(table)``. Adds to ``count`` (n,), sets ``item`` (n,) where it is -1.
    """
    leaving = _power(width)
    start = 0
    for text in range(ends.size):
        value = np.uint64(0)
        for place in range(start, ends[text]):
            value = value * _BASE + words[place]
            if place - start >= width:
                value -= words[place - width] * leaving
            if place - start < width - 1:
                continue
            run = mix(value)
            bit = run & np.uint64(8 * maybe.size - 1)
            if not (maybe[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & 1:
                continue
            found = _lower(table, run, 0)
            if found < table.size and table[found] == run:
                count[text] += 1
                if item[text] < 0:
                    item[text] = items[found]
        start = ends[text]


@compiled
def sieve(table: Array) -> Array:
    """A bit for the lowest bits of each hash: nearly all that are not in the table fall through it. (2^18,) uint8: fits a
    core's cache.
    """
    maybe = np.zeros(1 << 18, np.uint8)
    for place in range(table.size):
        bit = table[place] & np.uint64(8 * maybe.size - 1)
        maybe[bit >> np.uint64(3)] |= np.uint8(1 << (bit & np.uint64(7)))
    return maybe


@compiled
def ranges(haystack: Array, needles: Array, limit: int) -> tuple[Array, Array]:
    """Where each needle stands in a sorted array: first and last place (excluded), at most ``limit`` of them.

    ``needles`` are sorted. Few needles in a long array cost the logarithm of the gaps, many cost one walk: pages of a mapped
    array between two needles are not read.
    """
    first, last = np.empty(needles.size, np.int64), np.empty(needles.size, np.int64)
    low = 0
    for number in range(needles.size):
        low = _lower(haystack, needles[number], low)
        end = low
        while end < haystack.size and haystack[end] == needles[number] and end - low < limit:
            end += 1
        first[number], last[number] = low, end
    return first, last


@compiled
def ranges_of_pairs(high: Array, low: Array, wanted_high: Array, wanted_low: Array) -> tuple[Array, Array]:
    """As ``ranges``, for 128-bit values in two halves, both sides sorted by (high, low)."""
    first, last = np.empty(wanted_high.size, np.int64), np.empty(wanted_high.size, np.int64)
    start = 0
    for number in range(wanted_high.size):
        start = _lower(high, wanted_high[number], start)
        place = start
        while place < high.size and high[place] == wanted_high[number] and low[place] < wanted_low[number]:
            place += 1
        end = place
        while end < high.size and high[end] == wanted_high[number] and low[end] == wanted_low[number]:
            end += 1
        first[number], last[number] = place, end
    return first, last
