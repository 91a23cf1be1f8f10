"""The compiled loops that turn the characters of a block into its text: white space, entities, links and code marks.

Links and inline code are single characters in what is read (``LINK`` and the like), which pages can't hold: HTML forbids them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import borrowing, decode
from llm_assets.lm.compiled import is_white as is_wide_white

Array = npt.NDArray[Any]

LINK, LINK_END, TICK, TICK_END, BREAK = 1, 2, 3, 4, 11
_SPACE, _LINE, _TAB, _AND, _SEMICOLON = 32, 10, 9, 38, 59
_TAB_WIDTH = 4
_NBSP = 0xA0
# The signs of links that lead to the heading they stand in: § ¶ # ^ ↩ ↑ 🔗
_ANCHORS = (0xA7, 0xB6, 0x23, 0x5E, 0x21A9, 0x2191, 0x1F517)


@borrowing
def is_white(point: Any) -> Any:
    """White space as ``str.split`` has it."""
    if point < 0x80:
        return point == 32 or 9 <= point <= 13 or 28 <= point <= 31
    return is_wide_white(point)


@borrowing
def character(raw: Array, at: int, end: int) -> Any:
    """The code point at ``at``, and how many bytes it takes there; an entity that a serialised text can have is one."""
    first = raw[at]
    if first != _AND:
        return decode(raw, at)
    if at + 3 < end and raw[at + 3] == _SEMICOLON and raw[at + 2] == 116:  # &lt; &gt;
        if raw[at + 1] == 108:
            return np.int64(60), 4
        if raw[at + 1] == 103:
            return np.int64(62), 4
    if at + 4 < end and raw[at + 4] == _SEMICOLON and raw[at + 1] == 97 and raw[at + 2] == 109 and raw[at + 3] == 112:
        return np.int64(_AND), 5
    if at + 5 < end and raw[at + 5] == _SEMICOLON:
        if raw[at + 1] == 110 and raw[at + 2] == 98 and raw[at + 3] == 115 and raw[at + 4] == 112:
            return np.int64(_NBSP), 6
        if raw[at + 1] == 113 and raw[at + 2] == 117 and raw[at + 3] == 111 and raw[at + 4] == 116:
            return np.int64(34), 6
    return np.int64(_AND), 1


@borrowing
def _put(raw: Array, at: int, size: int, point: Any, out: Array, used: int) -> int:
    """Write one character; of an entity, what it stands for. Returns the bytes of ``out`` used."""
    if raw[at] != _AND:
        for place in range(size):
            out[used + place] = raw[at + place]
        return used + size
    if point == _NBSP:
        out[used], out[used + 1] = 0xC2, 0xA0
        return used + 2
    out[used] = point
    return used + 1


@borrowing
def _anchor_end(raw: Array, at: int, end: int) -> int:
    """Where a link to its own heading ends that begins at ``at``; -1 where none does."""
    at += 1
    while at < end and is_white(np.int64(raw[at])) and raw[at] != BREAK:
        at += 1
    if at < end and raw[at] != LINK_END and raw[at] > BREAK:
        point, size = decode(raw, at)
        for sign in _ANCHORS:
            if point == sign:
                at += size
                break
        while at < end and is_white(np.int64(raw[at])) and raw[at] != BREAK:
            at += 1
    return at + 1 if at < end and raw[at] == LINK_END else -1


@borrowing
def _plain_end(raw: Array, at: int, end: int) -> int:
    """Where the characters end, from ``at`` on, that are ASCII, not white, and stand for themselves."""
    while at < end and 32 < raw[at] < 128 and raw[at] != _AND:
        at += 1
    return at


@borrowing
def flow(raw: Array, end: int, ticks: bool, heading: bool, out: Array, used: int) -> Any:
    """Running text: one blank for white space, one line end for ``BREAK`` (a blank in a heading), "`" around code.

    ``raw[:end]``: UTF-8 with marks. Written to ``out`` from ``used`` on. Returns bytes used, characters, those in links,
    blanks.
    """
    chars = linked = blanks = 0
    in_link = blank = inside = line = after_link = False  # ``inside``: of a link is the blank
    at = 0
    while at < end:
        byte = raw[at]
        if byte == LINK:
            after = _anchor_end(raw, at, end)
            if after >= 0:
                at = after
                continue
            blank = blank or after_link
            in_link, after_link = True, False
            at += 1
            continue
        if byte == LINK_END:
            in_link, after_link = False, True
            at += 1
            continue
        after_link = False
        if byte == BREAK:
            blank, line = blank or heading, line or not heading
            at += 1
            continue
        point, size = np.int64(byte), 1
        if byte in (TICK, TICK_END):
            if not ticks:
                at += 1
                continue
            point = np.int64(96)
        elif byte >= 0x80 or byte == _AND:
            point, size = character(raw, at, end)
        if is_white(point):
            blank, inside = True, in_link
            at += size
            continue
        if line or blank:
            if chars:
                out[used] = _LINE if line else _SPACE
                used += 1
                chars += 1
                blanks += 0 if line else 1
                linked += inside
            line = blank = inside = False
        if point == 96 and size == 1:
            out[used] = 96
            used += 1
        else:
            used = _put(raw, at, size, point, out, used)
        at += size
        plain = _plain_end(raw, at, end)
        length = plain - at
        for place in range(length):
            out[used + place] = raw[at + place]
        used, at = used + length, plain
        chars += 1 + length
        linked += (1 + length) * in_link
    return used, chars, linked, blanks


@borrowing
def code(raw: Array, end: int, out: Array, used: int) -> Any:
    """Code as it stands: tabs to columns of four, no white space at line ends, no empty lines around.

    Returns bytes used, characters, those in links.
    """
    chars = linked = column = lines = 0
    begun = kept = used
    kept_chars = 0  # those up to the last character that isn't white; ``lines``: line ends since then
    in_link = False
    at = 0
    while at < end:
        byte = raw[at]
        if byte <= TICK_END:
            in_link = byte == LINK or (in_link and byte != LINK_END)
            at += 1
            continue
        point, size = character(raw, at, end)
        if point == _LINE:
            used, chars, column = kept, kept_chars, 0  # what is white at the end of the line goes
            lines += 1
            if kept > begun:
                out[used : used + lines] = _LINE
                used += lines
                chars += lines
        elif point == _TAB:
            width = _TAB_WIDTH - column % _TAB_WIDTH
            out[used : used + width] = _SPACE
            used += width
            chars += width
            column += width
        else:
            if point == _NBSP:
                out[used] = _SPACE
                used += 1
            else:
                used = _put(raw, at, size, point, out, used)
            chars += 1
            column = 0 if point == 13 else column + 1
            at += size
            if not is_white(point):
                plain = _plain_end(raw, at, end)
                length = plain - at
                for place in range(length):
                    out[used + place] = raw[at + place]
                used, at = used + length, plain
                chars, column = chars + length, column + length
                kept, kept_chars, lines = used, chars, 0
                linked += (1 + length) * in_link
            continue
        at += size
    return kept, kept_chars, linked
