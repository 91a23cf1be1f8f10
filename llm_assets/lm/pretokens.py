"""Splitting text into the pieces that byte-level BPE merges within, and counting them, compiled by numba.

The pieces are exactly those of ``tokenizer.PATTERN``. A regular expression tries its alternatives at every character; here
each character's class is looked up once and the alternatives are decided by hand. Which code points are letters, numbers and
spaces is asked of the tokenizers library itself (its Unicode tables are newer than Python's), so no piece differs; a test holds
that on every code point.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import compiled, decode

Array = npt.NDArray[Any]

_SHORT = 7  # bytes of a piece that is its own key
_OTHER, _LETTER, _NUMBER, _SPACE, _NEWLINE = 0, 1, 2, 3, 4
_POINTS = 0x110000
_ASKED = 0x34000  # no letter, number or space lies above (Unicode 17 ends at 0x33479)
_SURROGATES = range(0xD800, 0xE000)


@cache
def classes() -> Array:
    """(0x110000,) uint8: the class of each code point, as the tokenizers library sees it."""
    from tokenizers import Regex, pre_tokenizers

    points = [point for point in range(_ASKED) if point not in _SURROGATES]
    text = "".join(map(chr, points))
    found = np.zeros(len(points), np.uint8)
    for kind, pattern in ((_LETTER, r"\p{L}+"), (_NUMBER, r"\p{N}+"), (_SPACE, r"\s+"), (_NEWLINE, r"[\r\n]+")):
        matched = np.ones(len(points), bool)
        for _, (first, end) in pre_tokenizers.Split(Regex(pattern), behavior="removed").pre_tokenize_str(text):
            matched[first:end] = False
        found[matched] = kind
    table = np.zeros(_POINTS, np.uint8)
    table[points] = found
    return table


@compiled
def _contraction(text: Any, at: Any, end: Any) -> Any:
    """End of 's 't 'm 'd 're 've 'll (any case) at an apostrophe, or ``at``. Setting bit 5 makes ASCII letters small."""
    if at + 1 < end:
        one = text[at + 1] | 32
        if one == 115 or one == 116 or one == 109 or one == 100:
            return at + 2
        if at + 2 < end:
            two = text[at + 2] | 32
            if (two == 101 and (one == 114 or one == 118)) or (one == 108 and two == 108):
                return at + 3
    return at


@compiled
def _run(text: Any, at: Any, end: Any, table: Any, kind: Any) -> Any:
    """Where a run of one class ends."""
    while at < end:
        point, width = decode(text, at)
        if table[point] != kind:
            break
        at += width
    return at


@compiled
def _spaces(text: Any, at: Any, end: Any, table: Any) -> Any:
    """End of the piece at a space: the run's last newline, or the end of a run that ends the text, or before its last."""
    place, last, newline = at, at, -1
    while place < end:
        point, width = decode(text, place)
        if table[point] < _SPACE:
            break
        last = place
        place += width
        if table[point] == _NEWLINE:
            newline = place
    if newline >= 0:
        return newline
    return place if place == end or last == at else last


@compiled
def _piece(text: Any, at: Any, end: Any, table: Any) -> Any:
    """End of the piece that starts at a byte."""
    point, width = decode(text, at)
    kind = table[point]
    if point == 39:
        short = _contraction(text, at, end)
        if short > at:
            return short
    if kind == _LETTER:
        return _run(text, at + width, end, table, _LETTER)
    if kind == _NUMBER:
        return at + width
    after = _OTHER if at + width >= end else table[decode(text, at + width)[0]]
    is_last = at + width >= end
    if kind != _NEWLINE and not is_last and after == _LETTER:
        return _run(text, at + width, end, table, _LETTER)
    if kind == _OTHER or (point == 32 and not is_last and after == _OTHER):
        marks = _run(text, at + width, end, table, _OTHER)
        return _run(text, marks, end, table, _NEWLINE)
    return _spaces(text, at, end, table)


@compiled
def pieces(text: Any, table: Any) -> Any:
    """Ends of the pieces of one text (UTF-8 as uint8)."""
    ends = np.empty(text.size, np.int64)
    count, at = 0, 0
    while at < text.size:
        at = _piece(text, at, text.size, table)
        ends[count] = at
        count += 1
    return ends[:count].copy()


@compiled
def _larger(values: Any, size: Any) -> Any:
    grown = np.zeros(size, values.dtype)
    grown[: values.size] = values
    return grown


