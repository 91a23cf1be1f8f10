"""From a parsed page, serialised again and thus well-formed, to its blocks, and to the places where they stand.

One pass over the tags. Inline mark-up is taken out first by one expression, which leaves a third of the tags of a page with
highlighted code; what remains goes through a small machine that keeps a stack of open elements. A block is a run of text
between tags that break lines; a region is a range of blocks that an element's names or links make furniture; a container is a
range of blocks that one element holds, among which ``llm_assets.stages.extract.choice`` finds the main one.
"""

import re
from dataclasses import dataclass, field
from html import unescape

from llm_assets.stages.extract.blocks import BREAK, Block, Kind, tidy
from llm_assets.stages.extract.hints import Hint, hint, word_set
from llm_assets.stages.extract.tables import Table

# Lists and boxes of which more is links are navigation.
LIST_LINK_SHARE = 0.5
BOX_LINK_SHARE = 0.6
TABLE_LINK_SHARE = 0.7
# A link of so many words that ends like a sentence is text: teasers are often links as a whole.
SENTENCE_WORDS = 10
# A box with a field to type into and no more text than this asks for an address or a search.
FIELD_BOX_CHARS = 250

_RAW = re.compile(r"<(script|style|noscript|iframe|xmp|noembed|noframes)\b.*?</\1>|<!--.*?-->", re.DOTALL)
_ATTRIBUTES = r'[^">]*(?:"[^"]*"[^">]*)*'
_INLINE = re.compile(
    r"</?(?:span|b|i|em|strong|small|big|font|u|s|strike|del|ins|mark|cite|q|dfn|var|abbr|acronym|bdi|bdo|wbr|sup|sub|ruby|rb|"
    rf"tt|kbd|samp|time|data|picture|label|nobr|img|source)(?:\s{_ATTRIBUTES})?>"
)
_TOKEN = re.compile(rf"<(/?)([a-zA-Z][^\s/>]*)({_ATTRIBUTES})>([^<]*)")
_SMALL = r'<(span|b|i|em|sup|small|time|label|strong)((?: [a-z-]+="[^"]*")+)>'
_SMALL_NAMED = re.compile(_SMALL)
_SMALL_ELEMENT = re.compile(rf"{_SMALL}((?:(?!</?(?:\1|p|div|li|ul)\b).){{0,400}}?)</\1>", re.DOTALL)
_LANGUAGE = re.compile(r"\b(?:language|lang|highlight-source|highlight|brush|sourceCode)[-:\s]+([a-zA-Z0-9+#]{1,20})\b")
_NO_LANGUAGE = frozenset(("default", "none", "text", "plain", "plaintext", "notranslate", "source", "wrapper", "block", "code"))
_FIELD = re.compile(r'type="(?!text|email|search|tel|password|number)')
_FOLD = ("aria-expanded=", "aria-controls=")
_ANCHORS = ("§", "¶", "#", "🔗", "^", "↩", "↑")
_START = re.compile(r'\bstart="(\d{1,6})"')

