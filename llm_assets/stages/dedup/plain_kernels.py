"""Compiled loops over the bytes of texts, for ``plain``: known characters spelled at once, and white space folded."""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import compiled, decode

Array = npt.NDArray[Any]


@compiled
def spell(data: Array, ends: Array, lower: Array) -> tuple[Array, Array, Array]:
    """Lower case, runs of white space as one space, none at either end: for texts of which every character is known.

    ``lower``: by code point from 0 on, int32: its lower case (32 for white space), or -1 for one that isn't known. Returns the
    bytes, where each text ends (n,) int64, and which texts are known (n,) bool; the others have no bytes.
    """
    found = np.empty(data.size, np.uint8)
    stops, known = np.empty(ends.size, np.int64), np.ones(ends.size, np.bool_)
    filled = position = begin = 0
    for text in range(ends.size):
        end = ends[text]
        spaced = True  # no space is wanted here: at the beginning, or after one
        while position < end:
            first = np.int64(data[position])
            if first < 0x80:  # most bytes; without a branch, since where words end can't be foreseen
                small = lower[first]
                space = small == 0x20
                found[filled] = small
                filled += 1 - (space & spaced)
                spaced = space
                position += 1
                continue
            point, size = decode(data, position)
            if point < lower.size:
                point = np.int64(lower[point])
            # above the table: kana (without the marks that combine), unified ideographs, and Hangul syllables, which compose
            # with letters of the table only
            elif not (
                0x3041 <= point <= 0x3096 or 0x30A1 <= point <= 0x30FA or 0x4E00 <= point < 0x9FD6 or 0xAC00 <= point <= 0xD7A3
            ):
                point = np.int64(-1)
            position += size
            if point < 0:
                known[text] = False
                filled = begin
                position = end
                break
            if point < 0x80:
                found[filled] = point
                filled += 1 - ((point == 0x20) & spaced)
            elif point < 0x800:
                found[filled] = 0xC0 | (point >> 6)
                found[filled + 1] = 0x80 | (point & 0x3F)
                filled += 2
            else:
                found[filled] = 0xE0 | (point >> 12)
                found[filled + 1] = 0x80 | ((point >> 6) & 0x3F)
                found[filled + 2] = 0x80 | (point & 0x3F)
                filled += 3
            spaced = point == 0x20
        filled -= spaced & (filled > begin)
        stops[text] = begin = filled
    return found[:filled], stops, known


@compiled
def woven(known: Array, data: Array, ends: Array, others: Array, other_ends: Array) -> tuple[Array, Array]:
    """Texts in their order again: those that are ``known`` (n,) from ``data`` (``ends``: (n,)), the rest from ``others``."""
    found = np.empty(data.size + others.size, np.uint8)
    stops = np.empty(known.size, np.int64)
    filled = start = other_start = other = 0
    for text in range(known.size):
        if known[text]:
            piece = data[start : ends[text]]
        else:
            piece = others[other_start : other_ends[other]]
            other_start = other_ends[other]
            other += 1
        start = ends[text]
        found[filled : filled + piece.size] = piece
        filled += piece.size
        stops[text] = filled
    return found, stops


@compiled
def _space(data: Array, place: int, end: int) -> int:
    """How many bytes the white space at a place takes (the property White_Space, which is also what \\s matches); 0: none."""
    first = data[place]
    if first == 0x20 or 0x09 <= first <= 0x0D:
        return 1
    if first < 0xC2 or first > 0xE3:
        return 0
    if first == 0xC2:
        return 2 if place + 1 < end and (data[place + 1] == 0x85 or data[place + 1] == 0xA0) else 0
    if place + 2 >= end:
        return 0
    second, third = data[place + 1], data[place + 2]
    general = second == 0x80 and (0x80 <= third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF)
    if first == 0xE2:
        return 3 if general or (second == 0x81 and third == 0x9F) else 0
    if first == 0xE1:
        return 3 if second == 0x9A and third == 0x80 else 0
    return 3 if first == 0xE3 and second == 0x80 and third == 0x80 else 0


@compiled
def fold(data: Array, ends: Array) -> tuple[Array, Array]:
    """The same texts with each run of white space as one space, none at either end; and where each ends."""
    found = np.empty(data.size, np.uint8)
    stops = np.empty(ends.size, np.int64)
    filled = position = begin = 0
    for text in range(ends.size):
        end = ends[text]
        pending = False
        while position < end:
            byte = data[position]
            # most bytes are decided here: the call costs more than all the rest
            size = 1 if byte == 0x20 else 0 if 0x20 < byte < 0xC2 or byte > 0xE3 else _space(data, position, end)
            if size:
                pending = True
                position += size
                continue
            if pending and filled > begin:
                found[filled] = 0x20
                filled += 1
            pending = False
            found[filled] = byte
            filled += 1
            position += 1
        stops[text] = begin = filled
    return found[:filled], stops
