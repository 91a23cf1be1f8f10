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
from llm_assets.stages.extract.hints import HINTS, Hint, word_set
from llm_assets.stages.extract.tables import Table

# Lists and boxes of which more is links are navigation.
LIST_LINK_SHARE = 0.5
BOX_LINK_SHARE = 0.6
TABLE_LINK_SHARE = 0.7
# A link of so many words that ends like a sentence is text: teasers are often links as a whole.
SENTENCE_WORDS = 10
# A box with a field to type into and no more text than this asks for an address or a search.
FIELD_BOX_CHARS = 250

_RAW = re.compile(
    r"<(script|style|noscript|iframe|xmp|noembed|noframes|svg|select|template|object|video|audio|canvas|datalist|dialog)\b.*?</\1>"
    r"|<!--.*?-->",
    re.DOTALL,
)
_MENU = re.compile(r"<nav\b.*?</nav>", re.DOTALL)
# Attributes as they are serialised; a ">" may stand in a value.
ATTRIBUTES = r'[^">]*(?:"[^"]*"[^">]*)*'
_INLINE = re.compile(
    r"</?(?:span|b|i|em|strong|small|big|font|u|s|strike|del|ins|mark|cite|q|dfn|var|abbr|acronym|bdi|bdo|wbr|sup|sub|ruby|rb|"
    rf"tt|kbd|samp|time|data|picture|label|nobr|img|source)(?:\s{ATTRIBUTES})?>"
)
_TOKEN = re.compile(rf"<(/?)([a-zA-Z][^\s/>]*)({ATTRIBUTES})>([^<]*)")
# Links and inline code become single characters, which pages can't hold: the text between two boxes is then one token.
_LINK, _LINK_END, _CODE, _CODE_END = "\x01", "\x02", "\x03", "\x04"
_MARKS = " \t\r\n\f\x01\x02\x03\x04"
_CONTROL = re.compile(r"[\x01-\x04\x0b]")
_LINK_TAG = re.compile(rf"<a(?:\s{ATTRIBUTES})?>")
_LINKED = re.compile(r"\x01([^\x02]*)\x02")
_LINK_MARKS = re.compile(r"[\x01\x02]")
_ANCHOR = re.compile(r"\x01\s*(?:[§¶#^↩↑]|🔗)?\s*\x02")
_SMALL = r'<(a|span|b|i|em|sup|small|time|label|strong)((?: [a-z-]+="[^"]*")+)>'
_SMALL_NAMED = re.compile(_SMALL)
_SMALL_ELEMENT = re.compile(rf"{_SMALL}((?:(?!</?(?:\1|p|div|li|ul)\b).){{0,400}}?)</\1>", re.DOTALL)
_LANGUAGE = re.compile(r"\b(?:language|lang|highlight-source|highlight|brush|sourceCode)[-:\s]+([a-zA-Z0-9+#]{1,20})\b")
_NO_LANGUAGE = frozenset(("default", "none", "text", "plain", "plaintext", "notranslate", "source", "wrapper", "block", "code"))
_FIELD = re.compile(r'type="(?!text|email|search|tel|password|number)')
_FOLD = ("aria-expanded=", "aria-controls=")
_START = re.compile(r'\bstart="(\d{1,6})"')

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BOXES = word_set(
    "body div section article main aside header footer nav form fieldset figure figcaption blockquote details summary address "
    "hgroup center td th dl dd dt ul ol li table caption p h1 h2 h3 h4 h5 h6 pre tbody thead tfoot tr"
)
# Boxes that begin or end more than a range of blocks.
_OPENERS = frozenset((*_HEADINGS, "ul", "ol", "li", "pre", "p", "dt", "blockquote", "table", "tr", "div"))
_CLOSERS = word_set("ul ol li blockquote td th caption table div section p")
_FIELD_BOXES = word_set("div section p")
_VOID = word_set("input br hr")
_CONTAINERS = word_set("body div section article main td form aside dd details fieldset center blockquote header footer nav")
_LINK_LIMITS = {
    **dict.fromkeys(("ul", "ol"), LIST_LINK_SHARE),
    **dict.fromkeys(("div", "section", "aside", "td", "fieldset", "figure"), BOX_LINK_SHARE),
    "table": TABLE_LINK_SHARE,
}


