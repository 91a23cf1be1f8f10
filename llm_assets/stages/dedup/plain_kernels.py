"""Compiled loops over the bytes of texts, for ``plain``: which texts NFKC may change, and white space folded."""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.stages.dedup.kernels import compiled

Array = npt.NDArray[Any]


@compiled
def may_change(data: Array, ends: Array, stable: Array) -> Array:
    """Whether a text holds a character that is not known to be stable: (n,) bool. ``stable``: by code point, from 0 on."""
    found = np.zeros(ends.size, np.bool_)
    position = 0
    for text in range(ends.size):
        while position < ends[text]:
            first = np.int64(data[position])
            if first < 0x80:
                position += 1
                continue
            size = 2 if first < 0xE0 else 3 if first < 0xF0 else 4
            point = first & (0xFF >> (size + 1))
            for offset in range(1, size):
                point = (point << 6) | (np.int64(data[position + offset]) & 0x3F)
            position += size
            if point < stable.size:
                known = stable[point]
            else:  # kana (without the marks that combine) and unified ideographs
                known = 0x3041 <= point <= 0x3096 or 0x30A1 <= point <= 0x30FA or 0x4E00 <= point < 0x9FD6
            if not known:
                found[text] = True
                position = ends[text]
    return found


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
    return found[:filled].copy(), stops
