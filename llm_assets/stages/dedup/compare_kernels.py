"""The compiled loops of judging: similarity measured on sets of shingles, against older crawls and within one."""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import compiled

Array = npt.NDArray[Any]

KEPT, EXACT, NEAR, SET_ASIDE = 0, 1, 2, 3  # the fate of a text; those set aside are looked at by nobody


@compiled
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


@compiled
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


@compiled
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
