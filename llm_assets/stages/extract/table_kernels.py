"""The compiled part of the reader's machine for tables: rows of cells where they are data, nothing where they are layout."""

from typing import Any

import numpy.typing as npt

from llm_assets.lm.compiled import borrowing
from llm_assets.stages.extract.reader_state import (
    B_BYTE,
    B_BYTE_END,
    B_END,
    B_KIND,
    B_LANGUAGE,
    B_LINKED,
    B_MARKER,
    B_QUOTES,
    B_START,
    B_WEIGHT,
    BARE,
    C_END,
    C_ROW,
    C_START,
    CELLS,
    N_BLOCKS,
    N_CONTAINERS,
    N_REGIONS,
    OUT,
    OUT_CHARS,
    PARAGRAPH,
    R_START,
    T_CAPTIONS,
    T_CELL,
    T_NESTED,
    TABLE,
    TABLES,
    WEIGHTS,
    Page,
    State,
)

Array = npt.NDArray[Any]


@borrowing
def _is_data(page: Page, state: State, table: Array, first: int, cells_end: int) -> bool:
    """Whether a table holds data: two columns and rows, no table inside, nothing but lines in its cells, no long ones."""
    now, blocks = state.now, state.blocks
    if table[T_NESTED] or first >= now[N_BLOCKS]:
        return False
    widest = width = rows = row = 0
    for place in range(table[T_CELL], cells_end):
        cell = state.cells[place]
        if cell[C_ROW] != row:
            row, width = cell[C_ROW], 0
            rows += 1
        width += 1
        widest = max(widest, width)
        chars = max(0, cell[C_END] - cell[C_START] - 1)
        for inside in range(cell[C_START], cell[C_END]):
            chars += blocks[inside, B_END] - blocks[inside, B_START]
        if chars > page.limits.cell_chars:
            return False
    if widest < 2 or rows < 2:
        return False
    for place in range(first, now[N_BLOCKS]):
        kind = blocks[place, B_KIND]
        if kind != BARE and kind != PARAGRAPH and not blocks[place, B_MARKER]:
            return False
    return True


@borrowing
def _row(state: State, place: int, last: int, used: int, chars: int) -> Any:
    """Write the cells ``place`` to ``last`` (exclusive) as one line."""
    out, blocks = state.out, state.blocks
    begun = used
    points = 0  # bytes that are no character of their own
    for number in range(place, last):
        out[used], out[used + 1] = 124, 32
        used += 2
        for inside in range(state.cells[number, C_START], state.cells[number, C_END]):
            if inside > state.cells[number, C_START]:
                out[used] = 32
                used += 1
            for at in range(blocks[inside, B_BYTE], blocks[inside, B_BYTE_END]):
                byte = out[at]
                if byte == 124:
                    out[used] = 92
                    used += 1
                out[used] = 32 if byte == 10 else byte
                used += 1
                points += 1 if byte & 0xC0 == 0x80 else 0
        out[used] = 32
        used += 1
    out[used] = 124
    used += 1
    return used, chars + used - begun - points


@borrowing
def table_ends(page: Page, state: State, start: int) -> bool:
    """The innermost table ends. One of data becomes a block of rows, ``| a | b |``; True then."""
    now, blocks, out = state.now, state.blocks, state.out
    now[TABLES] -= 1
    table = state.tables[now[TABLES]]
    if now[TABLES]:
        state.tables[now[TABLES] - 1, T_NESTED] = 1
    first = start + table[T_CAPTIONS]
    cells, cells_end = table[T_CELL], now[CELLS]
    now[CELLS] = cells
    if not _is_data(page, state, table, first, cells_end):
        return False
    begun = used = now[OUT]
    chars = linked = 0
    for place in range(first, now[N_BLOCKS]):
        linked += blocks[place, B_LINKED]
    place = cells
    while place < cells_end:
        last = place
        some = False
        while last < cells_end and state.cells[last, C_ROW] == state.cells[place, C_ROW]:
            some = some or state.cells[last, C_END] > state.cells[last, C_START]
            last += 1
        if some:
            if used > begun:
                out[used] = 10
                used += 1
                chars += 1
            used, chars = _row(state, place, last, used, chars)
        place = last
    block = blocks[first]
    quotes = block[B_QUOTES]
    block[:] = 0
    block[B_KIND], block[B_QUOTES], block[B_LINKED], block[B_LANGUAGE] = TABLE, quotes, linked, -1
    block[B_START], block[B_END], block[B_BYTE], block[B_BYTE_END] = now[OUT_CHARS], now[OUT_CHARS] + chars, begun, used
    block[B_WEIGHT] = max(0, chars - linked) * WEIGHTS
    now[OUT], now[OUT_CHARS], now[N_BLOCKS] = used, now[OUT_CHARS] + chars, first + 1
    while now[N_REGIONS] and state.regions[now[N_REGIONS] - 1, R_START] >= first:
        now[N_REGIONS] -= 1
    while now[N_CONTAINERS] and state.containers[now[N_CONTAINERS] - 1, R_START] >= first:
        now[N_CONTAINERS] -= 1
    return True
