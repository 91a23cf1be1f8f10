"""Text of an EPUB: its chapters in reading order, Markdown-like. Runs in a process of its own, since the parser is native.

EPUB 3.3: META-INF/container.xml names the package document, whose spine lists the chapters. Fonts may be obfuscated;
a chapter listed in META-INF/encryption.xml means that the book is locked.
"""

import posixpath
import re
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from lxml import etree  # type: ignore[import-untyped]
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from llm_assets.stages.crawl.local.documents import Rejected, decoded

_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_MARKUP_ROOM = 8  # markup and text of a chapter together, in terms of the text allowed
_MAX_ENTRIES = 50_000
_BULLET = re.compile(r"^\s*•\s+")


def read(path: Path, max_bytes: int) -> dict[str, str]:
    """``text``, ``title``, ``language``, ``license``.

    Raises ``Rejected``: file_encrypted, file_broken, file_no_text, file_too_large.
    """
    try:
        with zipfile.ZipFile(path) as book:
            return _book(book, max_bytes)
    except (zipfile.BadZipFile, etree.XMLSyntaxError, KeyError, NotImplementedError, EOFError) as error:
        raise Rejected("file_broken", f"{type(error).__name__}: {error}"[:200]) from error
    except RuntimeError as error:  # zipfile's word for a password
        raise Rejected("file_encrypted", str(error)[:200]) from error


def _book(book: zipfile.ZipFile, max_bytes: int) -> dict[str, str]:
    if len(book.infolist()) > _MAX_ENTRIES:
        raise Rejected("file_broken", f"more than {_MAX_ENTRIES} entries")
    room = max_bytes * _MARKUP_ROOM
    names = set(book.namelist())
    packages = _xml(_entry(book, _CONTAINER, room)).xpath("//*[local-name()='rootfile']/@full-path")
    if not packages:
        raise Rejected("file_broken", f"{_CONTAINER} names no package document")
    package = _xml(_entry(book, str(packages[0]), room))
    base = posixpath.dirname(str(packages[0]))
    chapters = [posixpath.normpath(posixpath.join(base, unquote(href))) for href in _spine(package)]
    if _ENCRYPTION in names:
        locked = _xml(_entry(book, _ENCRYPTION, room)).xpath("//*[local-name()='CipherReference']/@URI")
        if set(map(unquote, map(str, locked))) & set(chapters):
            raise Rejected("file_encrypted", "its chapters are encrypted")
    texts, size = [], 0
    for name in chapters:
        data = _entry(book, name, room)
        room -= len(data)
        text = chapter_text(data)
        size += len(text.encode("utf-8", "replace"))
        if size > max_bytes:
            raise Rejected("file_too_large", f"more than {max_bytes} bytes of text")
        if text:
            texts.append(text)
    if not texts:
        raise Rejected("file_no_text", f"{len(chapters)} chapters without text")
    said = {field: _said(package, field) for field in ("title", "language", "rights")}
    return {"text": "\n\n".join(texts), "title": said["title"], "language": said["language"], "license": said["rights"]}


def _entry(book: zipfile.ZipFile, name: str, room: int) -> bytes:
    """One entry's bytes; what it says of its size is not believed."""
    with book.open(name) as handle:
        data = handle.read(room + 1)
    if len(data) > room:
        raise Rejected("file_too_large", f"{name} and what comes before it unpack to more than {room} bytes")
    return data


def _xml(data: bytes) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    return etree.fromstring(data, parser)


def _spine(package: Any) -> list[str]:
    """Addresses of the chapters, in reading order, without the table of contents."""
    items = {item.get("id"): item for item in package.xpath("//*[local-name()='manifest']/*[local-name()='item']")}
    found = []
    for reference in package.xpath("//*[local-name()='spine']/*[local-name()='itemref']"):
        item = items.get(reference.get("idref"))
        if item is None or reference.get("linear") == "no" or "nav" in (item.get("properties") or "").split():
            continue
        if item.get("media-type") in _CHAPTERS and item.get("href"):
            found.append(item.get("href").partition("#")[0])
    return found


def _said(package: Any, field: str) -> str:
    found = package.xpath(f"//*[local-name()='metadata']/*[local-name()='{field}']")
    return " ".join("".join(found[0].itertext()).split()) if found else ""


def chapter_text(data: bytes) -> str:
    """A chapter's text; headings get the marks of Markdown, lists bullets."""
    tree: Any = HTMLTree.parse(decoded(data))
    if tree.body is None:
        return ""
    for level in range(1, 7):
        for heading in list(tree.body.get_elements_by_tag_name(f"h{level}")):
            if heading.text.strip() and heading.first_child is not None:
                heading.insert_before(tree.create_text_node("#" * level + " "), heading.first_child)
    text = extract_plain_text(
        tree, main_content=False, preserve_formatting=True, list_bullets=True, alt_texts=False, links=False, noscript=False
    )
    return "\n".join(_BULLET.sub("- ", line.rstrip()) for line in text.splitlines()).strip()
