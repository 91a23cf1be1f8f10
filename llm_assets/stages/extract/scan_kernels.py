"""The compiled loop of ``scan``: a serialised page → its tags, and the attributes that say what an element is."""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import compiled
from llm_assets.stages.extract.tags import (
    CUSTOM,
    IS_BREAK,
    IS_INLINE,
    IS_NOTED,
    IS_RAW,
    IS_SMALL,
    IS_TEXT,
    NOTHING,
    SLOTS,
    STYLE,
    UNKNOWN,
)

Array = npt.NDArray[Any]

_LESS, _GREATER, _SLASH, _BANG, _QUESTION, _HYPHEN, _EQUALS, _QUOTE = 60, 62, 47, 33, 63, 45, 61, 34
_FNV_START, _FNV_FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


@compiled
def is_blank(byte: Any) -> Any:
    """White space as HTML has it."""
    return byte == 32 or 9 <= byte <= 13


@compiled
def _find(data: Array, at: int, end: int, wanted: int) -> int:
    while at < end and data[at] != wanted:
        at += 1
    return at


@compiled
def find_word(data: Array, at: int, word: Array, skips: Array) -> int:
    """Where a word begins from ``at`` on, or -1 (Horspool 1980, "Practical fast searching in strings").

    ``skips``: (256,) how far the word may be moved on when a byte stands under its end. Three times as fast as Python's own.
    """
    last = word.size - 1
    while at + last < data.size:
        byte = data[at + last]
        if byte == word[last]:
            same = 0
            while same < last and data[at + same] == word[same]:
                same += 1
            if same == last:
                return at
        at += skips[byte]
    return -1


@compiled
def _comment_end(data: Array, at: int, end: int) -> int:
    """Where ``-->`` ends from ``at`` on; ``end`` if it never does."""
    while at + 2 < end:
        if data[at] == _HYPHEN and data[at + 1] == _HYPHEN and data[at + 2] == _GREATER:
            return at + 3
        at += 1
    return end


@compiled
def _number(hashes: Array, numbers: Array, value: Any, hyphen: bool) -> int:
    slot = np.int64(value % np.uint64(SLOTS))
    while numbers[slot]:
        if hashes[slot] == value:
            return int(numbers[slot])
        slot = (slot + 1) % SLOTS
    return CUSTOM if hyphen else UNKNOWN


@compiled
def _closes(data: Array, at: int, end: int, name: int, length: int) -> bool:
    """Whether the closing tag of the name that stands at ``name`` is at ``at``."""
    if at + length + 3 > end or data[at + 1] != _SLASH or data[at + 2 + length] != _GREATER:
        return False
    differs = 0
    for place in range(length):
        differs += 1 if data[at + 2 + place] != data[name + place] else 0
    return differs == 0


@compiled
def _text_end(data: Array, at: int, end: int, name: int, length: int) -> int:
    """Where the closing tag of an element ends that holds text alone, from ``at`` on; -1 if there is none."""
    at = _find(data, at, end, _LESS)
    while at < end:
        if _closes(data, at, end, name, length):
            return at + length + 3
        at = _find(data, at + 1, end, _LESS)
    return -1


@compiled
def _name(data: Array, at: int, end: int) -> Any:
    """The hash of the name that begins at ``at``, where it ends, and whether it has a hyphen."""
    value = _FNV_START
    hyphen = False
    while at < end and data[at] != _GREATER and data[at] != _SLASH and not is_blank(data[at]):
        value = (value ^ np.uint64(data[at])) * _FNV_FACTOR
        hyphen = hyphen or data[at] == _HYPHEN
        at += 1
    return value, at, hyphen


@compiled
def _element_end(
    data: Array, at: int, end: int, name: int, length: int, tag: int, hashes: Array, numbers: Array, flags: Array
) -> int:
    """Where the closing tag of an element ends that may hold others, its like among them; -1 if there is none."""
    depth = 1
    at = _find(data, at, end, _LESS)
    while at < end:
        after = at + 1
        if _closes(data, at, end, name, length):
            depth -= 1
            if depth == 0:
                return at + length + 3
        elif at + 3 < end and data[at + 1] == _BANG and data[at + 2] == _HYPHEN and data[at + 3] == _HYPHEN:
            after = _comment_end(data, at + 4, end)
        elif after < end and 97 <= data[after] <= 122:
            value, stop, hyphen = _name(data, after, end)
            other = _number(hashes, numbers, value, hyphen)
            if other == tag:
                depth += 1
            elif flags[other] & IS_TEXT:
                after = max(after, _text_end(data, stop, end, after, stop - after))
        at = _find(data, after, end, _LESS)
    return -1


