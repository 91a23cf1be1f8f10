"""From bytes to text: byte order mark, HTTP charset, ``<meta>``, then a detector on the body (case B08).

A declared charset is held to its word: bytes that it can't decode, beyond a stray few, mean that it is wrong, and the next
candidate is asked. One declaration is no word: "latin1" (or ASCII), which decodes everything and stands in many templates,
yields to bytes that are valid UTF-8. What nothing decodes is refused: no run of replacement characters enters the corpus.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

Source = Literal["bom", "http", "meta", "utf-8", "detector"]

# One undecodable byte in so many characters is a slip of the author; more is another charset.
MAX_REPLACED_SHARE = 0.001
# How far browsers look for a declaration is 1,024 bytes; pages with long scripts before it are common enough to look further.
_META_BYTES = 8_192
_META = re.compile(rb"""<meta\b[^>]{0,500}?charset\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9_:.-]{2,40})""")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

_WESTERN = "cp1252"  # what the web means by latin1 and ASCII
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
_LEVEL_ONE_HANZI = re.compile(rb"(?:[\xb0-\xd7][\xa1-\xfe])+")
_FEW_BYTES = 64
_SINGLE_BYTE_GUESSES = ("koi8", "cp125", "windows-125", "iso8859", "iso-8859", "tis-620", "viscii", "mac", "ibm", "cp8")


@dataclass(frozen=True)
class Decoded:
    """Text, the codec that gave it and who named it; ``replaced`` counts U+FFFD put in."""

    text: str
    charset: str
    source: Source
    replaced: int = 0


def decode(payload: bytes, content_type: str = "") -> Decoded | None:
    """Decode a page. ``content_type`` is the HTTP header's value. None where no candidate fits."""
    for charset, source in _candidates(payload, content_type):
        name = _codec(charset)
        if name is None or (name == _WESTERN and source in ("http", "meta") and _is_utf8(payload)):
            continue
        body = _without_bom(payload)
        try:
            return Decoded(body.decode(name), name, source)
        except UnicodeDecodeError:
            text = body.decode(name, "replace")
        replaced = text.count("\ufffd") - _already_there(body, name)
        if replaced <= max(1, len(text) * MAX_REPLACED_SHARE) and "\ufffd\ufffd" not in text:
            return Decoded(text, name, source, replaced)
    return None


def _candidates(payload: bytes, content_type: str) -> Iterator[tuple[str, Source]]:
    for mark, charset in _BOMS:
        if payload.startswith(mark):
            yield charset, "bom"
    declared = _CHARSET.search(content_type)
    if declared:
        yield declared.group(1), "http"
    found = _META.search(payload[:_META_BYTES]) or _XML.search(payload[:200])
    if found:
        label = found.group(1).decode("ascii")
        # The declaration was read as ASCII, so it can't be UTF-16, whatever it says (HTML standard, 13.2.3.2).
        yield "utf-8" if label.lower().startswith("utf-16") else label, "meta"
    yield "utf-8", "utf-8"  # bytes that are valid UTF-8 with characters beyond ASCII are hardly ever anything else
    yield detect(payload), "detector"


def detect(payload: bytes) -> str:
    """A guess from the bytes themselves, whose ASCII says nothing: long heads are no evidence.

    With few bytes beyond ASCII the detector is a coin toss between Cyrillic and Chinese. Where these all come in pairs that are
    common Chinese characters (level one of GB 2312), Chinese it is: undeclared pages in a single-byte Cyrillic are the rarer.
    """
    guess = str(detect_encoding(payload, max_len=0, html5_compatible=False) or "utf-8")
    runs = _HIGH_RUN.findall(payload)
    few = sum(map(len, runs)) <= _FEW_BYTES
    if runs and few and guess.lower().startswith(_SINGLE_BYTE_GUESSES) and all(map(_LEVEL_ONE_HANZI.fullmatch, runs)):
        return "gb18030"
    return guess


def _codec(label: str) -> str | None:
    """Python's name for a label as the web means it ("latin1" is windows-1252); None where nobody knows it."""
    mapped = label if label.startswith("utf-16-") else str(map_encoding_to_html5(label, fallback_utf8=False) or label)
    try:
        return codecs.lookup(mapped).name
    except LookupError:
        return None


def _is_utf8(payload: bytes) -> bool:
    if payload.isascii():
        return False
    try:
        payload.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_bom(payload: bytes) -> bytes:
    for mark, _ in _BOMS:
        if payload.startswith(mark):
            return payload[len(mark) :]
    return payload


def _already_there(body: bytes, name: str) -> int:
    """U+FFFD that the page itself holds; only Unicode can."""
    return body.count("\ufffd".encode(name)) if name.startswith("utf") else 0
