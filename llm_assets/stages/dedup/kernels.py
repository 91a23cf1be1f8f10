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
def count_common(runs: Array, ends: Array, table: Array, items: Array, count: Array, item: Array) -> None:
    """Count the runs of each text that stand in a sorted table too, and name the item of the first, where none is named yet.

    ``runs``: those of text i end at ``ends[i]``; ``items``: by place in the table. Adds to ``count`` (n,), sets ``item`` (n,).
    A bit a hash in a small array spares most runs the search.
    """
    maybe = np.zeros(1 << 16, np.uint8)
    for place in range(table.size):
        maybe[table[place] & np.uint64(0xFFFF)] |= np.uint8(1 << ((table[place] >> np.uint64(16)) & np.uint64(7)))
    start = 0
    for text in range(ends.size):
        for place in range(start, ends[text]):
            run = runs[place]
            if not maybe[run & np.uint64(0xFFFF)] & np.uint8(1 << ((run >> np.uint64(16)) & np.uint64(7))):
                continue
            found = np.searchsorted(table, run)
            if found < table.size and table[found] == run:
                count[text] += 1
                if item[text] < 0:
                    item[text] = items[found]
        start = ends[text]


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


@_compiled
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


@_compiled
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


@_compiled
def against_older(
    texts: Array,
    first: Array,
    last: Array,
    old_rows: Array,
    old_shingles: Array,
    old_ends: Array,
    old_urls: Array,
    shingles: Array,
    starts: Array,
    ends: Array,
    urls: Array,
    floor: float,
    best: Array,
    partner: Array,
) -> None:
    """Compare new texts with the kept texts of one older crawl that share a band with them.

    ``texts``: (m,) sorted, a text for each slice ``first``:``last`` of ``old_rows`` that shares a band with it. Raises ``best``
    (n,), and sets ``partner`` (n,), -1 at first, to the row of the text that did (equally similar: the older one).
    A text is never compared with another capture of its own URL.
    """
    seen = np.full(old_ends.size, -1, np.int32)
    for entry in range(texts.size):
        text = texts[entry]
        mine = shingles[starts[text] : ends[text]]
        for place in range(first[entry], last[entry]):
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
    offsets: Array,
    buckets: Array,
    begins: Array,
    room: Array,
    shingles: Array,
    starts: Array,
    ends: Array,
    urls: Array,
    twins: Array,
    floor: float,
    best: Array,
    fate: Array,
    partner: Array,
) -> None:
    """Go through a crawl's texts in judging order and drop each that equals, or resembles, one that was kept before it.

    Only pairs with a kept text count, each measured: there is no chain A~B~C along which C goes for A's sake (case B16).
    ``buckets[offsets[i]:offsets[i + 1]]``: the buckets (equal band keys) that text i shares with another; ``begins``: where
    each bucket's place in the list of members begins; ``room``: how many kept texts of it are looked at. ``twins``: (n,)
    number of its exact text, -1 where nobody shares it. ``best``: (n,) the similarity to older crawls so far. Sets ``fate``
    of those not set aside or dropped before, raises ``best``, and sets ``partner`` (n,) to the text that did (equally
    similar: the earlier).
    """
    members = np.empty(buckets.size, np.int32)
    filled = np.zeros(begins.size, np.int32)
    kept_twin = np.full(twins.max() + 1 if twins.size else 0, -1, np.int32)
    seen = np.full(ends.size, -1, np.int32)
    for text in range(ends.size):
        if fate[text] != KEPT:
            continue
        if twins[text] >= 0 and kept_twin[twins[text]] >= 0:
            fate[text], partner[text], best[text] = EXACT, kept_twin[twins[text]], 1.0
            continue
        mine = shingles[starts[text] : ends[text]]
        for entry in range(offsets[text], offsets[text + 1]):
            bucket = buckets[entry]
            for place in range(begins[bucket], begins[bucket] + min(filled[bucket], room[bucket])):
                other = members[place]
                if seen[other] == text or urls[other] == urls[text]:
                    continue
                seen[other] = text
                found = jaccard(mine, shingles[starts[other] : ends[other]], floor)
                if found > best[text] or (found == best[text] and other < partner[text]):
                    best[text], partner[text] = found, other
        if best[text] >= floor:
            fate[text] = NEAR
            continue
        partner[text] = -1
        if twins[text] >= 0:
            kept_twin[twins[text]] = text
        for entry in range(offsets[text], offsets[text + 1]):
            bucket = buckets[entry]
            members[begins[bucket] + filled[bucket]] = text
            filled[bucket] += 1


@_compiled
def line_hashes(words: Array, ends: Array, scopes: Array) -> Array:
    """One 64-bit hash a line, of its words in order and of ``scopes`` (n,) uint64; equal lines of equal scope have equal
    ones.
    """
    found = np.empty(ends.size, np.uint64)
    start = 0
    for line in range(ends.size):
        value = scopes[line]
        for place in range(start, ends[line]):
            value = _mix(value + words[place]) + np.uint64(0x9E3779B97F4A7C15)
        found[line] = _mix(value)
        start = ends[line]
    return found


@_compiled
def repeats(lines: Array, texts: Array, pages: Array, known: Array, known_ends: Array, limit: int) -> tuple[Array, Array]:
    """Which occurrences of lines come after ``limit`` other pages have had them, and the pages of each line.

    ``lines``: (m,) numbers 0, 1, … of lines, sorted, and among equal ones ``texts`` (m,) in judging order; ``pages``: by
    text, the hash of its address. ``known``: pages of older crawls, those of line i end at ``known_ends[i]``. Returns flags
    (m,) bool, and (m,) bool: the occurrences whose page is new to the line in this crawl (at most ``limit + 1`` of each line
    are marked: so many are enough to know, whichever page asks).
    """
    flagged, fresh = np.zeros(lines.size, np.bool_), np.zeros(lines.size, np.bool_)
    seen = np.empty(limit + 1, np.uint64)  # of all crawls, for the line at hand
    own = np.empty(limit + 1, np.uint64)  # of this one
    count = mine = 0
    for place in range(lines.size):
        line = lines[place]
        if place == 0 or lines[place - 1] != line:
            count = mine = 0
            for old in range(known_ends[line - 1] if line > 0 else 0, known_ends[line]):
                if count <= limit and not (seen[:count] == known[old]).any():
                    seen[count] = known[old]
                    count += 1
        page = pages[texts[place]]
        inside = (seen[:count] == page).any()
        flagged[place] = count - (1 if inside else 0) >= limit
        if not inside and count <= limit:
            seen[count] = page
            count += 1
        if mine <= limit and not (own[:mine] == page).any():
            own[mine] = page
            mine += 1
            fresh[place] = True
    return flagged, fresh
