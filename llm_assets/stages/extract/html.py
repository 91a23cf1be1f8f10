"""One HTML page → its metadata and main text. Pure; runs in the parser process only, since the parser is native code."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urljoin

from resiliparse.parse.html import HTMLTree

from llm_assets.stages.extract.blocks import render
from llm_assets.stages.extract.choice import main_blocks
from llm_assets.stages.extract.reader import read_layout

_DECLARATIONS = "meta[content], link[rel][href]"
_MARKDOWN_HEADING = re.compile(r"^#{1,2}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_HEADING_CHARS = 2_000  # a title stands at the beginning
_MAX_FIELD_CHARS = 2_000  # metadata longer than this is no title, description or address


@dataclass(frozen=True)
class Page:
    """What a page says of itself, and its main text; "" where it says nothing."""

    title: str = ""
    description: str = ""
    section: str = ""
    license: str = ""
    html_lang: str = ""
    rel_canonical: str = ""
    text: str = ""


def parse_html(html: str, url: str) -> Page:
    """Metadata and main text. ``url`` resolves relative addresses. Raises what the parser raises."""
    tree: Any = HTMLTree.parse(html)
    if tree.document is None or tree.body is None:
        return Page()
    metas, links = _declared(tree, url)
    head_title = " ".join((tree.title or "").split())
    heading = _first_heading(tree)
    title = metas.get("og:title") or (heading if heading and heading in head_title else head_title) or heading
    root = tree.document.query_selector("html")
    return Page(
        title=_field(title),
        description=_field(metas.get("description") or metas.get("og:description", "")),
        section=_field(metas.get("article:section", "")),
        license=_field(links.get("license", "")),
        html_lang=_field((root.getattr("lang") or "") if root is not None else ""),
        rel_canonical=_field(links.get("canonical", "")),
        text=render(main_blocks(read_layout(tree.body.html), f"{title}\n{head_title}")),
    )


def parse_plain(text: str, headers: Mapping[str, str] | None = None, media: str = "text/plain") -> Page:
    """Text or Markdown as it is, with one spelling of line ends.

    Title, language and licence are what the importer of local files put into the ``headers`` (lower-case names) of the record;
    a Markdown text without a title has the one of its first heading.
    """
    said = headers or {}
    clean = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    heading = _MARKDOWN_HEADING.search(clean[:_HEADING_CHARS]) if media == "text/markdown" else None
    return Page(
        title=_field(unquote(said.get("x-document-title", "")) or (heading[1] if heading else "")),
        license=_field(unquote(said.get("x-document-license", ""))),
        html_lang=_field(said.get("content-language", "")),
        text=clean,
    )


def _field(value: str) -> str:
    clean = " ".join(value.split())
    return clean if len(clean) <= _MAX_FIELD_CHARS else ""


def _declared(tree: Any, url: str) -> tuple[dict[str, str], dict[str, str]]:
    """Metas (``name`` or ``property`` in lower case → content) and links (``rel`` → absolute address).

    The first that says something counts.
    """
    metas: dict[str, str] = {}
    links: dict[str, str] = {}
    for element in tree.document.query_selector_all(_DECLARATIONS):
        if element.tag == "meta":
            name = (element.getattr("name") or element.getattr("property") or "").lower()
            content = (element.getattr("content") or "").strip()
            if name and content:
                metas.setdefault(name, content)
            continue
        href = element.getattr("href")
        for rel in (element.getattr("rel") or "").lower().split():
            if rel in ("license", "canonical"):
                links.setdefault(rel, _absolute(url, href))
    return metas, links


def _absolute(url: str, href: str) -> str:
    try:
        return urljoin(url, href.strip())
    except ValueError:  # "http://[broken"
        return ""


def _first_heading(tree: Any) -> str:
    heading = tree.body.query_selector("h1")
    return " ".join(heading.text.split()) if heading is not None else ""