@dataclass(slots=True)
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
    muted: int = 0  # length of the menus, which were not read, with their mark-up


# An open element: tag, hint; as they were when it began: blocks, characters, those in links, fields to type into; attributes.
_Frame = tuple[str, Hint, int, int, int, int, str]


def without_raw(markup: str) -> str:
    """A serialised page without comments and without what can hold no text: scripts, styles, drawings, choices."""
    return _RAW.sub("", markup)


def read_layout(clean: str, menus: bool = False) -> Layout:
    """``clean``: a body as a parser serialises it (balanced tags in lower case, attributes in double quotes), ``without_raw``.

    ``menus``: read <nav> as well, which is passed over otherwise.
    """
    muted = 0
    if not menus and "<nav" in clean:
        full = len(clean)
        clean = _MENU.sub(lambda found: found[0] if found[0].count("<nav") > 1 else "", clean)
        muted = full - len(clean)
    if any(_is_mute(*element) for element in set(_SMALL_NAMED.findall(clean))):
        for _ in range(2):  # inner ones first
            clean = _SMALL_ELEMENT.sub(lambda found: " " if _is_mute(found[1], found[2]) else found[0], clean)
    layout = _Reader().read(_marked(clean), menus)
    layout.muted += muted
    return layout


def _is_mute(tag: str, attributes: str) -> bool:
    """Small inline elements that are named furniture (an edit link, a price, a text for screen readers), and links no text."""
    if tag == "a":
        return HINTS[tag, attributes] is Hint.MUTE
    return HINTS["span", attributes] in (Hint.MUTE, Hint.FURNITURE, Hint.NOTICE)