_SKIPPED = word_set(
    "svg template object video audio canvas button select textarea datalist map dialog annotation annotation-xml rp rt head "
    "title progress meter legend optgroup option frameset menu"
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BOXES = word_set(
    "body div section article main aside header footer nav form fieldset figure figcaption blockquote details summary address "
    "hgroup center td th dl dd dt ul ol li table caption p h1 h2 h3 h4 h5 h6 pre tbody thead tfoot tr"
)
# Boxes that begin or end more than a range of blocks.
_OPENERS = frozenset((*_HEADINGS, "ul", "ol", "li", "pre", "p", "dt", "blockquote", "table", "tr", "div"))
_CLOSERS = word_set("ul ol li blockquote td th caption table div section p")
_CONTAINERS = word_set("body div section article main td form aside dd details fieldset center blockquote header footer nav")
_NO_HINTS = word_set("tr tbody thead tfoot li body html dt dd")
_LINK_LIMITS = {
    **dict.fromkeys(("ul", "ol"), LIST_LINK_SHARE),
    **dict.fromkeys(("div", "section", "aside", "td", "fieldset", "figure"), BOX_LINK_SHARE),
    "table": TABLE_LINK_SHARE,
}


@dataclass(frozen=True, slots=True)
class Range:
    """Blocks ``start`` to ``end`` (exclusive) of an element; ``kind`` is what its names say."""

    start: int
    end: int
    tag: str
    kind: Hint
    links: bool = False  # navigation by its share of links
    attributes: str = ""


@dataclass(slots=True)
class Layout:
    """A page's blocks in order, ranges that look like furniture (inner ones first), and containers (inner ones first)."""

    blocks: list[Block] = field(default_factory=list)
    regions: list[Range] = field(default_factory=list)
    containers: list[Range] = field(default_factory=list)


@dataclass(slots=True)
class _Frame:
    """An open element, and the counts as they were when it began."""

    tag: str
    kind: Hint
    start: int
    chars: int
    linked: int
    fields: int
    attributes: str


def read_layout(markup: str) -> Layout:
    """``markup``: a body as a parser serialises it: balanced tags in lower case, attributes in double quotes."""
    clean = _RAW.sub("", markup)
    if any(_is_mute(attributes) for _, attributes in set(_SMALL_NAMED.findall(clean))):
        for _ in range(2):  # inner ones first
            clean = _SMALL_ELEMENT.sub(lambda found: " " if _is_mute(found[2]) else found[0], clean)
    return _Reader().read(_INLINE.sub("", clean))


def _is_mute(attributes: str) -> bool:
    """Small inline elements that are named furniture: an edit link, a price, a text for screen readers."""
    return hint("span", attributes) in (Hint.MUTE, Hint.FURNITURE)


class _Reader:
    def __init__(self) -> None:
        self.layout = Layout()
        self._blocks = self.layout.blocks
        self._stack: list[_Frame] = []
        self._lists: list[int] = []  # the last number of an ordered list, -1 of a list without numbers
        self._tables: list[Table] = []
        self._open: Block | None = None
        self._parts: list[str] = []
        self._marker = self._language = ""
        self._after_link = self._ticked = False
        self._links = self._quotes = self._breaks = self._fields = self._language_depth = 0
        self._chars = self._linked = 0  # of the blocks so far, without those in lists and boxes of links

    def read(self, markup: str) -> Layout:
        skipped, depth = "", 0
        self._text(markup[: markup.find("<")] if "<" in markup else markup)
        for closing, tag, attributes, text in _TOKEN.findall(markup):
            if skipped:
                if tag == skipped:
                    depth += -1 if closing else 1
                if depth:
                    continue
                skipped = ""
            elif closing:
                self._end(tag)
            else:
                kind = hint(tag, attributes) if attributes and tag not in _NO_HINTS else Hint.NONE
                if kind is Hint.MUTE or (tag in _SKIPPED and not self._is_fold(tag, attributes)):
                    if tag not in ("input", "br", "hr"):
                        skipped, depth = tag, 1
                    continue
                self._start(tag, attributes, kind)
            if text and (self._open is not None or not text.isspace()):
                self._text(text)
        while self._stack:
            self._end(self._stack[-1].tag)
        self._close()
        return self.layout

    def _is_fold(self, tag: str, attributes: str) -> bool:
        """A button that opens a text is that text's heading (at a heading's start, or with a state); others say nothing."""
        if tag != "button":
            return False
        heads = self._in_heading() and not "".join(self._parts).strip()
        return heads or any(name in attributes for name in _FOLD)

    def _in_heading(self) -> bool:
        return self._open is not None and self._open.kind == "heading"

    def _start(self, tag: str, attributes: str, kind: Hint) -> None:
        if tag in _BOXES:
            if self._open is not None:
                self._close()
            if not attributes and tag not in _NO_HINTS:
                kind = hint(tag, "")
            self._stack.append(_Frame(tag, kind, len(self._blocks), self._chars, self._linked, self._fields, attributes))
            if tag in _OPENERS:
                self._opened(tag, attributes)
        elif tag == "a":
            if self._after_link and self._open is not None:
                self._text(" ")
            self._links += 1
        elif tag == "code":
            self._code(attributes)
        elif tag == "br":
            self._break()
        elif tag == "input":
            self._fields += _FIELD.search(attributes) is None
        elif tag == "hr" or (tag == "button" and not self._in_heading()):
            self._close()
        elif "-" in tag and self._open is not None:
            self._text(" ")

    def _opened(self, tag: str, attributes: str) -> None:
        if tag == "div":
            self._speaks(attributes)
        elif tag in ("p", "dt"):
            self._begin("paragraph")
        elif tag == "li":
            self._marker = self._next_marker()
        elif tag in ("ul", "ol"):
            first = _START.search(attributes)
            self._lists.append((int(first[1]) - 1 if first else 0) if tag == "ol" else -1)
        elif tag in _HEADINGS:
            self._begin("heading", _HEADINGS[tag])
        elif tag == "tr":
            if self._tables:
                self._tables[-1].row()
        elif tag == "table":
            self._tables.append(Table())
        elif tag == "pre":
            self._speaks(attributes)
            self._begin("pre")
        else:
            self._quotes += 1

    def _end(self, tag: str) -> None:
        if tag in _BOXES:
            if self._open is not None:
                self._close()
            if self._stack:
                self._pop()
        elif tag == "a":
            self._links = max(0, self._links - 1)
            self._after_link = True
            if self._parts and self._parts[-1].strip() in _ANCHORS and self._open is not None and self._open.kind != "pre":
                self._parts.pop()
        elif tag == "code":
            self._code_ends()
        elif tag == "button" and not self._in_heading():
            self._close()
        elif "-" in tag and self._open is not None:
            self._text(" ")

    def _pop(self) -> None:
        frame = self._stack.pop()
        tag, data = frame.tag, False
        if self._language and len(self._stack) < self._language_depth:
            self._language = ""
        if tag in _CLOSERS:
            data = self._closed(frame)
        end = len(self._blocks)
        if end == frame.start:
            return
        kind, linked = frame.kind, self._linked - frame.linked
        limit = _LINK_LIMITS.get(tag) if linked else None
        links = limit is not None and linked > limit * (self._chars - frame.chars)
        if links or kind not in (Hint.NONE, Hint.TEXT):
            self.layout.regions.append(Range(frame.start, end, tag, kind, links))
        if links:  # what is navigation weighs nothing in the boxes around it
            self._chars, self._linked = frame.chars, frame.linked
        if tag in _CONTAINERS or (tag == "table" and not data):
            self.layout.containers.append(Range(frame.start, end, tag, kind, False, frame.attributes))

    def _closed(self, frame: _Frame) -> bool:
        """What the end of an element means besides a range; True where it was a table of data."""
        tag = frame.tag
        if tag in ("ul", "ol"):
            self._lists.pop()
        elif tag == "li":
            self._marker = ""
        elif tag == "blockquote":
            self._quotes -= 1
        elif tag == "table":
            return self._table(frame)
        elif tag in ("td", "th"):
            if self._tables:
                self._tables[-1].cell(frame.start, len(self._blocks))
        elif tag == "caption":
            if self._tables:
                self._tables[-1].captions = len(self._blocks) - frame.start
        elif self._fields > frame.fields and self._is_field_box(frame):
            frame.kind = Hint.FURNITURE
        return False

    def _is_field_box(self, frame: _Frame) -> bool:
        inside = self._blocks[frame.start :]
        return sum(len(block.text) for block in inside) <= FIELD_BOX_CHARS and all(block.kind != "pre" for block in inside)

    def _table(self, frame: _Frame) -> bool:
        table = self._tables.pop()
        if self._tables:
            self._tables[-1].nested = True
        first = frame.start + table.captions
        made = table.as_block(self._blocks, first)
        if made is None:
            return False
        self._blocks[first:] = [made]
        for ranges in (self.layout.regions, self.layout.containers):
            while ranges and ranges[-1].start >= first:
                ranges.pop()
        return True

    def _begin(self, kind: Kind, level: int = 0) -> None:
        marker, self._marker = self._marker, ""
        self._open = Block(kind, "", level, marker, len(self._lists) or int(bool(marker)), self._quotes)
        self._parts, self._breaks = [], 0

    def _text(self, text: str) -> None:
        blank = text.isspace()
        if self._open is None:
            if blank or not text:
                return
            self._begin("bare")
        assert self._open is not None
        if self._breaks and not blank:
            self._broken(self._open)
        self._parts.append(text)
        self._after_link = False
        if self._links and not blank:
            self._open.link_chars += len(text)

    def _broken(self, block: Block) -> None:
        """One <br> is a line end, more are a new paragraph."""
        if self._breaks == 1:
            self._parts.append(BREAK)
        else:
            self._close()
            self._begin("bare" if block.kind == "heading" else block.kind)
        self._breaks = 0

    def _break(self) -> None:
        if self._open is not None:
            if self._open.kind == "pre":
                self._parts.append("\n")
            else:
                self._breaks += 1

    def _speaks(self, attributes: str) -> None:
        """Remember the language of code that an element names, as long as it is open."""
        found = _LANGUAGE.search(attributes) if attributes else None
        name = found[1].lower() if found else ""
        if name and name not in _NO_LANGUAGE:
            self._language, self._language_depth = name, len(self._stack)

    def _code(self, attributes: str) -> None:
        if self._open is None:
            self._begin("bare")
        assert self._open is not None
        if self._open.kind == "pre":
            self._speaks(attributes)
        elif not self._ticked:
            self._parts.append("`")
            self._ticked = True

    def _code_ends(self) -> None:
        if self._ticked:
            self._parts.append("`")
            self._ticked = False

    def _next_marker(self) -> str:
        if not self._lists or self._lists[-1] < 0:
            return "-"
        self._lists[-1] += 1
        return f"{self._lists[-1]}."

    def _close(self) -> None:
        block, self._open = self._open, None
        if block is None:
            return
        if self._ticked:  # code that goes on in the next block
            self._code_ends()
        text = "".join(self._parts)
        block.text = tidy(unescape(text) if "&" in text else text, block.kind)
        if not block.text:
            self._marker = self._marker or block.marker
            return
        if block.kind == "pre":
            block.language = self._language
        elif block.link_chars and block.kind != "heading" and block.is_sentence:
            words = block.text.count(" ") + 1
            if words >= SENTENCE_WORDS and block.link_share > LIST_LINK_SHARE:
                block.link_chars = 0
        self._blocks.append(block)
        if block.kind != "heading":
            self._chars += len(block.text)
            self._linked += min(block.link_chars, len(block.text))
