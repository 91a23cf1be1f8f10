"""The compiled loops of ``lines``: a hash for each line, and which pages come after too many others that have it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import compiled, mix

Array = npt.NDArray[Any]


@compiled
def line_hashes(words: Array, ends: Array, scopes: Array) -> Array:
    """One 64-bit hash a line, of its words in order and of ``scopes`` (n,) uint64; equal lines of equal scope have equal
    ones.
    """
    found = np.empty(ends.size, np.uint64)
    start = 0
    for line in range(ends.size):
        value = scopes[line]
        for place in range(start, ends[line]):
            value = mix(value + words[place]) + np.uint64(0x9E3779B97F4A7C15)
        found[line] = mix(value)
        start = ends[line]
    return found


@compiled
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