def _marked(clean: str) -> str:
    """Without inline tags; links and code as marks."""
    text = _CONTROL.sub("", clean) if _CONTROL.search(clean) else clean
    text = _LINK_TAG.sub(_LINK, _INLINE.sub("", text)).replace("</a>", _LINK_END)
    return text.replace("<code>", _CODE).replace("</code>", _CODE_END)


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
        self._in_link = False
        self._quotes = self._breaks = self._fields = self._language_depth = 0
        self._chars = self._linked = 0  # of the blocks so far, without those in lists and boxes of links

    def read(self, markup: str, menus: bool) -> Layout:
        skipped, depth = "", 0
        self._text(markup[: markup.find("<")] if "<" in markup else markup)
        for closing, tag, attributes, text in _TOKEN.findall(markup):
            if skipped:
                if tag == skipped:
                    depth += -1 if closing else 1
                if depth:
                    self.layout.muted += len(text) + len(tag) if skipped == "nav" else 0
                    continue
                skipped = ""
            elif closing:
                if tag in _BOXES:
                    if self._open is not None:
                        self._close()
                    self._pop()
                else:
                    self._inline_ends(tag)
            else:
                kind = HINTS[tag, attributes]
                if kind is Hint.MUTE and not (menus and tag == "nav") and not self._is_fold(tag, attributes):
                    if tag not in _VOID:
                        skipped, depth = tag, 1
                    continue
                if tag in _BOXES:
                    if self._open is not None:
                        self._close()
                    self._stack.append((tag, kind, len(self._blocks), self._chars, self._linked, self._fields, attributes))
                    if tag in _OPENERS:
                        self._opened(tag, attributes)
                else:
                    self._inline(tag, attributes)
            if text and (self._open is not None or not text.isspace()):
                self._text(text)
        self._close()
        while self._stack:
            self._pop()
        return self.layout

    def _is_fold(self, tag: str, attributes: str) -> bool:
        """A button that opens a text is that text's heading (at a heading's start, or with a state); others say nothing."""
        if tag != "button":
            return False
        heads = self._in_heading() and not "".join(self._parts).strip(_MARKS)
        return heads or any(name in attributes for name in _FOLD)

    def _in_heading(self) -> bool:
        return self._open is not None and self._open.kind == "heading"

    def _inline(self, tag: str, attributes: str) -> None:
        if tag == "br":
            self._break()
        elif tag == "code":  # one with a name, maybe that of a language
            self._speaks(attributes)
            self._text(_CODE)
        elif tag == "input":
            self._fields += _FIELD.search(attributes) is None
        elif tag == "hr" or (tag == "button" and not self._in_heading()):
            self._close()
        elif "-" in tag and self._open is not None:
            self._text(" ")

    def _inline_ends(self, tag: str) -> None:
        if tag == "button" and not self._in_heading():
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

    def _pop(self) -> None:
        if not self._stack:
            return
        tag, kind, start, chars, linked, fields, attributes = self._stack.pop()
        data = False
        if self._language and len(self._stack) < self._language_depth:
            self._language = ""
        if tag in _CLOSERS:
            data = self._closed(tag, start)
            if self._fields > fields and tag in _FIELD_BOXES and self._is_field_box(start):
                kind = Hint.FURNITURE
        end = len(self._blocks)
        if end == start:
            return
        here = self._linked - linked
        limit = _LINK_LIMITS.get(tag) if here else None
        links = limit is not None and here > limit * (self._chars - chars)
        if links or (kind is not Hint.NONE and kind is not Hint.TEXT):
            self.layout.regions.append(Range(start, end, tag, kind, links))
        if links:  # what is navigation weighs nothing in the boxes around it
            self._chars, self._linked = chars, linked
        if tag in _CONTAINERS or (tag == "table" and not data):
            self.layout.containers.append(Range(start, end, tag, kind, False, attributes))

    def _closed(self, tag: str, start: int) -> bool:
        """What the end of an element means besides a range; True where it was a table of data."""
        if tag in ("ul", "ol"):
            self._lists.pop()
        elif tag == "li":
            self._marker = ""
        elif tag == "blockquote":
            self._quotes -= 1
        elif tag == "table":
            return self._table(start)
        elif tag in ("td", "th"):
            if self._tables:
                self._tables[-1].cell(start, len(self._blocks))
        elif tag == "caption" and self._tables:
            self._tables[-1].captions = len(self._blocks) - start
        return False

    def _is_field_box(self, start: int) -> bool:
        inside = self._blocks[start:]
        return sum(len(block.text) for block in inside) <= FIELD_BOX_CHARS and all(block.kind != "pre" for block in inside)

    def _table(self, start: int) -> bool:
        table = self._tables.pop()
        if self._tables:
            self._tables[-1].nested = True
        first = start + table.captions
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
        if self._open is None:
            if not text.strip(_MARKS):
                if _LINK in text or _LINK_END in text:
                    self._in_link = text.rfind(_LINK) > text.rfind(_LINK_END)
                return
            self._begin("bare")
        assert self._open is not None
        if self._breaks and text.strip(_MARKS):
            self._broken(self._open)
        self._parts.append(text)

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

    def _next_marker(self) -> str:
        if not self._lists or self._lists[-1] < 0:
            return "-"
        self._lists[-1] += 1
        return f"{self._lists[-1]}."

    def _close(self) -> None:
        block, self._open = self._open, None
        if block is None:
            return
        text = "".join(self._parts)
        if self._in_link or _LINK in text or _LINK_END in text:
            text = self._unlinked(block, text)
        if _CODE in text or _CODE_END in text:
            ticks = block.kind != "pre" and text.count(_CODE) == text.count(_CODE_END)
            text = text.replace(_CODE, "`" if ticks else "").replace(_CODE_END, "`" if ticks else "")
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

    def _unlinked(self, block: Block, text: str) -> str:
        """Text without the marks of links, whose characters are counted; a link may go on in the next block."""
        text = f"{_LINK}{text}" if self._in_link else text
        self._in_link = text.rfind(_LINK) > text.rfind(_LINK_END)
        text = f"{text}{_LINK_END}" if self._in_link else text
        if block.kind != "pre":
            text = _ANCHOR.sub("", text).replace(f"{_LINK_END}{_LINK}", f"{_LINK_END} {_LINK}")
        block.link_chars = sum(map(len, _LINKED.findall(text)))
        return _LINK_MARKS.sub("", text)