@compiled
def _attributes(data: Array, at: int, end: int, wanted: bool, known: Array, buffer: Array, used: int) -> Any:
    """Read the attributes from ``at`` on. Returns the place after the tag's ">", and the bytes of ``buffer`` used.

    What is ``wanted`` of them is copied there, as it stands: those of ``known`` names, or all of them where there is a style.
    """
    begin, start = at, used
    styled = False
    while at < end and data[at] != _GREATER:
        if is_blank(data[at]) or data[at] == _SLASH:
            at += 1
            continue
        name = at
        value = _FNV_START
        while at < end and data[at] != _GREATER and not (data[at] == _EQUALS and at + 1 < end and data[at + 1] == _QUOTE):
            if is_blank(data[at]):
                break
            value = (value ^ np.uint64(data[at])) * _FNV_FACTOR
            at += 1
        if at < end and data[at] == _EQUALS:
            at = _find(data, at + 2, end, _QUOTE) + 1
        if wanted and not styled:
            for number in range(known.size):
                if known[number] == value:
                    styled = number + 1 == STYLE
                    buffer[used] = 32
                    for place in range(name, min(at, end)):
                        buffer[used + 1 + place - name] = data[place]
                    used += 1 + min(at, end) - name
                    break
    if styled:
        used = start
        for place in range(begin, min(at, end)):
            buffer[used] = data[place]
            used += 1
    return min(at + 1, end), used


@compiled
def scan(data: Array, hashes: Array, numbers: Array, known: Array, flags: Array, most: int) -> Any:
    """The tags of a page as a parser serialises it: lower case, balanced, attributes as ``name="value"``.

    ``data``: its bytes; ``most``: more than it has "<". Returns, by tag, ``tags`` (a number, negative where it closes),
    ``starts`` and ``ends`` in ``data``, ``keys`` (which of the distinct attributes it has, -1 for none that matter); by key
    ``key_tags`` and ``key_ends`` in ``buffer``, where the attributes that matter stand one after another; the places of the
    tags that are noted (those of the head, and <h1>); and how many tags break lines. A comment, and an element that is left
    out whole, is one tag ``NOTHING``.
    """
    end = data.size
    tags, keys = np.empty(most, np.int64), np.empty(most, np.int64)
    starts, ends = np.empty(most, np.int64), np.empty(most, np.int64)
    noted = np.empty(most, np.int64)
    key_tags, key_ends, key_hashes = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
    buffer = np.empty(2 * end + 16, np.uint8)
    slots = 16
    while slots < 2 * most:
        slots *= 2
    table = np.full(slots, -1, np.int64)
    count = found = used = breaks = notes = 0
    at = _find(data, 0, end, _LESS)
    while at < end:
        start = at
        closing = at + 1 < end and data[at + 1] == _SLASH
        name = at + 2 if closing else at + 1
        if name >= end or not (97 <= (data[name] | 32) <= 122):
            if name < end and (data[name] == _BANG or data[name] == _QUESTION):
                comment = name + 2 < end and data[name + 1] == _HYPHEN and data[name + 2] == _HYPHEN
                at = _comment_end(data, name + 3, end) if comment else min(_find(data, name, end, _GREATER) + 1, end)
                tags[count], starts[count], ends[count], keys[count] = NOTHING, start, at, -1
                count += 1
                at = _find(data, at, end, _LESS)
            else:  # in text that a parser leaves as it is
                at = _find(data, at + 1, end, _LESS)
            continue
        value, at, hyphen = _name(data, name, end)
        length = at - name
        tag = _number(hashes, numbers, value, hyphen)
        is_a = flags[tag]
        key = -1
        if at < end and data[at] == _GREATER:
            at += 1
        else:
            before = used
            wanted = not closing and not is_a & IS_RAW and (is_a & IS_SMALL != 0 or not is_a & IS_INLINE)
            at, used = _attributes(data, at, end, wanted, known, buffer, used)
            if used > before:
                own = _FNV_START ^ np.uint64(tag)
                for place in range(before, used):
                    own = (own ^ np.uint64(buffer[place])) * _FNV_FACTOR
                slot = np.int64(own % np.uint64(slots))
                while table[slot] >= 0 and key_hashes[table[slot]] != own:
                    slot = (slot + 1) % slots
                if table[slot] < 0:
                    table[slot] = found
                    key_tags[found], key_ends[found], key_hashes[found] = tag, used, own
                    found += 1
                else:
                    used = before
                key = table[slot]
        if is_a & IS_RAW and not closing:
            if is_a & IS_TEXT:
                whole = _text_end(data, at, end, name, length)
            else:
                whole = _element_end(data, at, end, name, length, tag, hashes, numbers, flags)
            if whole >= 0:
                at, tag = whole, NOTHING
        breaks += 1 if is_a & IS_BREAK else 0
        if is_a & IS_NOTED:
            noted[notes] = count
            notes += 1
        tags[count], starts[count], ends[count], keys[count] = -tag if closing else tag, start, at, key
        count += 1
        at = _find(data, at, end, _LESS)
    return (
        tags[:count],
        starts[:count],
        ends[:count],
        keys[:count],
        key_tags[:found],
        key_ends[:found],
        buffer[:used],
        noted[:notes],
        breaks,
    )
