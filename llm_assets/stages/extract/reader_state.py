"""The state of the reader's machine, as arrays, and what their places are called.

Compiled functions pass nothing but arrays and numbers among each other; so there is one array of numbers, ``State.now``, and
one of rows for each kind of thing. ``block_kernels`` makes blocks, ``table_kernels`` tables, ``reader_kernels`` does the rest.
"""

from typing import Any, NamedTuple

import numpy.typing as npt

from llm_assets.stages.extract.hints import Hint

Array = npt.NDArray[Any]

# Kinds of blocks, as in ``blocks.Kind``, in this order.
HEADING, PARAGRAPH, BARE, PREFORMATTED, TABLE = range(5)
# Hints, as in ``hints.Hint``.
HINT_NONE, HINT_FURNITURE, HINT_REMARKS, HINT_HEADER, HINT_MUTE, HINT_TEXT, HINT_NOTICE = map(int, Hint)
# Facts of a key or tag: its hint in three bits, then these, then the first number of an ordered list plus one, then a hash of
# its classes.
HINT_BITS, IS_MUTED, IS_FOLD, IS_FIELD, SPEAKS, START_SHIFT, CLASS_SHIFT = 7, 8, 16, 32, 64, 8, 32

START_MASK = (1 << (CLASS_SHIFT - START_SHIFT)) - 1

# What is now: ``State.now``.
(
    N_BLOCKS, N_REGIONS, N_CONTAINERS, DEPTH, LISTS, TABLES, CELLS, RAW, RAW_TEXT, OUT, OUT_CHARS, OPEN, KIND, LEVEL, MARKER,
    INDENT, QUOTED, PENDING, LANGUAGE, LANGUAGE_DEPTH, IN_LINK, LAST_MARK, TICKS, TICK_ENDS, TICK_PENDING, QUOTES, BREAKS,
    FIELDS, CHARS, LINKED, MUTED, NUMBERS,
) = range(32)  # fmt: skip
# Columns of a block; of a region or container; of an open element; of a table; of a cell.
(
    B_KIND, B_LEVEL, B_MARKER, B_INDENT, B_QUOTES, B_LINKED, B_LANGUAGE, B_START, B_END, B_BYTE, B_BYTE_END, B_SENTENCE,
    B_WEIGHT, B_BLANKS, BLOCK_COLUMNS,
) = range(15)  # fmt: skip
R_START, R_END, R_TAG, R_KIND, R_LINKS, R_KEY, RANGE_COLUMNS = range(7)
S_TAG, S_KIND, S_START, S_CHARS, S_LINKED, S_FIELDS, S_KEY, STACK_COLUMNS = range(8)
T_ROWS, T_CAPTIONS, T_NESTED, T_CELL, TABLE_COLUMNS = range(5)
C_ROW, C_START, C_END, CELL_COLUMNS = range(4)

# A marker is 0 for none, MARK for a mark without a number, and the number + NUMBERED otherwise.
MARK, NUMBERED = 1, 2
# Weights are counted in quarters of a character: a character of a short line is one, any other four.
WEIGHTS = 4
UNNUMBERED = -2


class Limits(NamedTuple):
    """Thresholds that ``reader`` gives: see there."""

    list_links: float
    box_links: float
    table_links: float
    sentence_blanks: int
    field_box_chars: int
    cell_chars: int
    small_bytes: int
    short_chars: int


class Page(NamedTuple):
    """What is read. ``data``: bytes; by tag ``tags``, ``starts``, ``ends``, ``keys`` as ``scan`` gives them; ``key_facts``,
    ``tag_facts``, ``flags``, ``levels``: by key and by tag; ``sentence_ends``: bytes of each ending, those after it at
    ``sentence_stops``.
    """

    data: Array
    tags: Array
    starts: Array
    ends: Array
    keys: Array
    key_facts: Array
    tag_facts: Array
    flags: Array
    levels: Array
    sentence_ends: Array
    sentence_stops: Array
    limits: Limits


class State(NamedTuple):
    """What the machine knows; ``raw``: characters of the open block, ``out``: those of all blocks, as they will be read."""

    now: Array
    raw: Array
    out: Array
    blocks: Array
    regions: Array
    containers: Array
    stack: Array
    lists: Array
    tables: Array
    cells: Array
