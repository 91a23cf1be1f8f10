"""The compiled part of ``choice``: which blocks are in no furniture, which element holds the text, which lines are links.

Rules and thresholds are explained in ``choice``; weights are in quarters of a character here.
"""

from typing import Any, NamedTuple

import numpy.typing as npt

from llm_assets.lm.compiled import borrowing
from llm_assets.stages.extract import reader_state as R
from llm_assets.stages.extract import tags as T

Array = npt.NDArray[Any]


class Thresholds(NamedTuple):
    """See ``choice``, which gives them."""

    furniture_share: float
    notice_weight: float
    remarks_left_share: float
    remarks_left_weight: float
    main_share: float
    core_share: float
    twin_weight: float
    long_prose_weight: float
    min_share: float
    bare_words: int
    bare_link_share: float
    text_link_share: float
    text_words: int


class Scratch(NamedTuple):
    """Room to work in. ``keep``, ``again``: by block; ``sums``: by block and one more; ``order``, ``merged``: by region."""

    keep: Array
    again: Array
    sums: Array
    order: Array
    merged: Array


@borrowing
def _after(regions: Array, one: int, other: int) -> bool:
    """Whether a region is judged after another: remarks last, then the shorter ones."""
    one_last, other_last = regions[one, R.R_KIND] == R.HINT_REMARKS, regions[other, R.R_KIND] == R.HINT_REMARKS
    if one_last != other_last:
        return bool(one_last)
    one_size = regions[one, R.R_END] - regions[one, R.R_START]
    return bool(one_size < regions[other, R.R_END] - regions[other, R.R_START])


@borrowing
def _sort(regions: Array, count: int, order: Array, merged: Array) -> None:
    """The order in which regions are judged, equal ones as they stand: a merge sort."""
    for place in range(count):
        order[place] = place
    width = 1
    while width < count:
        for begin in range(0, count, 2 * width):
            left, middle = begin, min(begin + width, count)
            right, end = middle, min(begin + 2 * width, count)
            for place in range(begin, end):
                if right >= end or (left < middle and not _after(regions, order[left], order[right])):
                    merged[place] = order[left]
                    left += 1
                else:
                    merged[place] = order[right]
                    right += 1
        for place in range(count):
            order[place] = merged[place]
        width *= 2


@borrowing
def _is_long_prose(block: Array, limits: Thresholds) -> bool:
    kind = block[R.B_KIND]
    return bool(
        kind != R.HEADING and kind != R.TABLE and block[R.B_WEIGHT] >= limits.long_prose_weight and block[R.B_SENTENCE] == 1
    )


@borrowing
def _without_furniture(state: R.State, limits: Thresholds, order: Array, total: float, lenient: bool, keep: Array) -> None:
    """Which blocks are in no furniture. ``lenient``: believe tags and links, but no names."""
    keep[:] = 1
    left = total
    for place in range(state.now[R.N_REGIONS]):
        region = state.regions[order[place]]
        kind, links, tag = region[R.R_KIND], region[R.R_LINKS] == 1, region[R.R_TAG]
        if lenient and not links and kind != R.HINT_NOTICE and tag != T.NAV and tag != T.ASIDE:
            continue
        lines = kind == R.HINT_HEADER and not links  # of a header, headings and long paragraphs may be text
        held = 0.0
        for at in range(region[R.R_START], region[R.R_END]):
            block = state.blocks[at]
            if keep[at] == 1 and not (lines and (block[R.B_KIND] == R.HEADING or _is_long_prose(block, limits))):
                held += block[R.B_WEIGHT]
        if not links:
            if kind == R.HINT_REMARKS:
                goes = left - held >= max(limits.remarks_left_weight, limits.remarks_left_share * total)
            else:
                goes = held <= limits.furniture_share * total or (kind == R.HINT_NOTICE and held < limits.notice_weight)
            if not goes:
                continue
        for at in range(region[R.R_START], region[R.R_END]):
            block = state.blocks[at]
            if keep[at] == 1 and not (lines and (block[R.B_KIND] == R.HEADING or _is_long_prose(block, limits))):
                keep[at] = 0
        left -= held


@borrowing
def _smallest(state: R.State, sums: Array, within: Array, least: float, named: bool) -> int:
    """The smallest container within blocks ``within`` that weighs ``least``, -1 for none; ``named``: said to be the text."""
    found, size = -1, 0
    for place in range(state.now[R.N_CONTAINERS]):
        box = state.containers[place]
        start, end = box[R.R_START], box[R.R_END]
        if start < within[0] or end > within[1] or sums[end] - sums[start] < least:
            continue
        if named and not (box[R.R_TAG] == T.MAIN or box[R.R_TAG] == T.ARTICLE or box[R.R_KIND] == R.HINT_TEXT):
            continue
        if found < 0 or end - start < size:
            found, size = place, end - start
    return found


@borrowing
def _around(state: R.State, within: Array, first: int, last: int, but: int) -> int:
    """The smallest container within ``within`` that holds blocks ``first`` to ``last`` (exclusive), other than ``but``."""
    found, size = -1, 0
    for place in range(state.now[R.N_CONTAINERS]):
        start, end = state.containers[place, R.R_START], state.containers[place, R.R_END]
        inside = start >= within[0] and end <= within[1] and start <= first and end >= last
        if inside and not (but >= 0 and _same(state.containers, place, but)) and (found < 0 or end - start < size):
            found, size = place, end - start
    return found


