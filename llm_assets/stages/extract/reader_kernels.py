"""The compiled machine of ``reader``: the tags of a page and what is known of them → blocks, regions and containers.

It keeps a stack of open elements; what each step does and why is said in ``reader`` and ``choice``.
"""

from typing import Any

import numpy.typing as npt

from llm_assets.lm.compiled import borrowing
from llm_assets.stages.extract import tags as T
from llm_assets.stages.extract.block_kernels import begin, close, in_heading, link, space, text, tick
from llm_assets.stages.extract.reader_state import (
    B_END,
    B_KIND,
    B_START,
    BREAKS,
    C_END,
    C_ROW,
    C_START,
    CELLS,
    CHARS,
    DEPTH,
    FIELDS,
    HEADING,
    HINT_BITS,
    HINT_FURNITURE,
    HINT_MUTE,
    HINT_NONE,
    HINT_TEXT,
    IS_FIELD,
    IS_FOLD,
    IS_MUTED,
    KIND,
    LANGUAGE,
    LANGUAGE_DEPTH,
    LINKED,
    LISTS,
    MARK,
    MUTED,
    N_BLOCKS,
    N_CONTAINERS,
    N_REGIONS,
    NUMBERED,
    OPEN,
    PARAGRAPH,
    PENDING,
    PREFORMATTED,
    QUOTES,
    R_END,
    R_KEY,
    R_KIND,
    R_LINKS,
    R_START,
    R_TAG,
    RAW,
    RAW_TEXT,
    S_CHARS,
    S_FIELDS,
    S_KEY,
    S_KIND,
    S_LINKED,
    S_START,
    S_TAG,
    SPEAKS,
    START_MASK,
    START_SHIFT,
    T_CAPTIONS,
    T_CELL,
    T_NESTED,
    T_ROWS,
    TABLES,
    TICK_PENDING,
    UNNUMBERED,
    Page,
    State,
)
from llm_assets.stages.extract.table_kernels import table_ends

Array = npt.NDArray[Any]


@borrowing
def _speaks(state: State, facts: int, key: int) -> None:
    """Remember the language of code that an element names, as long as it is open."""
    if facts & SPEAKS:
        state.now[LANGUAGE], state.now[LANGUAGE_DEPTH] = key, state.now[DEPTH]


@borrowing
def _opened(page: Page, state: State, tag: int, facts: int, key: int) -> None:
    """What the beginning of a box means besides a range."""
    now = state.now
    if tag == T.DIV:
        _speaks(state, facts, key)
    elif tag == T.P or tag == T.DT:
        begin(state, PARAGRAPH, 0)
    elif tag == T.LI:
        now[PENDING] = MARK
        if now[LISTS] > 0 and state.lists[now[LISTS] - 1] != UNNUMBERED:
            state.lists[now[LISTS] - 1] += 1
            now[PENDING] = state.lists[now[LISTS] - 1] + NUMBERED
    elif page.flags[tag] & T.IS_LIST:
        state.lists[now[LISTS]] = (facts >> START_SHIFT & START_MASK) - 1 if tag == T.OL else UNNUMBERED
        now[LISTS] += 1
    elif page.levels[tag]:
        begin(state, HEADING, page.levels[tag])
    elif tag == T.TR:
        if now[TABLES]:
            state.tables[now[TABLES] - 1, T_ROWS] += 1
    elif tag == T.TABLE:
        table = state.tables[now[TABLES]]
        table[T_ROWS] = table[T_CAPTIONS] = table[T_NESTED] = 0
        table[T_CELL] = now[CELLS]
        now[TABLES] += 1
    elif tag == T.PRE:
        _speaks(state, facts, key)
        begin(state, PREFORMATTED, 0)
    elif tag == T.BLOCKQUOTE:
        now[QUOTES] += 1


