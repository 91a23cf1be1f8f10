"""Which blocks of a page are its main text.

Three steps, each of which measures before it believes:

1. Furniture: ranges whose names say so (``hints``) or whose links do, unless a range holds most of the page's text: then the
   name was wrong ("content-with-sidebar").
2. The place: the smallest element that still holds most of what is left, within <main> or <article> where they hold text.
   Boxes beside it go, but long paragraphs of what surrounds it stay. An element that has twins (posts of a thread) is not
   the place: what holds them all is.
3. Single blocks: a line of links, a heading that repeats the title, headings without text.

Text is weighed by characters outside of links (``Block.weight``).
"""

import re
from collections import Counter
from itertools import accumulate

from llm_assets.stages.extract.blocks import Block, without_empty_sections, without_repeats
from llm_assets.stages.extract.hints import Hint
from llm_assets.stages.extract.reader import Layout, Range

# A range that is named furniture goes unless it has more than this share of the page's weight.
FURNITURE_SHARE = 0.4
# Footers and notices go whatever their share is, if they are no longer than this: a list of links has little other text.
NOTICE_WEIGHT = 250
# Remarks may outweigh what they are about, but then that must be a text at all.
REMARKS_LEFT_SHARE, REMARKS_LEFT_WEIGHT = 0.15, 200
MAIN_SHARE = 0.5
CORE_SHARE = 0.8
TWIN_WEIGHT = 10
# What stands around the core and is as long as this, without links and ending like a sentence, is text.
LONG_PROSE_CHARS = 120
# Less than this share of the weight means that the rules have failed on the page.
MIN_SHARE = 0.1

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

BARE_WORDS, BARE_LINK_SHARE = 25, 0.1
TEXT_LINK_SHARE, TEXT_WORDS = 0.8, 30


def main_blocks(layout: Layout, titles: str) -> list[Block]:
    """The blocks of the main text, in order; ``titles``: what a first heading may repeat."""
    blocks = layout.blocks
    weights = [block.weight for block in blocks]
    total = sum(weights)
    kept = _without_furniture(layout, weights, total)
    chosen = _core(layout, kept, weights)
    if total and sum(w for w, keep in zip(weights, chosen, strict=True) if keep) < max(1.0, MIN_SHARE * total):
        chosen = _without_furniture(layout, weights, total, lenient=True)
    left = [block for block, keep in zip(blocks, chosen, strict=True) if keep and not _is_navigation(block)]
    return without_repeats(without_empty_sections(_after_title(_without_stock_lines(left, titles), titles)))


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
                or (STOCK_PHRASES.match(block.text) and not block.is_sentence)
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


def _without_furniture(layout: Layout, weights: list[float], total: float, lenient: bool = False) -> list[bool]:
    """Which blocks are in no furniture. ``lenient``: believe tags and links, but no names."""
    keep = [True] * len(weights)
    left = total
    for region in sorted(layout.regions, key=lambda region: (region.kind is Hint.REMARKS, region.start - region.end)):
        if lenient and not region.links and region.kind is not Hint.NOTICE and region.tag not in ("nav", "aside"):
            continue
        places = [place for place in range(region.start, region.end) if keep[place]]
        if region.kind is Hint.HEADER and not region.links:
            places = [place for place in places if _is_header_line(layout.blocks[place])]
        held = sum(weights[place] for place in places)
        if region.links or _may_go(region, held, left, total):
            for place in places:
                keep[place] = False
            left -= held
    return keep


def _may_go(region: Range, held: float, left: float, total: float) -> bool:
    if region.kind is Hint.REMARKS:
        return left - held >= max(REMARKS_LEFT_WEIGHT, REMARKS_LEFT_SHARE * total)
    return held <= FURNITURE_SHARE * total or (region.kind is Hint.NOTICE and held < NOTICE_WEIGHT)


def _is_header_line(block: Block) -> bool:
    return block.kind != "heading" and not _is_long_prose(block)


def _is_long_prose(block: Block) -> bool:
    return block.kind in ("paragraph", "bare", "pre") and block.weight >= LONG_PROSE_CHARS and block.is_sentence


def _core(layout: Layout, keep: list[bool], weights: list[float]) -> list[bool]:
    sums = [0.0, *accumulate(w if kept else 0.0 for w, kept in zip(weights, keep, strict=True))]

    def held(place: Range) -> float:
        return sums[place.end] - sums[place.start]

    total = sums[-1]
    named = [
        r for r in layout.containers if (r.tag in ("main", "article") or r.kind is Hint.TEXT) and held(r) >= MAIN_SHARE * total
    ]
    main = _smallest(named, Range(0, len(keep), "body", Hint.NONE))
    inside = [place for place in layout.containers if main.start <= place.start and place.end <= main.end]
    core = _smallest([place for place in inside if held(place) >= CORE_SHARE * held(main)], main)
    twins = [place for place in inside if _twins(place, core) and held(place) >= TWIN_WEIGHT]
    if len(twins) > 1:  # one of several posts, answers or entries
        first, last = min(place.start for place in twins), max(place.end for place in twins)
        core = _smallest([place for place in inside if place.start <= first and last <= place.end], main)
    around = [place for place in inside if place.start <= core.start and core.end <= place.end and place != core]
    outer = _smallest(around, core)
    return [
        kept
        and main.start <= place < main.end
        and (
            core.start <= place < core.end
            or _is_long_prose(block)
            or (block.kind == "table" and outer.start <= place < outer.end)
        )
        for place, (kept, block) in enumerate(zip(keep, layout.blocks, strict=True))
    ]


def _smallest(places: list[Range], otherwise: Range) -> Range:
    return min(places, key=lambda place: place.end - place.start, default=otherwise)


def _twins(one: Range, other: Range) -> bool:
    """Whether two elements are of one make: same tag and same classes."""
    return one.tag == other.tag and one.classes == other.classes != ""


def _same(heading: str, titles: str) -> bool:
    return bool(heading) and heading.casefold() in titles.casefold()


def _is_navigation(block: Block) -> bool:
    if block.marker or block.kind not in ("bare", "paragraph"):
        return False
    words = block.text.count(" ") + 1
    if block.kind == "bare" and block.link_chars > 0 and words <= BARE_WORDS and not block.is_sentence:
        return block.link_share > BARE_LINK_SHARE
    return block.link_share >= TEXT_LINK_SHARE and words <= TEXT_WORDS
