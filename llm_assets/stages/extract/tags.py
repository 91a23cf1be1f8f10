"""The tags of HTML as numbers, and what each of them is to the reader.

The compiled loops (``scan_kernels``, ``reader_kernels``) know a tag by its number: its place in ``NAMES``. ``UNKNOWN`` and
``CUSTOM`` (a name with a hyphen) stand for all others; ``NOTHING`` is what leaves no trace: comments, and what is left out
whole.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from llm_assets.stages.extract.hints import word_set

Array = npt.NDArray[Any]

# Left out whole, with all that is in them: they hold no text.
RAW = word_set(
    "script style noscript iframe xmp noembed noframes svg select template object video audio canvas datalist dialog"
)
# Their tags leave no trace, their text stays.
INLINE = word_set(
    "span b i em strong small big font u s strike del ins mark cite q dfn var abbr acronym bdi bdo wbr sup sub ruby rb tt kbd "
    "samp time data picture label nobr img source"
)
# Small elements that may be furniture by their names, within a line.
SMALL = word_set("a span b i em sup small time label strong")
# A small element that holds one of these is no part of a line.
NOT_SMALL = word_set("p div li ul")
VOID = word_set("area base br col embed hr img input link meta param source track wbr keygen frame basefont bgsound")
HEADINGS = {f"h{level}": level for level in range(1, 7)}
BOXES = word_set(
    "body div section article main aside header footer nav form fieldset figure figcaption blockquote details summary address "
    "hgroup center td th dl dd dt ul ol li table caption p h1 h2 h3 h4 h5 h6 pre tbody thead tfoot tr"
)
CONTAINERS = word_set("body div section article main td form aside dd details fieldset center blockquote header footer nav")
FIELD_BOXES = word_set("div section p")
_OTHERS = word_set("html head title a code button frameset rp rt math annotation annotation-xml")
_BY_HINT = word_set("progress meter legend optgroup option textarea map menu")

# Bits of ``Tags.flags``.
(
    IS_RAW,
    IS_INLINE,
    IS_SMALL,
    IS_NOT_SMALL,
    IS_VOID,
    IS_BOX,
    IS_CONTAINER,
    IS_FIELD_BOX,
    IS_LIST,
    IS_CELL,
    IS_LINK_BOX,
    IS_BREAK,
    IS_NOTED,
    IS_TEXT,
) = (1 << bit for bit in range(14))
_FLAGS = {
    IS_RAW: RAW,
    IS_INLINE: INLINE,
    IS_SMALL: SMALL,
    IS_NOT_SMALL: NOT_SMALL,
    IS_VOID: VOID,
    IS_BOX: BOXES,
    IS_CONTAINER: CONTAINERS,
    IS_FIELD_BOX: FIELD_BOXES,
    IS_LIST: word_set("ul ol"),
    IS_CELL: word_set("td th"),
    IS_LINK_BOX: word_set("div section aside td fieldset figure"),
    IS_BREAK: BOXES | word_set("br hr button"),
    IS_NOTED: word_set("html head meta link h1"),
    IS_TEXT: word_set("script style iframe xmp noembed noframes"),  # no tags in them
}

NOTHING, UNKNOWN, CUSTOM = 0, 1, 2
NAMES = (
    "",
    "?",
    "-",
    *sorted(RAW | INLINE | SMALL | VOID | BOXES | _OTHERS | _BY_HINT),
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}
# Those that the loops ask for by name.
A, BLOCKQUOTE, BODY, BR, BUTTON, CAPTION = map(NUMBERS.__getitem__, ("a", "blockquote", "body", "br", "button", "caption"))
CODE, DIV, DT, FRAMESET, H1, HEAD, HR = map(NUMBERS.__getitem__, ("code", "div", "dt", "frameset", "h1", "head", "hr"))
HTML, INPUT, LI, LINK, META, NAV, OL = map(NUMBERS.__getitem__, ("html", "input", "li", "link", "meta", "nav", "ol"))
P, PRE, TABLE, TR = map(NUMBERS.__getitem__, ("p", "pre", "table", "tr"))
ARTICLE, ASIDE, MAIN = map(NUMBERS.__getitem__, ("article", "aside", "main"))

# Attributes that say what an element is. Others are never looked at, unless there is a style.
ATTRIBUTES = ("class", "id", "role", "itemprop", "aria-hidden", "aria-expanded", "aria-controls", "type", "start", "style")
STYLE = len(ATTRIBUTES)  # numbers of attributes begin at 1

_FNV_START, _FNV_FACTOR, _MASK = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1
SLOTS = 1 << 10


def name_hash(name: bytes) -> int:
    """64-bit FNV-1a, as the compiled loops take it of a name (Fowler, Noll, Vo)."""
    value = _FNV_START
    for byte in name:
        value = ((value ^ byte) * _FNV_FACTOR) & _MASK
    return value


class Tags(NamedTuple):
    """Tables for the loops: ``hashes``, ``numbers`` (SLOTS,): an open hash table of tag names; ``attributes``, the hashes of
    attribute names in order; ``flags``, ``levels`` (tags,): what a tag is, level of a heading.
    """

    hashes: Array
    numbers: Array
    attributes: Array
    flags: Array
    levels: Array


@cache
def tags() -> Tags:
    """The tables, made at the first call."""
    hashes, numbers = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.int64)
    for number, name in enumerate(NAMES[CUSTOM + 1 :], CUSTOM + 1):
        value = name_hash(name.encode())
        slot = value % SLOTS
        while numbers[slot]:
            slot = (slot + 1) % SLOTS
        hashes[slot], numbers[slot] = value, number
    return Tags(
        hashes,
        numbers,
        np.array([name_hash(name.encode()) for name in ATTRIBUTES], np.uint64),
        np.array([sum(bit for bit, names in _FLAGS.items() if name in names) for name in NAMES], np.int64),
        np.array([HEADINGS.get(name, 0) for name in NAMES], np.int64),
    )
