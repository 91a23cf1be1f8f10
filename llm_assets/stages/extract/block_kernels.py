"""The compiled part of the reader's machine that makes blocks: a run of text begins, grows, and ends as what will be read."""

from typing import Any

import numpy.typing as npt

from llm_assets.lm.compiled import borrowing
from llm_assets.stages.extract.reader_state import (
    B_BLANKS,
    B_BYTE,
    B_BYTE_END,
    B_END,
    B_INDENT,
    B_KIND,
    B_LANGUAGE,
    B_LEVEL,
    B_LINKED,
    B_MARKER,
    B_QUOTES,
    B_SENTENCE,
    B_START,
    B_WEIGHT,
    BARE,
    BREAKS,
    CHARS,
    HEADING,
    IN_LINK,
    INDENT,
    KIND,
    LANGUAGE,
    LAST_MARK,
    LEVEL,
    LINKED,
    LISTS,
    MARKER,
    N_BLOCKS,
    OPEN,
    OUT,
    OUT_CHARS,
    PENDING,
    PREFORMATTED,
    QUOTED,
    QUOTES,
    RAW,
    RAW_TEXT,
    TICK_ENDS,
    TICK_PENDING,
    TICKS,
    WEIGHTS,
    Page,
    State,
)
from llm_assets.stages.extract.text_kernels import BREAK, LINK, LINK_END, TICK, TICK_END, code, flow

Array = npt.NDArray[Any]


@borrowing
def _is_blank(byte: Any) -> Any:
    return byte == 32 or 9 <= byte <= 10 or 12 <= byte <= 13


@borrowing
def begin(state: State, kind: int, level: int) -> None:
    """A block begins: it takes the mark of the item that began."""
    now = state.now
    now[OPEN], now[KIND], now[LEVEL], now[MARKER] = 1, kind, level, now[PENDING]
    now[INDENT] = now[LISTS] if now[LISTS] > 0 else (1 if now[PENDING] else 0)
    now[QUOTED], now[PENDING] = now[QUOTES], 0
    now[RAW] = now[RAW_TEXT] = now[BREAKS] = now[TICKS] = now[TICK_ENDS] = now[LAST_MARK] = 0
    if now[IN_LINK]:
        _mark(state, LINK)
    if now[TICK_PENDING]:
        now[TICK_PENDING] = 0
        _mark(state, TICK)


@borrowing
def _mark(state: State, mark: int) -> None:
    """A mark among the characters of the open block."""
    now = state.now
    state.raw[now[RAW]] = mark
    now[RAW] += 1
    if mark in (LINK, LINK_END):
        now[LAST_MARK] = mark
    elif mark == TICK:
        now[TICKS] += 1
    elif mark == TICK_END:
        now[TICK_ENDS] += 1


@borrowing
def link(state: State, closing: bool) -> None:
    """A link begins or ends."""
    now = state.now
    if now[OPEN]:
        _mark(state, LINK_END if closing else LINK)
    else:
        now[IN_LINK] = 0 if closing else 1


@borrowing
def tick(page: Page, state: State, closing: bool) -> None:
    """Code within a line begins or ends; what begins between blocks is part of the next."""
    now = state.now
    if now[OPEN]:
        if now[BREAKS] and not closing:
            _broken(page, state)
        _mark(state, TICK_END if closing else TICK)
    else:
        now[TICK_PENDING] = 0 if closing else 1


@borrowing
def _broken(page: Page, state: State) -> None:
    """One <br> is a line end, more are a new paragraph."""
    now = state.now
    if now[BREAKS] == 1:
        _mark(state, BREAK)
    else:
        kind = now[KIND]
        close(page, state)
        begin(state, BARE if kind == HEADING else kind, 0)
    now[BREAKS] = 0


@borrowing
def text(page: Page, state: State, start: int, end: int) -> None:
    """The characters between two tags."""
    data, now = page.data, state.now
    first = start
    while first < end and _is_blank(data[first]):
        first += 1
    if not now[OPEN]:
        if first == end:
            return
        begin(state, BARE, 0)
    if first < end:
        if now[BREAKS]:
            _broken(page, state)
        now[RAW_TEXT] += end - first
    raw, used = state.raw, now[RAW]
    length, marks = end - start, 0
    for place in range(length):
        byte = data[start + place]
        raw[used + place] = byte
        marks += 1 if byte <= TICK_END or byte == BREAK else 0
    if marks:  # what a page may not hold
        length = 0
        for place in range(start, end):
            byte = data[place]
            if byte > TICK_END and byte != BREAK:
                raw[used + length] = byte
                length += 1
    now[RAW] = used + length


@borrowing
def _is_sentence(page: Page, out: Array, start: int, end: int) -> bool:
    begin = 0
    for stop in page.sentence_stops:
        size = stop - begin
        if end - start >= size:
            same = True
            for place in range(size):
                if out[end - size + place] != page.sentence_ends[begin + place]:
                    same = False
                    break
            if same:
                return True
        begin = stop
    return False


@borrowing
def close(page: Page, state: State) -> None:
    """The open block ends: its characters become its text."""
    now = state.now
    if not now[OPEN]:
        return
    now[OPEN] = 0
    if now[LAST_MARK]:
        now[IN_LINK] = 1 if now[LAST_MARK] == LINK else 0
        if now[IN_LINK]:
            state.raw[now[RAW]] = LINK_END
            now[RAW] += 1
    kind, start, first = now[KIND], now[OUT_CHARS], now[OUT]
    blanks = 0
    if kind == PREFORMATTED:
        used, chars, linked = code(state.raw, now[RAW], state.out, first)
    else:
        ticks = now[TICKS] > 0 and now[TICKS] == now[TICK_ENDS]
        used, chars, linked, blanks = flow(state.raw, now[RAW], ticks, kind == HEADING, state.out, first)
    if chars == 0:
        if not now[PENDING]:
            now[PENDING] = now[MARKER]
        return
    sentence = _is_sentence(page, state.out, first, used)
    if (
        linked
        and sentence
        and kind != HEADING
        and kind != PREFORMATTED
        and blanks >= page.limits.sentence_blanks
        and linked > page.limits.list_links * chars
    ):
        linked = 0
    block = state.blocks[now[N_BLOCKS]]
    block[B_KIND], block[B_LEVEL], block[B_MARKER], block[B_INDENT] = kind, now[LEVEL], now[MARKER], now[INDENT]
    block[B_QUOTES], block[B_LINKED] = now[QUOTED], linked
    block[B_LANGUAGE] = now[LANGUAGE] if kind == PREFORMATTED else -1
    block[B_START], block[B_END], block[B_BYTE], block[B_BYTE_END] = start, start + chars, first, used
    block[B_SENTENCE], block[B_BLANKS] = 1 if sentence else 0, blanks
    if kind == HEADING:
        block[B_WEIGHT] = 0
    else:
        plain = max(0, chars - linked)
        full = sentence or kind == PREFORMATTED or plain >= page.limits.short_chars
        block[B_WEIGHT] = plain * WEIGHTS if full else plain
    now[N_BLOCKS] += 1
    now[OUT], now[OUT_CHARS] = used, start + chars
    if kind != HEADING:
        now[CHARS] += chars
        now[LINKED] += min(linked, chars)


@borrowing
def space(state: State) -> None:
    """A blank, where a block is open."""
    if state.now[OPEN]:
        state.raw[state.now[RAW]] = 32
        state.now[RAW] += 1


@borrowing
def in_heading(state: State) -> bool:
    """Whether the open block is a heading."""
    return bool(state.now[OPEN]) and bool(state.now[KIND] == HEADING)
