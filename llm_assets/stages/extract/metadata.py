"""What a page says of itself in its head and in links: addresses, licence, language, date.

Of several that say the same thing, the more deliberate counts: a tag made for search engines before a tag of a library
catalogue, that before an element of the text. Nothing is guessed from prose.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html import unescape
from typing import Any
from urllib.parse import urljoin

from llm_assets.stages.extract import tags as T
from llm_assets.stages.extract.dates import full_date
from llm_assets.stages.extract.scan import Scan

_JSON_LD = re.compile(r"""<script[^>]{0,200}application/ld\+json[^>]{0,200}>(.*?)</script""", re.DOTALL | re.IGNORECASE)
_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"]{4,60})"')
_COMMONS = "creativecommons.org/"
_COMMONS_LICENSES = (f"{_COMMONS}licenses/", f"{_COMMONS}publicdomain/")
_ATTRIBUTE = re.compile(r'([^\s"/>=]+)="([^"]*)"')
_DATED = re.compile(r'<[a-z][a-z0-9]*\s([^<>]*\bitemprop="[^"<>]*\bdatePublished\b[^<>]*)>([^<]*)')
_TIME = re.compile(r'<time\s([^<>]*\bdatetime="[^<>]*)>')
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


@dataclass(frozen=True)
class Source:
    """A page: ``html`` as it came, and ``scan`` of it as the parser serialises it."""

    html: str
    url: str
    scan: Scan

    @classmethod
    def of(cls, tree: Any, html: str, url: str) -> "Source":
        """``tree``: resiliparse's, of ``html``."""
        return cls(html, url, Scan.of(tree.document.html))

    @cached_property
    def text(self) -> str:
        """The serialised body without scripts and comments."""
        return "".join(self.scan.markup())


@dataclass(slots=True)
class Declared:
    """``metas``: ``name``, ``property`` or ``itemprop`` in lower case → content. ``links``: rel → absolute address."""

    metas: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)


def declared(source: Source) -> Declared:
    """Metas and links of a page; the first of a name counts."""
    found = Declared()
    scan = source.scan
    said_so = [(place, tag) for place, tag in scan.noted if tag in (T.META, T.LINK)]
    for place, tag in [one for one in said_so if one[0] < scan.body] or said_so:
        said = _attributes(scan.attributes(place))
        if tag == T.LINK:
            _add_links(found, said, source.url)
            continue
        name = said.get("name") or said.get("property") or said.get("itemprop") or said.get("http-equiv", "")
        content = said.get("content", "").strip()
        if name and content:
            found.metas.setdefault(name.lower(), content)
    if "license" not in found.links:
        for attributes in scan.links_with(b"license"):
            _add_links(found, _attributes(attributes), source.url)
    if "license" not in found.links:
        said_license = _other_license(source, found.metas)
        if said_license:
            found.links["license"] = said_license
    return found


def _attributes(text: str) -> dict[str, str]:
    return {name: unescape(value) if "&" in value else value for name, value in _ATTRIBUTE.findall(text)}


def _add_links(found: Declared, said: dict[str, str], url: str) -> None:
    for rel in said.get("rel", "").lower().split():
        if rel in ("license", "canonical") and "href" in said:
            found.links.setdefault(rel, absolute(url, said["href"]))


def _other_license(source: Source, metas: dict[str, str]) -> str:
    """A licence by Dublin Core, or the Creative Commons licence that the page links to, if it is one and the same.

    Links to several licences are credits of pictures, and say nothing about the text.
    """
    for name in _LICENSE_METAS:
        said = metas.get(name, "")
        if said.startswith(("http://", "https://")):
            return said
    addresses = (_attributes(attributes).get("href", "") for attributes in source.scan.links_with(_COMMONS.encode()))
    named = {absolute(source.url, address) for address in addresses if any(part in address for part in _COMMONS_LICENSES)}
    return named.pop() if len(named) == 1 else ""


def absolute(url: str, href: str) -> str:
    """``href`` as an absolute address; "" where it is none."""
    href = href.strip()
    if href.startswith(("https://", "http://")) and "[" not in href:
        return href
    try:
        return urljoin(url, href)
    except ValueError:  # "http://[broken"
        return ""


def language(source: Source, metas: dict[str, str]) -> str:
    """The language that a page claims, as it writes it: <html lang>, Content-Language, og:locale."""
    place = next((place for place, tag in source.scan.noted if tag == T.HTML), -1)
    root = _attributes(source.scan.attributes(place)) if place >= 0 else {}
    own = root.get("lang") or root.get("xml:lang") or ""
    return (
        own.strip() or metas.get("content-language", "").split(",")[0].strip() or metas.get("og:locale", "").replace("_", "-")
    )


def first_heading(source: Source) -> str:
    """The text of the first <h1>; "" where there is none."""
    scan = source.scan
    first = next((place for place, tag in scan.noted if tag == T.H1 and place >= scan.body), -1)
    return " ".join(unescape(scan.text_to(first, -T.H1)).split()) if first >= 0 else ""


def published(source: Source, metas: dict[str, str], fetched_at: str) -> str:
    """Day of publication, ``YYYY-MM-DD``; "" where nothing says it or what it says can't be.

    ``fetched_at``: ISO time of the capture, "" if unknown: nothing is published after it was fetched.
    """
    return next((day for said in _dates(source, metas) if (day := full_date(said, fetched_at))), "")


def _dates(source: Source, metas: dict[str, str]) -> Iterator[str]:
    for name in _DATE_METAS[:2]:
        if name in metas:
            yield metas[name]
    if "datePublished" in source.html:
        for script in _JSON_LD.findall(source.html):
            yield from _json_dates(script[:_MAX_JSON_CHARS])
        for attributes, text in _DATED.findall(source.text):
            said = _attributes(attributes)
            yield said.get("datetime") or said.get("content") or text
    for name in _DATE_METAS[2:]:
        if name in metas:
            yield metas[name]
    if source.scan.find(b"datetime=", source.scan.body_start) >= 0:
        yield from _time_elements(source.text)


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


def _time_elements(body: str) -> Iterator[str]:
    """<time pubdate>, then the first <time datetime> of the first article or of <main>: that of a byline."""
    for attributes in _TIME.findall(body):
        if "pubdate" in attributes:
            yield _attributes(attributes)["datetime"]
    for box in ("article", "main"):
        start = body.find(f"<{box}")
        found = _TIME.search(body, start, max(start, body.rfind(f"</{box}>"))) if start >= 0 else None
        if found:
            yield _attributes(found[1])["datetime"]
