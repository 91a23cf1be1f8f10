"""Text of a PDF file by PDFium, as paragraphs. Runs in a process of its own: native code that reads anything.

A page's text comes in the lines as printed. Lines that the edge of most pages repeats (running heads, page numbers) are left
out, words that a line end parts are joined, and lines go on to the end of their paragraph: the last line of one is short.
"""

import re
from collections import Counter
from pathlib import Path

import pypdfium2 as pdfium  # type: ignore[import-untyped]

from llm_assets.stages.crawl.local.documents import Rejected

_SOFT_BREAK = "\ufffe"  # what PDFium gives for a hyphen at the end of a line
_FULL_LINE = 0.75  # of the length that nine lines in ten don't pass: a shorter line ends its paragraph
_REPEATED = 0.5  # of the pages that begin or end with a line
_PARTED = re.compile(rf"[^\W\d_][-{_SOFT_BREAK}]$")  # a word that goes on, unless it has its hyphen itself
_ITEM = re.compile(r"^(?:[-•*–▪◦]|\(?\d{1,3}[.)])\s")
_PASSWORD_ERROR = "password"


def read(path: Path, max_bytes: int) -> dict[str, str]:
    """``text`` and ``title``. Raises ``Rejected``: file_encrypted, file_broken, file_no_text, file_too_large."""
    try:
        with pdfium.PdfDocument(path) as document:
            pages: list[list[str]] = []
            size = 0
            for page in document:
                text = page.get_textpage().get_text_range()
                page.close()
                size += len(text)
                if size > max_bytes:
                    raise Rejected("file_too_large", f"more than {max_bytes} characters of text")
                pages.append([" ".join(line.split()) for line in text.splitlines()])
            title = str(document.get_metadata_dict().get("Title", ""))
    except pdfium.PdfiumError as error:
        encrypted = _PASSWORD_ERROR in str(error).lower()
        raise Rejected("file_encrypted" if encrypted else "file_broken", str(error)[:200]) from error
    text = "\n\n".join(filter(None, (reflowed(page) for page in without_furniture(pages)))).strip()
    if not text:
        raise Rejected("file_no_text", f"{len(pages)} pages without text; they may be scanned")
    return {"text": text, "title": title}


def without_furniture(pages: list[list[str]]) -> list[list[str]]:
    """Pages without the first and last lines that most pages share, whatever their numbers."""
    kept = [[line for line in page if line] for page in pages]
    if len(kept) < 3:
        return kept
    for edge in (0, -1):
        shapes = Counter(_shape(page[edge]) for page in kept if page)
        common = {shape for shape, n in shapes.items() if n > _REPEATED * len(kept)}
        for page in kept:
            if page and _shape(page[edge]) in common:
                page.pop(edge)
    return kept


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", line)


def reflowed(lines: list[str]) -> str:
    """Lines as printed → paragraphs, a line each, with an empty one between."""
    lengths = sorted(len(line) for line in lines if line)
    full = _FULL_LINE * lengths[min(len(lengths) - 1, len(lengths) * 9 // 10)] if lengths else 0
    paragraphs: list[str] = []
    goes_on = False
    for line in lines:
        if goes_on and line and not _ITEM.match(line):
            before = paragraphs[-1]
            parted = _PARTED.search(before) and line[0].islower()
            paragraphs[-1] = before[:-1] + line if parted else f"{before} {line}"
        elif line:
            paragraphs.append(line)
        goes_on = bool(line) and (len(line) >= full or bool(_PARTED.search(line)))
    return "\n\n".join(paragraph.replace(_SOFT_BREAK, "-") for paragraph in paragraphs)