@borrowing
def _pop(page: Page, state: State) -> None:
    """The innermost open box ends."""
    now = state.now
    if not now[DEPTH]:
        return
    now[DEPTH] -= 1
    if now[LANGUAGE] >= 0 and now[DEPTH] < now[LANGUAGE_DEPTH]:
        now[LANGUAGE] = -1
    element = state.stack[now[DEPTH]]
    tag, kind, start = element[S_TAG], element[S_KIND], element[S_START]
    is_a = page.flags[tag]
    data = _closed(page, state, tag, is_a, start)
    if is_a & T.IS_FIELD_BOX and now[FIELDS] > element[S_FIELDS] and _is_field_box(page, state, start):
        kind = HINT_FURNITURE
    end = now[N_BLOCKS]
    if end == start:
        return
    here = now[LINKED] - element[S_LINKED]
    links = False
    if here:
        all_chars = now[CHARS] - element[S_CHARS]
        if is_a & T.IS_LIST:
            links = here > page.limits.list_links * all_chars
        elif is_a & T.IS_LINK_BOX:
            links = here > page.limits.box_links * all_chars
        elif tag == T.TABLE:
            links = here > page.limits.table_links * all_chars
    if links or (kind != HINT_NONE and kind != HINT_TEXT):
        _range(state.regions, now, N_REGIONS, start, end, tag, kind, links, element[S_KEY])
    if links:  # what is navigation weighs nothing in the boxes around it
        now[CHARS], now[LINKED] = element[S_CHARS], element[S_LINKED]
    if is_a & T.IS_CONTAINER or (tag == T.TABLE and not data):
        _range(state.containers, now, N_CONTAINERS, start, end, tag, kind, False, element[S_KEY])


@borrowing
def _range(ranges: Array, now: Array, number: int, start: int, end: int, tag: int, kind: int, links: bool, key: int) -> None:
    row = ranges[now[number]]
    row[R_START], row[R_END], row[R_TAG], row[R_KIND], row[R_KEY] = start, end, tag, kind, key
    row[R_LINKS] = 1 if links else 0
    now[number] += 1


@borrowing
def _closed(page: Page, state: State, tag: int, is_a: int, start: int) -> bool:
    """What the end of a box means besides a range; True where it was a table of data."""
    now = state.now
    if is_a & T.IS_LIST:
        now[LISTS] -= 1
    elif tag == T.LI:
        now[PENDING] = 0
    elif tag == T.BLOCKQUOTE:
        now[QUOTES] -= 1
    elif tag == T.TABLE:
        return table_ends(page, state, start)
    elif is_a & T.IS_CELL:
        if now[TABLES]:
            table = state.tables[now[TABLES] - 1]
            if not table[T_ROWS]:
                table[T_ROWS] = 1
            cell = state.cells[now[CELLS]]
            cell[C_ROW], cell[C_START], cell[C_END] = table[T_ROWS], start, now[N_BLOCKS]
            now[CELLS] += 1
    elif tag == T.CAPTION and now[TABLES]:
        state.tables[now[TABLES] - 1, T_CAPTIONS] = now[N_BLOCKS] - start
    return False


@borrowing
def _is_field_box(page: Page, state: State, start: int) -> bool:
    chars = 0
    for place in range(start, state.now[N_BLOCKS]):
        block = state.blocks[place]
        if block[B_KIND] == PREFORMATTED:
            return False
        chars += block[B_END] - block[B_START]
    return chars <= page.limits.field_box_chars


@borrowing
def _element_end(page: Page, place: int, last: int) -> int:
    """The tag that closes the one at ``place``."""
    tag, depth = page.tags[place], 1
    for other in range(place + 1, last):
        if page.tags[other] == tag:
            depth += 1
        elif page.tags[other] == -tag:
            depth -= 1
            if depth == 0:
                return other
    return last - 1


@borrowing
def _small_end(page: Page, place: int, last: int) -> int:
    """The tag that closes the one at ``place``, if all between is a short part of a line; otherwise ``place``."""
    tag, depth = page.tags[place], 1
    for other in range(place + 1, last):
        if page.starts[other] - page.ends[place] > page.limits.small_bytes:
            break
        now = page.tags[other]
        if now == tag:
            depth += 1
        elif now == -tag:
            depth -= 1
            if depth == 0:
                return other
        elif page.flags[abs(now)] & T.IS_NOT_SMALL:
            break
    return place


