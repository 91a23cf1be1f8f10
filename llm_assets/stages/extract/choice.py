"""Which blocks of a page are its main text.

Three steps, each of which measures before it believes:

1. Furniture: ranges whose names say so (``hints``) or whose links do, unless a range holds most of the page's text: then the
   name was wrong ("content-with-sidebar").
2. The place: the smallest element that still holds most of what is left, within <main> or <article> where they hold text.
   Boxes beside it go, but long paragraphs of what surrounds it stay. An element that has twins (posts of a thread) is not
   the place: what holds them all is.
3. Single blocks: a line of links, a heading that repeats the title, headings without text.

Text is weighed by characters outside of links (``Block.weight``). The first two steps are compiled (``choice_kernels``).
"""

import re
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.stages.extract import reader_state as R
from llm_assets.stages.extract.blocks import Block, without_empty_sections, without_repeats
from llm_assets.stages.extract.choice_kernels import Scratch, Thresholds, choose
from llm_assets.stages.extract.reader import Layout

Array = npt.NDArray[Any]

THRESHOLDS = Thresholds(
    # A range that is named furniture goes unless it has more than this share of the page's weight.
    furniture_share=0.4,
    # Footers and notices go whatever their share is, if they are no longer than this: a list of links has little other text.
    notice_weight=250 * R.WEIGHTS,
    # Remarks may outweigh what they are about, but then that must be a text at all.
    remarks_left_share=0.15,
    remarks_left_weight=200 * R.WEIGHTS,
    main_share=0.5,
    core_share=0.8,
    twin_weight=10 * R.WEIGHTS,
    # What stands around the core and is as long as this, without links and ending like a sentence, is text.
    long_prose_weight=120 * R.WEIGHTS,
    # Less than this share of the weight means that the rules have failed on the page.
    min_share=0.1,
    # A line that is no sentence, of no more words, with more links than this; a text of few words that is nearly all links.
    bare_words=25,
    bare_link_share=0.1,
    text_link_share=0.8,
    text_words=30,
)

STOCK_CHARS, STOCK_TIMES = 80, 3
STOCK_PHRASES = re.compile(
    r"(?:posted|published|last (?:updated|modified|edited|changed)|updated|written by|by [A-Z]|back to top|advertisement|"
    r"sponsored|ad: |source: |photo: |share this|read more|tags?: |filed under|categor(?:y|ies): |see also: |"
    r"related (?:articles|posts|stories|topics|links|reading)|articles (?:connexes|liés)|artículos relacionados|"
    r"ähnliche artikel|"
    r"veröffentlicht|zuletzt|anzeige|werbung|publié|publicité|mis à jour|publicado|publicidad|pubblicato|pubblicità|"
    r"geplaatst|реклама|опубликовано|広告|广告|廣告|광고)(?!\w)",
    re.IGNORECASE,
)
ABOVE_TITLE_SHARE = 0.15


def main_blocks(layout: Layout, titles: str) -> list[Block]:
    """The blocks of the main text, in order; ``titles``: what a first heading may repeat."""
    left = layout.blocks(chosen_places(layout))
    return without_repeats(without_empty_sections(_after_title(_without_stock_lines(left, titles), titles)))


def chosen_places(layout: Layout) -> Array:
    """Steps 1 and 2, and lines of links: the numbers of the blocks that are left."""
    size, regions = layout.size, int(layout.state.now[R.N_REGIONS])
    scratch = Scratch(
        np.empty(size + 8, np.int64),
        np.empty(size + 8, np.int64),
        np.empty(size + 1, np.float64),
        np.empty(regions, np.int64),
        np.empty(regions, np.int64),
    )
    choose(layout.given, layout.state, THRESHOLDS, scratch)
    return np.flatnonzero(scratch.keep[:size])


def _without_stock_lines(blocks: list[Block], titles: str) -> list[Block]:
    """Drop lines that are the same all over the page ("Reply") or the title, and short ones that begin with a stock phrase."""
    named = titles.split("\n")
    times = Counter(block.text for block in blocks if block.kind == "bare" and not block.marker)
    return [
        block
        for block in blocks
        if not (
            block.kind in ("bare", "paragraph")
            and len(block.text) <= STOCK_CHARS
            and (
                block.text in named
                or times[block.text] >= STOCK_TIMES
                or (not block.is_sentence and STOCK_PHRASES.match(block.text))
            )
        )
    ]


def _after_title(blocks: list[Block], titles: str) -> list[Block]:
    """Without the heading that repeats the title, and without the little that stands above it."""
    total = sum(block.weight for block in blocks)
    above = 0.0
    for place, block in enumerate(blocks):
        if block.kind == "heading" and _same(block.text, titles):
            return blocks[place + 1 :]
        above += block.weight
        if above > ABOVE_TITLE_SHARE * total:
            break
    return blocks


def _same(heading: str, titles: str) -> bool:
    return bool(heading) and heading.casefold() in titles.casefold()