@compiled
def _key(text: Any, at: Any, size: Any) -> Any:
    """Of a piece of up to seven bytes these and their number; of a longer one a hash (FNV-1a, mixed), its highest bit set."""
    key = np.uint64(0)
    if size <= _SHORT:
        for place in range(at, at + size):
            key = key << np.uint64(8) | np.uint64(text[place])
        return key | np.uint64(size) << np.uint64(56)
    for place in range(at, at + size):
        key = (key ^ np.uint64(text[place])) * np.uint64(0x100000001B3)
    key = (key ^ (key >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return key ^ (key >> np.uint64(32)) | np.uint64(1 << 63)


@compiled
def _place(key: Any, size: Any) -> Any:
    """Where a key's search begins in a table of ``size`` slots."""
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(size - 1))


@compiled
def _rebuilt(slots: Any) -> Any:
    """A table of keys and words twice as large."""
    grown = np.zeros((2 * slots.shape[0], 2), np.uint64)
    for old in range(slots.shape[0]):
        if slots[old, 0]:
            slot = _place(slots[old, 0], grown.shape[0])
            while grown[slot, 0]:
                slot = (slot + 1) & (grown.shape[0] - 1)
            grown[slot, 0], grown[slot, 1] = slots[old, 0], slots[old, 1]
    return grown


@compiled
def _equal(letters: Any, first: Any, text: Any, at: Any, size: Any) -> Any:
    same = True
    for place in range(size):
        if letters[first + place] != text[at + place]:
            same = False
            break
    return same


@compiled
def _add(text: Any, ends: Any, weights: Any, table: Any, letters: Any, starts: Any, counts: Any, slots: Any, n: Any) -> Any:
    """Count the pieces of texts laid end to end. ``starts`` has one more entry than there are words."""
    first = 0
    for number in range(ends.size):
        end = ends[number]
        at = first
        while at < end:
            after = end if weights.size else _piece(text, at, end, table)
            weight = weights[number] if weights.size else 1
            size = after - at
            key = _key(text, at, size)
            slot = _place(key, slots.shape[0])
            found = -1
            while slots[slot, 0]:
                if slots[slot, 0] == key:
                    word = int(np.int64(slots[slot, 1]))
                    if size <= _SHORT or (
                        starts[word + 1] - starts[word] == size and _equal(letters, starts[word], text, at, size)
                    ):
                        found = word
                        break
                slot = (slot + 1) & (slots.shape[0] - 1)
            if found >= 0:
                counts[found] += weight
            else:
                if starts[n] + size > letters.size:
                    letters = _larger(letters, 2 * letters.size + size)
                if n + 2 > counts.size:
                    counts, starts = _larger(counts, 2 * counts.size), _larger(starts, 2 * starts.size)
                for place in range(size):
                    letters[starts[n] + place] = text[at + place]
                starts[n + 1] = starts[n] + size
                counts[n] = weight
                slots[slot, 0], slots[slot, 1] = key, np.uint64(n)
                n += 1
                if 2 * n > slots.shape[0]:
                    slots = _rebuilt(slots)
            at = after
        first = end
    return letters, starts, counts, slots, n


class _Table:
    """The distinct pieces that one thread has met."""

    def __init__(self) -> None:
        self.n = 0
        self.letters = np.zeros(1 << 20, np.uint8)
        self.starts = np.zeros(1 << 16, np.int64)
        self.counts = np.zeros(1 << 16, np.int64)
        self.slots = np.zeros((1 << 18, 2), np.uint64)  # key and number of a piece; no key is 0, since no piece is empty

    def add(self, letters: Array, ends: Array, weights: Array) -> None:
        """Count pieces of texts laid end to end (no ``weights``), or take each for one piece that was met so often."""
        self.letters, self.starts, self.counts, self.slots, self.n = _add(
            letters, ends, weights, classes(), self.letters, self.starts, self.counts, self.slots, self.n
        )

    def add_texts(self, texts: Sequence[str]) -> None:
        encoded = [text.encode() for text in texts]
        ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
        if ends.size and ends[-1]:
            self.add(np.frombuffer(bytearray().join(encoded), np.uint8), ends, np.empty(0, np.int64))

    def words(self) -> tuple[Array, Array, Array]:
        return self.letters[: self.starts[self.n]], self.starts[: self.n + 1], self.counts[: self.n]


class PieceCounter:
    """Distinct pieces of many texts and how often each occurs. Memory follows the distinct pieces, not the texts."""

    def __init__(self, threads: int = 1) -> None:
        self._tables = [_Table() for _ in range(max(1, threads))]

    def add(self, texts: Sequence[str]) -> None:
        """Count the pieces of each text; a piece never spans two."""
        classes()  # before the threads ask for it all at once
        share = -(-len(texts) // len(self._tables)) or 1
        with ThreadPoolExecutor(len(self._tables)) as pool:
            parts = [texts[first : first + share] for first in range(0, len(texts), share)]
            list(pool.map(lambda table, part: table.add_texts(part), self._tables, parts))

    def words(self) -> tuple[Array, Array, Array]:
        """(bytes of all pieces laid end to end, start of each and end of the last, count of each)."""
        for other in self._tables[1:]:
            letters, starts, counts = other.words()
            self._tables[0].add(letters, starts[1:], counts)
        del self._tables[1:]
        return self._tables[0].words()
