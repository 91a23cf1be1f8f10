"""What a reader of local files hands over: documents, and what it could not read, with the reason."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from urllib.parse import quote

from resiliparse.parse.encoding import bytes_to_str, detect_encoding

PLAIN, MARKDOWN, HTML = "text/plain", "text/markdown", "text/html"
UTF8 = "; charset=utf-8"
UTF16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks
_MILLISECONDS_FROM = 100_000_000_000  # as seconds it would be the year 5138
_LONGEST_VALUE = 2_000


class Rejected(ValueError):
    """A file or row that gives no document; ``rule`` is its fate in the ledger, ``place`` the row within its file."""

    def __init__(self, rule: str, why: str, place: str = "") -> None:
        super().__init__(why)
        self.rule = rule
        self.place = place


@dataclass(frozen=True)
class Document:
    """One document. ``body``: bytes of ``media`` (a content type); ``place``: a query that tells rows of a file apart;
    ``surrogates``: lone surrogates that were replaced.

    Empty strings and None where the source says nothing.
    """

    body: bytes
    media: str
    title: str = ""
    language: str = ""
    license: str = ""
    date: datetime | None = None
    url: str = ""
    source_kind: str = ""
    place: str = ""
    surrogates: int = 0


def head_of(document: Document, path: str, moment: datetime) -> bytes:
    """An HTTP head that says of a local document what a server would say; extraction reads title, language and licence there.

    Values that may be any text are percent-encoded.
    """
    lines = [
        "HTTP/1.1 200 OK",
        f"Content-Type: {document.media}",
        f"Last-Modified: {format_datetime(moment.replace(microsecond=0), usegmt=True)}",
        f"X-Document-File: {quote(path)}",
    ]
    for name, value in (
        ("Content-Language", document.language),
        ("X-Document-Title", document.title),
        ("X-Document-License", document.license),
    ):
        clean = " ".join(value.split())
        if clean and len(clean) <= _LONGEST_VALUE:
            lines.append(f"{name}: {quote(clean, safe=' -:/', errors='replace')}")
    return "\r\n".join(lines).encode("ascii")


def moment_of(value: object) -> datetime | None:
    """A date as columns hold it: a time, a date, ISO 8601, seconds or milliseconds since 1970. None where it is none of these.

    A time without zone is UTC. Years before 1000 and after 9998 are no dates of documents.
    """
    try:
        if isinstance(value, datetime):
            found = value
        elif isinstance(value, date):
            found = datetime.combine(value, time())
        elif isinstance(value, bool) or value is None:
            return None
        elif isinstance(value, int | float):
            found = datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
        else:
            found = datetime.fromisoformat(str(value).strip())
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return found if 1000 <= found.year <= 9998 else None


def parts_of(text: str, part_bytes: int) -> list[str]:
    """A text cut between paragraphs (else lines) into parts of about ``part_bytes`` UTF-8 bytes; 0 never cuts.

    A single line that is longer stays whole. The parts are of even size, so that none is a mere rest.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if not part_bytes or size <= part_bytes:
        return [text]
    wanted = size / -(-size // part_bytes)
    mark = "\n\n" if text.count("\n\n") >= size // part_bytes else "\n"
    parts: list[str] = []
    current: list[str] = []
    filled = 0
    for paragraph in text.split(mark):
        length = len(paragraph.encode("utf-8", "surrogatepass")) + len(mark)
        if current and filled + length / 2 > wanted:
            parts.append(mark.join(current))
            current, filled = [], 0
        current.append(paragraph)
        filled += length
    return [part for part in [*parts, mark.join(current)] if part.strip()]


def decoded(body: bytes) -> str:
    """The text of a file: byte order mark, UTF-8, else what a detector says."""
    try:
        return body.decode("utf-16" if body.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError:
        return str(bytes_to_str(body, detect_encoding(body) or "utf-8", errors="replace"))
