"""Captions: the alt text that pages give to an image, and the page that shows it."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from llm_assets.core.documents import canonical_url
from llm_assets.core.warcs import read_payloads

MAX_CAPTION_CHARS = 500


def captions(files: Path, pages: Iterable[Mapping[str, Any]]) -> dict[str, tuple[str, str]]:
    """Canonical image URL → (alt text, URL of the first page that has it). Pages without an ``<img`` are not parsed."""
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding
    from resiliparse.parse.html import HTMLTree

    found: dict[str, tuple[str, str]] = {}
    for row, _, body in read_payloads(files, pages):
        if b"<img" not in body.lower():
            continue
        document = HTMLTree.parse(bytes_to_str(body, detect_encoding(body) or "utf-8")).document
        for tag in document.get_elements_by_tag_name("img") if document is not None else ():
            source, alt = tag.getattr("src", ""), " ".join((tag.getattr("alt", "") or "").split())
            if source and alt:
                try:
                    address = canonical_url(urljoin(row["url"], source))
                except ValueError:  # data: URIs and the like have no record
                    continue
                found.setdefault(address, (alt[:MAX_CAPTION_CHARS], row["url"]))
    return found
