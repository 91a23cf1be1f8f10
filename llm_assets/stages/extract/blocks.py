"""Blocks of a page, and how they are written: Markdown-like text that reads as the page does.

Headings carry their ``#``, items their mark and depth, code its fence and indentation, tables a line a row, quotations ``>``.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Kind = Literal["heading", "paragraph", "bare", "pre", "table"]

SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "؟", "।", '."', ".”", ".»", ".)", "」", "。）")


@dataclass(slots=True)
class Block:
    """One block. ``kind``: "bare" is text outside of any paragraph. ``level``: of a heading, 1 to 6.

    ``marker`` is that of the list item that begins here ("-", "3."), "" otherwise; ``indent`` and ``quotes`` count the lists
    and quotations around. ``link_chars`` of ``text`` are links. ``language``: of code, where it says so.
    ``weight``: characters that speak for text, outside of links; those of a short line that is no sentence count little.
    ``is_sentence``: whether it ends as sentences do.
    """

    kind: Kind
    text: str = ""
    level: int = 0
    marker: str = ""
    indent: int = 0
    quotes: int = 0
    link_chars: int = 0
    language: str = ""
    weight: float = 0.0
    is_sentence: bool = False

    @property
    def link_share(self) -> float:
        """Characters in links, of all."""
        return min(1.0, self.link_chars / len(self.text)) if self.text else 0.0


def render(blocks: list[Block]) -> str:
    """The text: blocks parted by an empty line, what belongs to one list by a line end."""
    parts = []
    for place, block in enumerate(blocks):
        if place:
            parts.append(_gap(blocks[place - 1], block))
        parts.append(_written(block))
    return "".join(parts)


def _gap(before: Block, block: Block) -> str:
    quote = "> " * min(before.quotes, block.quotes)
    if before.indent and block.indent and "heading" not in (before.kind, block.kind):
        return "\n"
    return f"\n{quote.rstrip()}\n"


def _written(block: Block) -> str:
    text = block.text
    if block.kind == "heading":
        text = f"{'#' * block.level} {text}"
    elif block.kind == "pre":
        fence = "```" if "```" not in text else "~~~~"
        text = f"{fence}{block.language}\n{text}\n{fence}"
    margin = "> " * block.quotes
    if not block.indent:
        return text if not margin else margin + text.replace("\n", f"\n{margin}")
    inner = margin + "  " * block.indent
    first = margin + "  " * (block.indent - 1) + (f"{block.marker} " if block.marker else "  ")
    return first + text.replace("\n", f"\n{inner}")


def without_empty_sections(blocks: list[Block]) -> list[Block]:
    """Drop a heading unless text follows before the next heading of its own level or above."""
    kept: list[Block] = []
    filled_below = 7  # lowest heading level of what is kept further down, once it has text; 7: text without a heading
    has_text = False
    for block in reversed(blocks):
        if block.kind != "heading":
            kept.append(block)
            has_text, filled_below = True, 7
        elif has_text and block.level < filled_below:
            kept.append(block)
            filled_below = block.level
    return kept[::-1]


def without_repeats(blocks: list[Block]) -> list[Block]:
    """Drop a block that says the same as the one before it: hidden twins for small screens and for print."""
    return blocks[:1] + [block for before, block in pairwise(blocks) if block.text != before.text or block.kind != before.kind]
