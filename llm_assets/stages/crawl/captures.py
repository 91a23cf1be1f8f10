"""From the block of a WARC response to status, headers and decoded payload, whatever the writer left undone.

Some archives keep chunks and Content-Encoding as they came, some decode and leave the headers, and one Common Crawl month has
an extra empty line between head and body (recognised by an HTTP Content-Length that is two bytes short).
"""

from dataclasses import dataclass

from llm_assets.stages.crawl.decode import CannotDecode, Limited, decode
from llm_assets.stages.crawl.http import ProtocolError, parse_head
from llm_assets.stages.crawl.warc_reader import Record

TEXT_TYPES = ("text/plain", "text/markdown", "text/html", "application/xhtml+xml")


class Unreadable(ValueError):
    """A capture of which nothing can be used; ``rule`` is its fate in the ledger."""

    def __init__(self, rule: str, why: str) -> None:
        super().__init__(why)
        self.rule = rule


@dataclass(frozen=True)
class Capture:
    """``head``: as stored, without the empty line. ``payload``: decoded. ``repaired``: an extra empty line was taken off."""

    status: int
    head: bytes
    headers: dict[str, str]
    payload: bytes
    repaired: bool

    @property
    def media_type(self) -> str:
        """``text/html`` of ``text/html; charset=utf-8``."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def read_capture(record: Record, max_payload_bytes: int) -> Capture:
    """Raises ``Unreadable`` with the rule: protocol, encoding, too_large."""
    head, mark, body = record.block.partition(b"\r\n\r\n")
    if not mark:
        head, mark, body = record.block.partition(b"\n\n")
    try:
        status, headers = parse_head(head)
    except ProtocolError as error:
        raise Unreadable("protocol", str(error)) from error
    length = headers.get("content-length", "")
    repaired = body.startswith(b"\r\n") and length.isdigit() and int(length) == len(body) - 2
    if repaired:
        body = body[2:]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    try:
        payload = decode(body, headers.get("content-encoding", ""), max_payload_bytes)
    except Limited as error:
        raise Unreadable("too_large", str(error)) from error
    except CannotDecode as error:
        if not body.lstrip()[:1] == b"<":  # decoded already, with the header left as it was
            raise Unreadable("encoding", str(error)) from error
        payload = body
    return Capture(status, head, headers, payload, repaired)


def is_text(record: Record, url: str) -> bool:
    """Whether a record holds text itself, without HTTP: a WET file's conversion, or a text resource with a web address."""
    media = record.headers.get("content-type", "").partition(";")[0].strip().lower()
    if record.type == "conversion":
        return media in ("text/plain", "")
    return record.type == "resource" and media in TEXT_TYPES and url.startswith(("http://", "https://"))


def text_capture(record: Record, max_payload_bytes: int) -> Capture:
    """The capture of a record that ``is_text``. The language that a WET file states goes on as Content-Language."""
    if len(record.block) > max_payload_bytes:
        raise Unreadable("too_large", f"{len(record.block)} bytes")
    headers = {"content-type": record.headers.get("content-type") or "text/plain; charset=utf-8"}
    if record.type == "conversion" and "charset" not in headers["content-type"]:
        headers["content-type"] += "; charset=utf-8"
    language = record.headers.get("warc-identified-content-language", "")
    if language:
        headers["content-language"] = language.partition(",")[0]
    lines = "".join(f"\r\n{name.title()}: {value}" for name, value in headers.items())
    return Capture(200, f"HTTP/1.1 200 OK{lines}".encode("latin-1", "replace"), headers, record.block, False)


def _unchunked(body: bytes) -> bytes:
    """The body without its chunk sizes; as it is where it has none (a writer that decoded and kept the header)."""
    out: list[bytes] = []
    at = 0
    while True:
        line = body[at : at + 64].partition(b"\n")
        try:
            size = int(line[0].partition(b";")[0].strip(), 16) if line[1] else -1
        except ValueError:
            size = -1
        start = at + len(line[0]) + 1
        if size < 0 or start + size > len(body):
            return body
        if size == 0:
            return b"".join(out)
        out.append(body[start : start + size])
        at = start + size
        at += 2 if body[at : at + 2] == b"\r\n" else 1
