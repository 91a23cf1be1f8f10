"""Captions: what pages say of an image in its alt text, the caption of its figure, or its title, in this order.

Pages are read by pattern, never by a native parser (core/tags.py says why). Of all that pages say of one image, the best kind
counts, of these what most pages say, then the longest: the order of the crawl plays no part.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from html import unescape
from urllib.parse import urljoin

from llm_assets.core.documents import canonical_url, replace_surrogates
from llm_assets.core.oneline import one_line
from llm_assets.core.tags import attributes, without

KINDS = ("alt", "figcaption", "title")
_QUOTED = rb"""(?:[^<>"']++|"[^"]{0,4000}"|'[^']{0,4000}')*+|[^<>]{0,4000}"""  # a ">" may stand in quotes
_TAG = re.compile(
    rb"<(?:(base|img)(?=[\s/])(?:" + _QUOTED + rb")|(/?fig(?:ure|caption))(?=[\s/>])[^<>]{0,4000})>", re.IGNORECASE
)
_ANY_TAG = re.compile(r"<[^>]*>")
_SOURCES = ("src", "data-src", "data-original", "data-lazy-src")
_MAX_IMAGES = 2_000  # a page
_SPECIMEN = 4_000  # characters of a caption that are looked at

_FILE_NAME = re.compile(r"\S*\.(?:jpe?g|png|gif|webp|bmp|tiff?|svg|avif|ico)", re.IGNORECASE)
_CAMERA_NAME = re.compile(r"(?:img|dsc[nf]?|dscf?|pxl|mvi|screenshot|image|photo|picture)[\s_-]*[\d\s_.()-]*", re.IGNORECASE)
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:|//|www\.)\S*", re.IGNORECASE)
_NOTHING_SAID = frozenset(
    {"pic", "icon", "img", "thumb", "thumbnail", "spacer", "untitled", "placeholder", "null", "undefined", "none", "alt"}
)


@dataclass(frozen=True)
class Caption:
    """What is said of an image, by which kind of text, and a page that says it."""

    text: str = ""
    kind: str = ""
    page_url: str = ""


@dataclass
class Captions:
    """What all pages say of the images of a crawl. ``wanted``: the canonical addresses of these images."""

    wanted: Set[str]
    max_chars: int
    refused: int = 0  # alt texts, captions and titles that say nothing: file names, placeholders
    _said: dict[str, dict[tuple[str, str], tuple[int, str]]] = field(default_factory=dict)

    def read(self, page: bytes, url: str) -> None:
        """Take in a page in UTF-8."""
        best: dict[str, tuple[str, str]] = {}
        for source, texts in images_of(page):
            try:
                address = canonical_url(urljoin(url, source))
            except ValueError:  # data: URIs and the like have no record
                continue
            if address in self.wanted:
                found = self._best(texts)
                if found is not None and (address not in best or _rank(*found) < _rank(*best[address])):
                    best[address] = found
        for address, said in best.items():
            pages, first = self._said.setdefault(address, {}).get(said, (0, url))
            self._said[address][said] = (pages + 1, min(first, url))

    def of(self, *addresses: str) -> Caption:
        """The caption of an image that is known under these addresses; an empty one where no page says anything."""
        counted: Counter[tuple[str, str]] = Counter()
        first: dict[tuple[str, str], str] = {}
        for said, (pages, url) in (item for address in addresses for item in self._said.get(address, {}).items()):
            counted[said] += pages
            first[said] = min(first.get(said, url), url)
        if not counted:
            return Caption()
        kind, text = min(counted, key=lambda said: (KINDS.index(said[0]), -counted[said], -len(said[1]), said[1]))
        return Caption(text, kind, first[kind, text])

    def _best(self, texts: Mapping[str, str]) -> tuple[str, str] | None:
        for kind in KINDS:
            said = texts.get(kind, "")
            text = cleaned(said, self.max_chars)
            if text:
                return kind, text
            self.refused += bool(said.strip())
        return None


def _rank(kind: str, text: str) -> tuple[int, int, str]:
    return KINDS.index(kind), -len(text), text


def images_of(page: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    """(address as written, relative to the page's base; kind of text → text) of the images of a page in UTF-8, in order."""
    data = without(without(page, b"<!--", b"-->"), b"<script", b"</script")
    base, start = "", -1  # start: of the caption that is open
    figure: list[dict[str, str]] | None = None  # texts on the images of the figure that is open
    caption: dict[str, str] = {}  # of that figure
    found: list[tuple[str, dict[str, str]]] = []
    for tag in _TAG.finditer(data):
        name = (tag[1] or tag[2]).lower()
        if name == b"base":
            base = base or attributes(tag[0]).get("href", "")
        elif name == b"img" and len(found) < _MAX_IMAGES:
            given = attributes(tag[0])
            texts = {**caption, **{kind: given[kind] for kind in ("alt", "title") if given.get(kind)}}
            if figure is not None:
                figure.append(texts)
            found += [(urljoin(base, given[source]), texts) for source in _SOURCES if given.get(source)]
        elif name == b"figcaption":
            start = tag.end() if figure is not None else -1
        elif name == b"/figcaption" and start >= 0:
            said = data[start : tag.start()][:_SPECIMEN].decode("utf-8", "replace")
            caption = {"figcaption": unescape(_ANY_TAG.sub(" ", said))}
            for texts in figure or ():
                texts.update(caption)
            start = -1
        elif name in (b"figure", b"/figure"):
            figure, caption, start = [] if name == b"figure" else None, {}, -1
    yield from found


def cleaned(said: str, max_chars: int) -> str:
    """One line without control characters, cut at a word; "" for what says nothing: file names, addresses, placeholders."""
    plain, _ = replace_surrogates(said[:_SPECIMEN])
    text = one_line(plain)
    hollow = text.lower() in _NOTHING_SAID or not any(char.isalpha() for char in text)
    if hollow or any(pattern.fullmatch(text) for pattern in (_FILE_NAME, _CAMERA_NAME, _ADDRESS)):
        return ""
    if len(text) <= max_chars:
        return text
    return text[: max_chars + 1].rpartition(" ")[0] or text[:max_chars]
