"""One HTML page → its metadata and main text. Pure; runs in the parser process only, since the parser is native code.

resiliparse (Lexbor) parses as browsers do. Which part of a page is its text, and how that is written down, is decided here:
its own extractor has no way to keep lists, tables and code, and drops whole pages when asked for no furniture. Trafilatura may
be asked instead; what a page says of itself is read the same way for both.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal
from urllib.parse import unquote

from resiliparse.parse.html import HTMLTree

from llm_assets.core.errors import InputError
from llm_assets.stages.extract.blocks import render
from llm_assets.stages.extract.choice import main_blocks
from llm_assets.stages.extract.licenses import license_id
from llm_assets.stages.extract.metadata import Source, declared, first_heading, language, published
from llm_assets.stages.extract.reader import read_layout
from llm_assets.stages.extract.scan import Scan

Extractor = Literal["resiliparse", "trafilatura"]

_MARKDOWN_HEADING = re.compile(r"^#{1,2}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
# A <nav> that holds so much, and so many times what is left, was never closed, or is named wrongly.
MENU_CHARS, MENU_TIMES = 2_000, 10
_HEADING_CHARS = 2_000  # a title stands at the beginning
_MAX_FIELD_CHARS = 2_000  # metadata longer than this is no title, description or address


@dataclass(frozen=True)
class Page:
    """What a page says of itself, and its main text; "" where it says nothing."""

    title: str = ""
    description: str = ""
    section: str = ""
    license: str = ""
    license_id: str = ""
    html_lang: str = ""
    published: str = ""
    rel_canonical: str = ""
    text: str = ""


def check_extractor(extractor: Extractor) -> None:
    """Raise ``InputError`` where the extractor isn't installed."""
    if extractor == "trafilatura" and (find_spec("trafilatura") is None or find_spec("lxml_html_clean") is None):
        raise InputError(
            "extracted_pages.extractor is trafilatura, which is not installed here. Install the extra: "
            "pip install 'llm_assets[trafilatura]', or set extracted_pages.extractor: resiliparse"
        )


def parse_html(html: str, url: str, fetched_at: str = "", extractor: Extractor = "resiliparse") -> Page:
    """Metadata and main text. ``url`` resolves relative addresses; ``fetched_at``: ISO time, "" if unknown.

    Raises what the parser raises, and ``InputError`` where the extractor isn't installed.
    """
    tree: Any = HTMLTree.parse(html)
    if tree.document is None or tree.body is None:
        return Page()
    source = Source.of(tree, html, url)
    said = declared(source)
    head_title = " ".join((tree.title or "").split())
    heading = first_heading(source)
    title = said.metas.get("og:title") or (heading if heading and heading in head_title else head_title) or heading
    license_url = _field(said.links.get("license", ""))
    return Page(
        title=_field(title),
        description=_field(said.metas.get("description") or said.metas.get("og:description", "")),
        section=_field(said.metas.get("article:section", "")),
        license=license_url,
        license_id=license_id(license_url),
        html_lang=_field(language(source, said.metas)),
        published=published(source, said.metas, fetched_at),
        rel_canonical=_field(said.links.get("canonical", "")),
        text=main_text(source.scan, f"{title}\n{head_title}") if extractor == "resiliparse" else trafilatura_text(html, url),
    )


def warm_up() -> None:
    """Load the compiled loops. Where none are kept yet it compiles them, a quarter of a minute that no page should pay for."""
    parse_html("<html><head></head><body><p>A text.</p></body></html>", "")


def main_text(page: Scan, titles: str) -> str:
    """The main text of a page, Markdown-like; ``titles``: what its first heading may repeat."""
    layout = read_layout(page)
    blocks = main_blocks(layout, titles)
    if layout.muted > MENU_CHARS and layout.muted > MENU_TIMES * sum(len(block.text) for block in blocks):
        blocks = main_blocks(read_layout(page, menus=True), titles)
    return render(blocks)


def trafilatura_text(html: str, url: str) -> str:
    """The main text by trafilatura, as Markdown, without comments. Raises ``InputError`` where it isn't installed."""
    check_extractor("trafilatura")
    import trafilatura

    found = trafilatura.extract(html, url=url or None, output_format="markdown", include_comments=False)
    return (found or "").strip()


def parse_plain(text: str, headers: Mapping[str, str] | None = None, media: str = "text/plain") -> Page:
    """Text or Markdown as it is, with one spelling of line ends.

    Title, language and licence are what the importer of local files put into the ``headers`` (lower-case names) of the record;
    a Markdown text without a title has the one of its first heading.
    """
    said = headers or {}
    clean = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    heading = _MARKDOWN_HEADING.search(clean[:_HEADING_CHARS]) if media == "text/markdown" else None
    license_said = _field(unquote(said.get("x-document-license", "")))
    return Page(
        title=_field(unquote(said.get("x-document-title", "")) or (heading[1] if heading else "")),
        license=license_said,
        license_id=license_id(license_said),
        html_lang=_field(said.get("content-language", "")),
        text=clean,
    )


def _field(value: str) -> str:
    clean = " ".join(value.split())
    return clean if len(clean) <= _MAX_FIELD_CHARS else ""
