"""What a page says of itself in its head and in links: addresses, licence, language, date.

Of several that say the same thing, the more deliberate counts: a tag made for search engines before a tag of a library
catalogue, that before an element of the text. Nothing is guessed from prose.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from llm_assets.stages.extract.dates import full_date

_JSON_LD = re.compile(r"""<script[^>]{0,200}application/ld\+json[^>]{0,200}>(.*?)</script""", re.DOTALL | re.IGNORECASE)
_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"]{4,60})"')
_COMMONS = "creativecommons.org/"
# Dublin Core, Highwire (journals), Parsely and Sailthru (news) and older customs, in the order in which they are believed.
_DATE_METAS = (
    "article:published_time",
    "og:published_time",
    "datepublished",
    "citation_publication_date",
    "citation_online_date",
    "citation_date",
    "dcterms.issued",
    "dc.date.issued",
    "dcterms.created",
    "dc.date.created",
    "dcterms.date",
    "dc.date",
    "parsely-pub-date",
    "sailthru.date",
    "pubdate",
    "publishdate",
    "publication_date",
    "date",
)
_LICENSE_METAS = ("dcterms.license", "dc.rights.license", "dcterms.rights", "dc.rights", "cc:license")
_DATED_TYPES = (
    "Article",
    "Posting",
    "Page",
    "Report",
    "Recipe",
    "Review",
    "Book",
    "Thesis",
    "CreativeWork",
    "WebSite",
    "Question",
)
_MAX_JSON_CHARS = 500_000


@dataclass(slots=True)
class Declared:
    """``metas``: ``name``, ``property`` or ``itemprop`` in lower case → content. ``links``: rel → absolute address."""

    metas: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def declared(tree: Any, html: str, url: str) -> Declared:
    """Metas and links of a parsed page; the first of a name counts. ``html``: its source, ``url``: of the page."""
    found = Declared()
    root = tree.head if tree.head is not None and tree.head.first_child is not None else tree.document
    for element in root.query_selector_all("meta[content]"):
        name = element.getattr("name") or element.getattr("property") or element.getattr("itemprop")
        name = (name or element.getattr("http-equiv") or "").lower()
        content = (element.getattr("content") or "").strip()
        if name and content:
            found.metas.setdefault(name, content)
    _add_links(found, root.query_selector_all("link[rel][href]"), url)
    if "license" not in found.links and "license" in html.lower():
        _add_links(found, tree.document.query_selector_all("a[rel][href], link[rel][href]"), url)
    if "license" not in found.links:
        said = _other_license(tree, html, url, found.metas)
        if said:
            found.links["license"] = said
    return found


def _add_links(found: Declared, elements: list[Any], url: str) -> None:
    for element in elements:
        for rel in (element.getattr("rel") or "").lower().split():
            if rel in ("license", "canonical"):
                found.links.setdefault(rel, absolute(url, element.getattr("href")))


def _other_license(tree: Any, html: str, url: str, metas: dict[str, str]) -> str:
    """A licence by Dublin Core, or the Creative Commons licence that the page links to, if it is one and the same.

    Links to several licences are credits of pictures, and say nothing about the text.
    """
    for name in _LICENSE_METAS:
        said = metas.get(name, "")
        if said.startswith(("http://", "https://")):
            return said
    if _COMMONS not in html:
        return ""
    links = tree.document.query_selector_all(f'a[href*="{_COMMONS}licenses/"], a[href*="{_COMMONS}publicdomain/"]')
    named = {absolute(url, link.getattr("href")) for link in links}
    return named.pop() if len(named) == 1 else ""


def absolute(url: str, href: str) -> str:
    """``href`` as an absolute address; "" where it is none."""
    try:
        return urljoin(url, href.strip())
    except ValueError:  # "http://[broken"
        return ""


def language(tree: Any, metas: dict[str, str]) -> str:
    """The language that a page claims, as it writes it: <html lang>, Content-Language, og:locale."""
    root = tree.document.query_selector("html")
    own = (root.getattr("lang") or root.getattr("xml:lang") or "") if root is not None else ""
    return (
        str(own).strip()
        or metas.get("content-language", "").split(",")[0].strip()
        or metas.get("og:locale", "").replace("_", "-")
    )


def published(tree: Any, html: str, metas: dict[str, str], fetched_at: str) -> str:
    """Day of publication, ``YYYY-MM-DD``; "" where nothing says it or what it says can't be.

    ``fetched_at``: ISO time of the capture, "" if unknown: nothing is published after it was fetched.
    """
    return next((day for said in _dates(tree, html, metas) if (day := full_date(said, fetched_at))), "")


def _dates(tree: Any, html: str, metas: dict[str, str]) -> Iterator[str]:
    for name in _DATE_METAS[:2]:
        if name in metas:
            yield metas[name]
    if "datePublished" in html:
        for script in _JSON_LD.findall(html):
            yield from _json_dates(script[:_MAX_JSON_CHARS])
        for element in tree.document.query_selector_all('[itemprop~="datePublished"]'):
            yield element.getattr("datetime") or element.getattr("content") or element.text
    for name in _DATE_METAS[2:]:
        if name in metas:
            yield metas[name]
    if "datetime" in html:
        yield from _time_elements(tree)


def _json_dates(script: str) -> Iterator[str]:
    """``datePublished`` of the page's own entity; of broken JSON, the first there is."""
    try:
        entities = _entities(json.loads(script))
    except (ValueError, RecursionError):
        found = _JSON_DATE.search(script)
        if found:
            yield found[1]
        return
    for entity in entities:
        kind = entity.get("@type", "")
        names = kind if isinstance(kind, list) else [kind]
        said = entity.get("datePublished")
        if isinstance(said, str) and any(str(name).endswith(_DATED_TYPES) for name in names):
            yield said


def _entities(data: Any) -> list[dict[str, Any]]:
    rows = data if isinstance(data, list) else [data]
    found = []
    for row in rows:
        if isinstance(row, dict):
            found.append(row)
            graph = row.get("@graph")
            found += [item for item in graph if isinstance(item, dict)] if isinstance(graph, list) else []
            main = row.get("mainEntity")
            found += [main] if isinstance(main, dict) else []
    return found


def _time_elements(tree: Any) -> Iterator[str]:
    """<time pubdate>, then the first <time datetime> of the first article or of <main>: that of a byline."""
    for selector in ("time[pubdate][datetime]", "article time[datetime]", "main time[datetime]"):
        element = tree.document.query_selector(selector)
        if element is not None:
            yield element.getattr("datetime")