@borrowing
def _passed_over(page: Page, state: State, place: int, tag: int, last: int) -> int:
    """The closing tag of an element that holds no text."""
    if page.flags[tag] & T.IS_VOID:
        return place
    end = _element_end(page, place, last)
    if tag == T.NAV:
        for at in range(page.starts[place], page.ends[end]):
            state.now[MUTED] += 1 if page.data[at] & 0xC0 != 0x80 else 0
    return end


@borrowing
def _inline(page: Page, state: State, tag: int, facts: int) -> None:
    """The beginning of what is no box."""
    now = state.now
    if tag == T.BR:
        if now[OPEN]:
            if now[KIND] == PREFORMATTED:
                state.raw[now[RAW]] = 10
                now[RAW] += 1
            else:
                now[BREAKS] += 1
    elif tag == T.INPUT:
        now[FIELDS] += 1 if facts & IS_FIELD else 0
    elif tag == T.HR or (tag == T.BUTTON and not in_heading(state)):
        close(page, state)
    elif tag == T.CUSTOM:
        space(state)


@borrowing
def _ends(page: Page, state: State, tag: int, is_a: int) -> None:
    """A closing tag."""
    if tag == T.A:
        link(state, True)
    elif tag == T.CODE:
        tick(page, state, True)
    elif is_a & T.IS_BOX:
        close(page, state)
        state.now[TICK_PENDING] = 0
        _pop(page, state)
    elif tag == T.BUTTON and not in_heading(state):
        close(page, state)
    elif tag == T.CUSTOM:
        space(state)


@borrowing
def _begins(page: Page, state: State, place: int, last: int, menus: bool) -> int:
    """An opening tag. Returns its place, or that of the closing tag where the whole element was passed over."""
    now, tag, key = state.now, page.tags[place], page.keys[place]
    is_a = page.flags[tag]
    facts = page.key_facts[key] if key >= 0 else page.tag_facts[tag]
    if facts & IS_MUTED:
        end = _small_end(page, place, last)
        if end > place:
            space(state)
            return end
    if tag == T.A:
        link(state, False)
    elif not is_a & T.IS_INLINE:
        if facts & HINT_BITS == HINT_MUTE and not (menus and tag == T.NAV):
            heads = tag == T.BUTTON and in_heading(state) and not now[RAW_TEXT]
            if not (heads or facts & IS_FOLD):
                return _passed_over(page, state, place, tag, last)
        if tag == T.CODE:
            _speaks(state, facts, key)
            tick(page, state, False)
        elif is_a & T.IS_BOX:
            close(page, state)
            now[TICK_PENDING] = 0
            element = state.stack[now[DEPTH]]
            element[S_TAG], element[S_KIND], element[S_START] = tag, facts & HINT_BITS, now[N_BLOCKS]
            element[S_CHARS], element[S_LINKED] = now[CHARS], now[LINKED]
            element[S_FIELDS], element[S_KEY] = now[FIELDS], key
            now[DEPTH] += 1
            _opened(page, state, tag, facts, key)
        else:
            _inline(page, state, tag, facts)
    return place


@borrowing
def read(page: Page, state: State, first: int, start: int, menus: bool) -> None:
    """Read the tags from ``first`` on and the text from byte ``start`` on; what was found is in ``state`` afterwards.

    ``menus``: read <nav> as well, which is passed over otherwise.
    """
    last = page.tags.size
    state.now[:] = 0
    state.now[LANGUAGE] = -1
    place = first - 1
    while True:
        end = page.starts[place + 1] if place + 1 < last else page.data.size
        if end > start:
            text(page, state, start, end)
        place += 1
        if place >= last:
            break
        tag = page.tags[place]
        if tag < 0:
            _ends(page, state, -tag, page.flags[-tag])
        elif tag:
            place = _begins(page, state, place, last, menus)
        start = page.ends[place]
    close(page, state)
    while state.now[DEPTH]:
        _pop(page, state)
