"""The loop behind ``c4``: bytes → lines → what is left of each text, and what its pages are judged by; one pass."""

from typing import Any

import numpy as np

from llm_assets.lm.compiled import compiled, decode
from llm_assets.stages.clean.filters.kernels import LETTER, NUMBER, SPACE

LOREM, CURLY, SENTENCES, EDITED = 0, 1, 2, 3  # columns of ``clean``'s counts


@compiled
def found_at(data: Any, at: int, stop: int, words: Any, bounds: Any) -> int:
    """Which of the listed lower-case ASCII strings begins at byte ``at``, in any case of letters; -1: none does."""
    for number in range(bounds.size - 1):
        size = bounds[number + 1] - bounds[number]
        if at + size > stop:
            continue
        same = True
        for place in range(size):
            byte = data[at + place]
            if 65 <= byte <= 90:
                byte += np.uint8(32)
            if byte != words[bounds[number] + place]:
                same = False
                break
        if same:
            return number
    return -1


@compiled
def citation(data: Any, at: int, stop: int, marks: Any, mark_bounds: Any) -> int:
    """Bytes of the citation mark that begins at ``at``: brackets with or without a number, or a listed mark; 0: none does."""
    end = at + 1
    while end < stop and 48 <= data[end] <= 57:
        end += 1
    if end < stop and data[end] == 93:
        return end + 1 - at
    number = found_at(data, at, stop, marks, mark_bounds)
    return mark_bounds[number + 1] - mark_bounds[number] if number >= 0 else 0


@compiled
def listed_in(points: Any, point: int) -> bool:
    """Whether a code point is listed."""
    found = False
    for number in range(points.size):
        found |= points[number] == point
    return found


@compiled
def clean(
    data: Any,
    bounds: Any,
    classes: Any,
    limits: Any,
    marks: Any,
    mark_bounds: Any,
    listed: Any,
    listed_bounds: Any,
    opens: Any,
    line_ends: Any,
    sentence_ends: Any,
    closers: Any,
) -> tuple[Any, Any, Any]:
    """(bytes, bounds, counts (n, 4)) of n texts after C4's rules on lines; a standardised text without such a line stays.

    ``limits``: most characters of a word, least words of a line (0: off), whether citation marks go, whether unterminated
    lines go. ``listed``: "lorem ipsum" first, "javascript" next, then policies; ``opens`` (256,): bit 0, which bytes begin
    one; bit 1, which stand second.
    """
    max_word, min_words, cite, terminated = limits
    n = bounds.size - 1
    out, ends, counts = np.empty(data.size + 1, np.uint8), np.zeros(n + 1, np.int64), np.zeros((n, 4), np.int64)
    filled = 0
    for text in range(n):
        origin, stop = filled, bounds[text + 1]
        row = counts[text]
        blank = False
        start = bounds[text]
        while start <= stop:
            end = start
            while end < stop and data[end] != 10:
                end += 1
            before = filled
            if filled > origin:
                out[filled] = 10
                filled += 1
                if blank:
                    out[filled] = 10
                    filled += 1
            line = filled
            # White space around the line goes; words are counted before citation marks are taken out.
            n_words = word = longest = 0
            begun, solid, at = False, line, start
            while at < end:
                byte = data[at]
                if byte < 128 and classes[byte] & (LETTER | NUMBER):  # most bytes
                    n_words += word == 0
                    word += 1
                    longest = max(longest, word)
                    out[filled] = byte
                    filled += 1
                    at += 1
                    begun, solid = True, filled
                    continue
                point, size = decode(data, at)
                if classes[point] & SPACE:
                    word = 0
                    if not begun or filled == origin:
                        at += size
                        continue
                else:
                    begun = True
                    n_words += word == 0
                    word += 1
                    longest = max(longest, word)
                    if cite and point == 91:
                        mark = citation(data, at, end, marks, mark_bounds)
                        if mark:
                            row[EDITED] = 1
                            for place in range(at + 1, at + mark):
                                n_words += word == 0 and data[place] != 32
                                word = word + 1 if data[place] != 32 else 0
                                longest = max(longest, word)
                            at += mark
                            solid = max(solid, filled)
                            continue
                for place in range(size):
                    out[filled + place] = data[at + place]
                filled += size
                at += size
                if word:
                    solid = filled
            filled = solid
            dropped = (max_word and longest > max_word) or n_words < min_words
            last = tail = dots = 0
            lorem = scripted = policy = curly = False
            sentences = state = 0
            at = line
            while at < filled and not dropped:
                if opens[out[at]] & 1 and at + 1 < filled and opens[out[at + 1]] & 2:
                    number = found_at(out, at, filled, listed, listed_bounds)
                    lorem |= number == 0
                    scripted |= number == 1
                    policy |= number > 1
                point, size = decode(out, at)
                at += size
                kind = classes[point]
                if kind & (LETTER | NUMBER):
                    last, state, dots, tail = point, 0, 0, 0
                    continue
                curly |= point == 123
                if kind & SPACE:
                    sentences += state > 0
                    state = dots = 0
                    continue
                dots = dots + 1 if point == 46 else 0
                last, tail = point, dots
                if listed_in(sentence_ends, point):
                    state = 1
                elif not (state and listed_in(closers, point)):
                    state = 0
            sentences += state > 0
            if terminated and (tail >= 3 or not listed_in(line_ends, last)):
                dropped = True
            if not dropped:
                row[LOREM] |= lorem
                row[CURLY] |= curly and not scripted
                dropped = scripted or policy
            if dropped:
                row[EDITED] = 1
                filled = before
            elif filled == line:
                blank = True
                filled = before
            else:
                blank = False
                row[SENTENCES] += sentences
            start = end + 1
        while filled > origin and (out[filled - 1] == 32 or out[filled - 1] == 10):
            filled -= 1
        if filled - origin != stop - bounds[text]:
            row[EDITED] = 1
        ends[text + 1] = filled
    return out[:filled], ends, counts