@borrowing
def _same(boxes: Array, one: int, other: int) -> bool:
    """Whether two containers say the same of the same blocks."""
    differs = 0
    for column in range(R.RANGE_COLUMNS):
        differs += 1 if boxes[one, column] != boxes[other, column] else 0
    return differs == 0


@borrowing
def _core(page: R.Page, state: R.State, limits: Thresholds, keep: Array, sums: Array, chosen: Array) -> None:
    """Of the blocks that are kept, those of the smallest element that holds most of the text, and what is text around it."""
    count = state.now[R.N_BLOCKS]
    sums[0] = 0.0
    for place in range(count):
        sums[place + 1] = sums[place] + (state.blocks[place, R.B_WEIGHT] if keep[place] == 1 else 0.0)
    main, core, outer = chosen[count : count + 2], chosen[count + 2 : count + 4], chosen[count + 4 : count + 6]
    main[0], main[1] = 0, count
    found = _smallest(state, sums, main, limits.main_share * sums[count], True)
    if found >= 0:
        main[0], main[1] = state.containers[found, R.R_START], state.containers[found, R.R_END]
    here = _smallest(state, sums, main, limits.core_share * (sums[main[1]] - sums[main[0]]), False)
    box = here if here >= 0 else found
    core[0], core[1] = main[0], main[1]
    if here >= 0:
        core[0], core[1] = state.containers[here, R.R_START], state.containers[here, R.R_END]
    if box >= 0:
        twins, first, last = _twins(page, state, limits, sums, main, box)
        if twins > 1:  # one of several posts, answers or entries
            box = _around(state, main, first, last, -1)
            core[0], core[1] = main[0], main[1]
            if box >= 0:
                core[0], core[1] = state.containers[box, R.R_START], state.containers[box, R.R_END]
            else:
                box = found
    around = _around(state, main, core[0], core[1], box)
    outer[0], outer[1] = core[0], core[1]
    if around >= 0:
        outer[0], outer[1] = state.containers[around, R.R_START], state.containers[around, R.R_END]
    for place in range(count):
        block = state.blocks[place]
        text = keep[place] == 1 and main[0] <= place < main[1]
        if text and not core[0] <= place < core[1]:
            table = block[R.B_KIND] == R.TABLE and outer[0] <= place < outer[1]
            text = table or _is_long_prose(block, limits)
        chosen[place] = 1 if text else 0


@borrowing
def _classes(page: R.Page, key: int) -> int:
    return int(page.key_facts[key] >> R.CLASS_SHIFT) if key >= 0 else 0


@borrowing
def _twins(page: R.Page, state: R.State, limits: Thresholds, sums: Array, main: Array, box: int) -> Any:
    """How many containers are of one make with ``box``, same tag and same classes, and which blocks they span."""
    own = _classes(page, state.containers[box, R.R_KEY])
    twins, first, last = 0, main[1], main[0]
    for place in range(state.now[R.N_CONTAINERS]):
        other = state.containers[place]
        start, end = other[R.R_START], other[R.R_END]
        if own == 0 or start < main[0] or end > main[1] or other[R.R_TAG] != state.containers[box, R.R_TAG]:
            continue
        if _classes(page, other[R.R_KEY]) == own and sums[end] - sums[start] >= limits.twin_weight:
            twins += 1
            first, last = min(first, start), max(last, end)
    return twins, first, last


@borrowing
def _is_navigation(block: Array, limits: Thresholds) -> bool:
    kind, links = block[R.B_KIND], block[R.B_LINKED]
    if block[R.B_MARKER] or (kind != R.BARE and kind != R.PARAGRAPH):
        return False
    words = block[R.B_BLANKS] + 1
    share = min(1.0, links / (block[R.B_END] - block[R.B_START]))
    if kind == R.BARE and links > 0 and words <= limits.bare_words and block[R.B_SENTENCE] == 0:
        return bool(share > limits.bare_link_share)
    return bool(share >= limits.text_link_share and words <= limits.text_words)


@borrowing
def choose(page: R.Page, state: R.State, limits: Thresholds, scratch: Scratch) -> None:
    """Mark the blocks of the main text in ``scratch.keep``."""
    count = state.now[R.N_BLOCKS]
    total = held = 0.0
    for place in range(count):
        total += state.blocks[place, R.B_WEIGHT]
    _sort(state.regions, state.now[R.N_REGIONS], scratch.order, scratch.merged)
    _without_furniture(state, limits, scratch.order, total, False, scratch.again)
    _core(page, state, limits, scratch.again, scratch.sums, scratch.keep)
    for place in range(count):
        held += state.blocks[place, R.B_WEIGHT] * scratch.keep[place]
    if total > 0 and held < max(float(R.WEIGHTS), limits.min_share * total):
        _without_furniture(state, limits, scratch.order, total, True, scratch.keep)
    for place in range(count):
        if scratch.keep[place] == 1 and _is_navigation(state.blocks[place], limits):
            scratch.keep[place] = 0
