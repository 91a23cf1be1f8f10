"""Blocks of a page's main content, and which of them are text.

resiliparse finds the main content and hands it over as minimal HTML. Here that becomes blocks (headings, paragraphs, list
items, preformatted and bare lines), each with the share of its characters that are links: what is mostly links is navigation,
a heading with nothing beneath it announces nothing, and the first heading repeats the title.
"""

import re
from dataclasses import dataclass
from html import unescape
from typing import Literal

Kind = Literal["heading", "paragraph", "item", "pre", "bare"]

# A short line outside of any paragraph that has a link and is no sentence ("Related: Mining") is navigation; so is a paragraph
# or a list that is mostly links. The limits were set by eye on the local site; running text with many links (an encyclopaedia's
# lead) stays below .5 and is longer.
BARE_WORDS = 25
TEXT_LINK_SHARE, TEXT_WORDS = 0.8, 30
LIST_LINK_SHARE = 0.5

# Put before the items of an unordered list by llm_assets.stages.extract.html. ASCII, since resiliparse 2.0 loses an
# inserted text node without any.
BULLET = "|*|"

_TOKEN = re.compile(r"<(/?)(h[1-6]|p|ul|ol|li|pre|br|a)\b[^>]*>|(\n)|([^<\n]+|<)", re.IGNORECASE)
_SENTENCE_ENDS = (".", "!", "?", "…", ".”", ".»", '."', "。")
_SPACES = re.compile(r"[^\S\n]+")


@dataclass
class Block:
    """One block. ``level`` is that of a heading or the depth of a list item; ``link_chars`` of its ``text`` are links."""

    kind: Kind
    text: str = ""
    level: int = 0
    marker: str = ""
    link_chars: int = 0

    @property
    def link_share(self) -> float:
        """Characters in links, of all."""
        return self.link_chars / len(self.text) if self.text else 0.0


class _Reader:
    """Turns minimal HTML into blocks; a small state machine, since the tags are few and well-formed."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._open: Block | None = None
        self._lists: list[tuple[str, int]] = []  # tag, items so far
        self._links = 0
        self._pre = False

    def read(self, markup: str) -> list[Block]:
        for match in _TOKEN.finditer(markup):
            closing, tag, newline, text = match.groups()
            if tag:
                self._tag(tag.lower(), bool(closing))
            elif newline:
                self._newline()
            else:
                self._text(unescape(text))
        self._close()
        return self.blocks

    def _tag(self, tag: str, closing: bool) -> None:
        if tag == "a":
            self._links += -1 if closing else 1
        elif tag == "br":
            self._append("\n")
        elif tag in ("ul", "ol"):
            self._close()
            if closing and self._lists:
                self._lists.pop()
            elif not closing:
                self._lists.append((tag, 0))
        elif closing:
            self._close()
        else:
            self._start(tag)

    def _start(self, tag: str) -> None:
        if tag == "p" and self._open is not None and self._open.kind == "item":
            return  # a paragraph inside of a list item
        self._close()
        if tag == "li":
            self._open = Block("item", level=max(1, len(self._lists)), marker=self._marker())
        elif tag == "pre":
            self._open, self._pre = Block("pre"), True
        elif tag == "p":
            self._open = Block("paragraph")
        else:
            self._open = Block("heading", level=int(tag[1]))

    def _marker(self) -> str:
        if not self._lists:
            return "-"
        tag, count = self._lists[-1]
        self._lists[-1] = (tag, count + 1)
        return f"{count + 1}." if tag == "ol" else "-"

    def _newline(self) -> None:
        if self._pre:
            self._append("\n")
        elif self._open is not None and self._open.kind == "bare":
            self._close()

    def _text(self, text: str) -> None:
        if self._open is None:
            if not text.strip():
                return
            self._open = Block("bare")
        self._append(text)

    def _append(self, text: str) -> None:
        if self._open is not None:
            self._open.text += text
            self._open.link_chars += len(text) if self._links > 0 else 0

    def _close(self) -> None:
        block, self._open, self._pre = self._open, None, False
        if block is None:
            return
        if block.kind == "item" and block.text.lstrip().startswith(BULLET):
            block.marker = "-"
            block.text = block.text.lstrip().removeprefix(BULLET)
        block.text = _tidy(block.text, block.kind)
        if block.text:
            self.blocks.append(block)


def _tidy(text: str, kind: Kind) -> str:
    if kind == "pre":
        return "\n".join(line.rstrip() for line in text.strip("\n").split("\n"))
    lines = (_SPACES.sub(" ", line).strip() for line in text.split("\n"))
    joined = "\n" if kind == "paragraph" else " "
    return joined.join(line for line in lines if line)


def read_blocks(markup: str) -> list[Block]:
    """Blocks of resiliparse's minimal HTML (headings, p, ul, ol, li, pre, br, a), in order, empty ones left out."""
    return _Reader().read(markup)


def main_text(blocks: list[Block], title: str) -> str:
    """The text: paragraphs parted by an empty line, a list's items by a line each, headings as lines of their own.

    Navigation, the heading that repeats ``title``, and headings without a text beneath are left out.
    """
    kept = _without_navigation(blocks)
    if kept and kept[0].kind == "heading" and _same(kept[0].text, title):
        kept = kept[1:]
    kept = _without_empty_sections(kept)
    parts: list[str] = []
    for place, block in enumerate(kept):
        follows_item = place > 0 and kept[place - 1].kind == "item" and block.kind == "item"
        parts.append("" if place == 0 else "\n" if follows_item else "\n\n")
        parts.append("  " * (block.level - 1) + f"{block.marker} {block.text}" if block.kind == "item" else block.text)
    return "".join(parts)


def _same(heading: str, title: str) -> bool:
    return bool(heading) and heading.casefold() in title.casefold()


def _without_navigation(blocks: list[Block]) -> list[Block]:
    kept: list[Block] = []
    place = 0
    while place < len(blocks):
        end = place + 1
        if blocks[place].kind == "item":
            while end < len(blocks) and blocks[end].kind == "item":
                end += 1
            chars = sum(len(block.text) for block in blocks[place:end])
            linked = sum(block.link_chars for block in blocks[place:end])
            if linked <= LIST_LINK_SHARE * chars:
                kept += blocks[place:end]
        elif not _is_navigation(blocks[place]):
            kept.append(blocks[place])
        place = end
    return kept


def _is_navigation(block: Block) -> bool:
    words = block.text.count(" ") + 1
    if block.kind == "bare":
        return block.link_chars > 0 and words <= BARE_WORDS and not block.text.endswith(_SENTENCE_ENDS)
    return block.kind == "paragraph" and block.link_share >= TEXT_LINK_SHARE and words <= TEXT_WORDS


def _without_empty_sections(blocks: list[Block]) -> list[Block]:
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
