"""From a page, cut into tags, to its blocks, and to the places where they stand.

One pass over the tags by a small machine that keeps a stack of open elements (``reader_kernels``, compiled). A block is a run
of text between tags that break lines; a region is a range of blocks that an element's names or links make furniture; a
container is a range of blocks that one element holds, among which ``llm_assets.stages.extract.choice`` finds the main one.

What an element's attributes say is looked up here, once for all elements that have the same, and remembered for later pages.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args
from zlib import crc32

import numpy as np
import numpy.typing as npt

from llm_assets.stages.extract import reader_state as R
from llm_assets.stages.extract import tags as T
from llm_assets.stages.extract.blocks import SENTENCE_ENDS, Block, Kind
from llm_assets.stages.extract.hints import Hint, hint
from llm_assets.stages.extract.reader_kernels import read
from llm_assets.stages.extract.scan import Scan

Array = npt.NDArray[Any]

LIMITS = R.Limits(
    # Lists and boxes of which more is links are navigation.
    list_links=0.5,
    box_links=0.6,
    table_links=0.7,
    # A link of so many blanks (ten words) that ends like a sentence is text: teasers are often links as a whole.
    sentence_blanks=9,
    # A box with a field to type into and no more text than this asks for an address or a search.
    field_box_chars=250,
    # A longer cell is a column of a page, not a datum.
    cell_chars=600,
    # A small element that is longer is no part of a line.
    small_bytes=400,
    # A shorter line that is no sentence counts a quarter (``reader_state.WEIGHTS``).
    short_chars=40,
)

_KINDS: tuple[Kind, ...] = get_args(Kind)
_LANGUAGE = re.compile(r"\b(?:language|lang|highlight-source|highlight|brush|sourceCode)[-:\s]+([a-zA-Z0-9+#]{1,20})\b")
_NO_LANGUAGE = frozenset(("default", "none", "text", "plain", "plaintext", "notranslate", "source", "wrapper", "block", "code"))
_SPEAKING = frozenset((T.DIV, T.PRE, T.CODE))
_FIELD = re.compile(r'type="(?!text|email|search|tel|password|number)')
_FOLD = ("aria-expanded=", "aria-controls=")
_START = re.compile(r'\bstart="(\d{1,6})"')
_CLASS = re.compile(rb'\bclass="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Layout:
    """What was read of a page, as arrays: ``state`` holds its blocks in order, regions and containers (inner ones first)."""

    page: Scan
    given: R.Page
    state: R.State

    @property
    def size(self) -> int:
        """How many blocks there are."""
        return int(self.state.now[R.N_BLOCKS])

    @property
    def muted(self) -> int:
        """Characters of the menus, which were not read, with their mark-up."""
        return int(self.state.now[R.MUTED])

    def blocks(self, places: Array) -> list[Block]:
        """Some of the blocks; ``places``: (n,) numbers."""
        text = self.state.out[: self.state.now[R.OUT]].tobytes().decode("utf-8", "surrogatepass")
        made = []
        for row in self.state.blocks[places].tolist():
            kind, level, marker, indent, quotes, links, language, start, end, _, _, sentence, weight, _ = row
            said = "" if not marker else "-" if marker == R.MARK else f"{marker - R.NUMBERED}."
            spoken = _language(self.page.key_texts[language]) if language >= 0 else ""
            weighs = weight / R.WEIGHTS
            made.append(Block(_KINDS[kind], text[start:end], level, said, indent, quotes, links, spoken, weighs, sentence == 1))
        return made


def read_layout(page: Scan, menus: bool = False) -> Layout:
    """The layout of a page's body. ``menus``: read <nav> as well, which is passed over otherwise."""
    known = T.tags()
    most, size = page.breaks + 2, len(page.data) - page.body_start + 16
    keys = list(map(_FACTS.__getitem__, zip(page.key_tags, page.key_texts, strict=True)))
    state = R.State(
        np.empty(R.NUMBERS, np.int64),
        np.empty(size, np.uint8),
        # A tab takes up to four places; a row of a table is a copy, in which each "|" may take two.
        np.empty(3 * (size + 3 * page.data.count(b"\t")) + 64, np.uint8),
        np.empty((most, R.BLOCK_COLUMNS), np.int64),
        np.empty((most, R.RANGE_COLUMNS), np.int64),
        np.empty((most, R.RANGE_COLUMNS), np.int64),
        np.empty((most, R.STACK_COLUMNS), np.int64),
        np.empty(most, np.int64),
        np.empty((most, R.TABLE_COLUMNS), np.int64),
        np.empty((most, R.CELL_COLUMNS), np.int64),
    )
    given = R.Page(
        np.frombuffer(page.data, np.uint8),
        page.tags,
        page.starts,
        page.ends,
        page.keys,
        np.array(keys, np.int64),
        _tag_facts(),
        known.flags,
        known.levels,
        *_sentence_ends(),
        LIMITS,
    )
    read(given, state, page.body, page.body_start, menus)
    return Layout(page, given, state)


def _language(attributes: bytes) -> str:
    found = _LANGUAGE.search(attributes.decode("utf-8", "surrogatepass"))
    name = found[1].lower() if found else ""
    return "" if name in _NO_LANGUAGE else name


def facts_of(tag: int, attributes: bytes) -> int:
    """What the machine must know of an element, as the bits of ``reader_state``; ``attributes``: those that matter."""
    said = attributes.decode("utf-8", "surrogatepass")
    name = T.NAMES[tag]
    facts = int(hint(name, said))
    if tag == T.A:
        facts |= R.IS_MUTED * (facts == Hint.MUTE)  # a control that looks like a link
    elif name in T.SMALL:
        facts |= R.IS_MUTED * (hint("span", said) in (Hint.MUTE, Hint.FURNITURE, Hint.NOTICE))
    elif tag == T.BUTTON:
        facts |= R.IS_FOLD * any(name in said for name in _FOLD)
    elif tag == T.INPUT:
        facts |= R.IS_FIELD * (_FIELD.search(said) is None)
    elif tag == T.OL:
        start = _START.search(said)
        facts |= (int(start[1]) if start else 1) << R.START_SHIFT
    elif tag in _SPEAKING:
        facts |= R.SPEAKS * bool(_language(attributes))
    classes = _CLASS.search(attributes)
    return facts | (crc32(classes[1]) >> 1) << R.CLASS_SHIFT if classes else facts


class _Facts(dict[tuple[int, bytes], int]):
    """(tag, attributes that matter) → ``facts_of``, worked out at first sight."""

    _MOST = 16_384
    _MOST_BYTES = 500  # longer ones hold data: they would come only once, and fill the memory

    def __missing__(self, key: tuple[int, bytes]) -> int:
        found = facts_of(*key)
        if len(key[1]) <= self._MOST_BYTES and len(self) < self._MOST:
            self[key] = found
        return found


_FACTS = _Facts()


@cache
def _tag_facts() -> "R.Array":
    """Facts of the tags without attributes."""
    return np.array([facts_of(tag, b"") for tag in range(len(T.NAMES))], np.int64)


@cache
def _sentence_ends() -> tuple["R.Array", "R.Array"]:
    """How sentences end, as bytes one after another, and where each stops."""
    ends = [end.encode() for end in SENTENCE_ENDS]
    return np.frombuffer(b"".join(ends), np.uint8), np.cumsum([len(end) for end in ends])
