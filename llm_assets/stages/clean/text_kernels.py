"""The loops behind ``standardise`` and the ``junk`` filter: one look at each character."""

from typing import Any

import numpy as np

from llm_assets.lm.compiled import compiled, decode, is_white

# What ``standardise`` does with a character; ``standardise.actions`` says with which.
COPY, SPACE, NEWLINE, PARAGRAPH, DROP, RETURN, UNSURE = 0, 1, 2, 3, 4, 5, 6


@compiled
def standardised(data: Any, bounds: Any, actions: Any) -> tuple[Any, Any, Any]:
    """(bytes, bounds, whether a text may not be in NFC) of n texts.

    ``actions`` (m,) uint8: of the code points below m; those above are copied, and may not be in NFC. Runs of spaces become one
    and go at the ends of lines, runs of newlines become two at most and go at the ends of the text.
    """
    n = bounds.size - 1
    out, ends, unsure = np.empty(data.size + 1, np.uint8), np.zeros(n + 1, np.int64), np.zeros(n, np.bool_)
    filled = 0
    for text in range(n):
        at, stop, origin = bounds[text], bounds[text + 1], filled
        spaced, newlines = False, 0
        while at < stop:
            byte = data[at]
            if byte < 128:
                action, size = actions[byte], 1
            else:
                point, size = decode(data, at)
                action = actions[point] if point < actions.size else UNSURE
            at += size
            if action in (COPY, UNSURE):
                unsure[text] |= action == UNSURE
                if filled > origin:
                    for _ in range(min(newlines, 2)):
                        out[filled] = 10
                        filled += 1
                    if spaced and not newlines:
                        out[filled] = 32
                        filled += 1
                spaced, newlines = False, 0
                for place in range(at - size, at):
                    out[filled] = data[place]
                    filled += 1
            elif action == SPACE:
                spaced = True
            elif action != DROP:
                spaced = False
                newlines += 2 if action == PARAGRAPH else 1
                if action == RETURN and at < stop and data[at] == 10:
                    at += 1
        ends[text + 1] = filled
    return out[:filled], ends, unsure


@compiled
def reach(data: Any, bounds: Any, least: int) -> Any:
    """Whether each of n texts has ``least`` characters, (n,) bool. A run of white space counts one, and none at the ends."""
    n = bounds.size - 1
    out = np.zeros(n, np.bool_)
    for text in range(n):
        at, stop, count, spaced = bounds[text], bounds[text + 1], 0, False
        while at < stop and count < least:
            point, size = decode(data, at)
            at += size
            if point == 32 or 9 <= point <= 13 or is_white(point):
                spaced = count > 0
            else:
                count += 1 + spaced
                spaced = False
        out[text] = count >= least
    return out


# Classes of characters, bits of the table that ``junk.classes`` builds.
WHITE, CONTROL, PRIVATE, SYMBOL, LATIN_TAIL, CYRILLIC_TAIL, QUOTE_TAIL = 1, 2, 4, 8, 16, 32, 64
CHARS, SOLID, REPLACED, CONTROLS, MOJIBAKE, PRIVATES, SYMBOLS = range(7)  # columns of ``signs``


@compiled
def _mojibake(data: Any, at: int, stop: int, point: int, classes: Any) -> int:
    """Bytes after ``at`` that make a sign of a wrong decoder of the character before; 0: they make none."""
    if at >= stop:
        return 0
    second, size = decode(data, at)
    kind = classes[second]
    if point == 0xC3 or point == 0xD0 or point == 0xD1:
        return size if kind & LATIN_TAIL else 0
    if point == 0xC2:
        return size if 0xA0 <= second <= 0xBF and second != 0xAB and second != 0xBB else 0
    if point == 0x420 or point == 0x421:
        return size if kind & CYRILLIC_TAIL else 0
    if point == 0xF0:
        return size if second == 0x178 or second == 0x9F else 0
    if at + size >= stop:
        return 0
    third, more = decode(data, at + size)
    found = False
    if point == 0xE2:
        if second == 0x20AC:
            found = classes[third] & QUOTE_TAIL != 0
        elif second == 0x80:
            found = 0x90 <= third <= 0xBF
    elif point == 0xEF:
        found = (second == 0xBB and third == 0xBF) or (second == 0xBF and third == 0xBD)
    return size + more if found else 0


@compiled
def signs(data: Any, bounds: Any, classes: Any) -> Any:
    """Counts of n texts, (n, 7) int64, by the columns above. ``classes`` (0x110000,) uint8."""
    n = bounds.size - 1
    out = np.zeros((n, 7), np.int64)
    for text in range(n):
        at, stop = bounds[text], bounds[text + 1]
        chars = solid = controls = mojibake = privates = symbols = replaced = 0
        skip = at  # what stands before it is part of a sign already
        while at < stop:
            byte = data[at]
            if byte < 128:
                kind = classes[byte]
                at += 1
            else:
                point, size = decode(data, at)
                kind = classes[point]
                at += size
                replaced += point == 0xFFFD
                symbols += (kind & SYMBOL) >> 3
                privates += (kind & PRIVATE) >> 2
                if at > skip and (0xC2 <= point <= 0xF0 or point == 0x420 or point == 0x421):
                    more = _mojibake(data, at, stop, point, classes)
                    if more:
                        mojibake += 1
                        skip = at + more
            chars += 1
            solid += 1 - (kind & WHITE)
            controls += (kind & CONTROL) >> 1
        out[text, 0], out[text, 1], out[text, 2], out[text, 3] = chars, solid, replaced, controls
        out[text, 4], out[text, 5], out[text, 6] = mojibake, privates, symbols
    return out
