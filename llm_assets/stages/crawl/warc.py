"""WARC/1.1 (ISO 28500:2017): one gzip member a record, rotated by size.

A record stores the payload as it was decoded, and says so: the original ``Content-Encoding``, ``Transfer-Encoding`` and
``Content-Length`` lines are kept under ``X-Crawl-`` names, the way Common Crawl does it. So one digest holds
for the record and for the index, and every reader gets the page without decoding. The record's id is the document's id.
"""

import hashlib
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

from llm_assets.core import gzips
from llm_assets.core.documents import payload_digest

SAME_PAYLOAD = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
NOT_MODIFIED = "http://netpreserve.org/warc/1.1/revisit/server-not-modified"
_RENAMED = ("content-encoding", "transfer-encoding", "content-length")


@dataclass(frozen=True)
class Place:
    """Where a record is: file (relative to the artefact), offset and length in bytes."""

    warc_file: str
    offset: int
    length: int


@dataclass(frozen=True)
class Unwritten:
    """A record before the file that it goes to is known."""

    kind: str
    doc_id: str
    url: str
    moment: datetime
    fields: Mapping[str, str]
    block: bytes
    address: str = ""

    def packed(self, info_id: str) -> bytes:
        """The record as a gzip member of the file with this warcinfo record."""
        headers = {
            "WARC-Type": self.kind,
            "WARC-Record-ID": record_id(self.doc_id),
            "WARC-Warcinfo-ID": info_id,
            "WARC-Date": warc_date(self.moment),
            "WARC-Target-URI": self.url,
            **({"WARC-IP-Address": self.address} if self.address else {}),
            **self.fields,
            "WARC-Block-Digest": payload_digest(self.block),
        }
        return _member(headers, self.block)


@dataclass(frozen=True)
class Original:
    """The capture that a revisit refers to."""

    doc_id: str
    url: str
    fetched_at: datetime


def record_id(doc_id: str) -> str:
    """A document's 128 bits as the URI of its record."""
    return f"<urn:uuid:{uuid.UUID(hex=doc_id)}>"


def warc_date(moment: datetime) -> str:
    """UTC with microseconds, as WARC/1.1 allows."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stored_head(head: bytes, payload_length: int) -> bytes:
    """The HTTP head for a decoded payload of this length, with its empty line."""
    first, *lines = head.replace(b"\r\n", b"\n").split(b"\n")
    kept = [first.rstrip(), *(_renamed(line) for line in lines if line.strip())]
    kept.append(b"Content-Length: %d" % payload_length)
    return b"\r\n".join(kept) + b"\r\n\r\n"


def _renamed(line: bytes) -> bytes:
    name = line.partition(b":")[0].strip().lower().decode("latin-1")
    return b"X-Crawl-" + line if name in _RENAMED else line


def response_record(
    doc_id: str, url: str, fetched_at: datetime, head: bytes, payload: bytes, digest: str, address: str = ""
) -> Unwritten:
    """A response with its decoded payload, whose ``digest`` is known. ``head`` as received, without the empty line."""
    fields = {"WARC-Payload-Digest": digest, "Content-Type": "application/http; msgtype=response"}
    return Unwritten("response", doc_id, url, fetched_at, fields, stored_head(head, len(payload)) + payload, address)


class WarcWriter:
    """Writes ``warc/part-00000.warc.gz`` and so on below a folder. Each file opens with a warcinfo record."""

    def __init__(self, files: Path, max_bytes: int, info: dict[str, str], created: datetime) -> None:
        self.files = files
        self.max_bytes = max_bytes
        self.info = info
        self.created = created
        self.parts = 0
        self._handle: BinaryIO | None = None
        self._at = 0
        self._name = ""
        self._info_id = ""
        (files / "warc").mkdir(parents=True, exist_ok=True)

    def go_on(self, ends: Mapping[str, int]) -> None:
        """Continue what a killed run left: ``ends`` is, for each file with a known record, where its last one ends.

        What stands behind that, half a record or a whole one, is cut off; files without a known record are removed. Raises
        ``OSError`` where a known file is missing.
        """
        for path in (self.files / "warc").iterdir():
            if f"warc/{path.name}" not in ends:
                path.unlink()
        for name, end in ends.items():
            os.truncate(self.files / name, end)
        self.parts = len(ends)
        if ends:
            self._open(max(ends), "ab", ends[max(ends)])

    def flush(self) -> None:
        """Hand what was written to the operating system: it outlives this process."""
        if self._handle is not None:
            self._handle.flush()

    def duplicate(self) -> int | None:
        """A descriptor of the file that is open, for the caller to sync and close; None before the first record."""
        return None if self._handle is None else os.dup(self._handle.fileno())

    def response(self, doc_id: str, url: str, fetched_at: datetime, head: bytes, payload: bytes, address: str = "") -> Place:
        """A response with its decoded payload. ``head`` as received, without the empty line."""
        return self.write(response_record(doc_id, url, fetched_at, head, payload, payload_digest(payload), address))

    def revisit(
        self,
        doc_id: str,
        url: str,
        fetched_at: datetime,
        head: bytes,
        original: Original,
        digest: str,
        modified: bool,
        address: str = "",
    ) -> Place:
        """A capture equal to an earlier one: its head only. ``modified``: the server sent the page again, to the same bytes."""
        block = stored_head(head, 0)
        fields = {
            "WARC-Profile": SAME_PAYLOAD if modified else NOT_MODIFIED,
            "WARC-Refers-To": record_id(original.doc_id),
            "WARC-Refers-To-Target-URI": original.url,
            "WARC-Refers-To-Date": warc_date(original.fetched_at),
            "WARC-Payload-Digest": digest,
            "Content-Type": "application/http; msgtype=response",
        }
        return self.write(Unwritten("revisit", doc_id, url, fetched_at, fields, block, address))

    @property
    def coming(self) -> str:
        """The warcinfo record of the file that the next record goes to, unless what is written before it fills that file."""
        if self._handle is None or self._at >= self.max_bytes:
            return self._id_of(self._part(self.parts))
        return self._info_id

    def write(self, record: Unwritten, packed_for: str = "", packed: bytes = b"") -> Place:
        """Write a record. ``packed``: it as a member of the file with the warcinfo record ``packed_for``, made in advance.

        A member made for another file than the one that the record comes to is made anew.
        """
        if self._handle is None or self._at >= self.max_bytes:
            self._rotate()
        assert self._handle is not None
        member = packed if packed_for == self._info_id else record.packed(self._info_id)
        offset = self._at
        self._handle.write(member)
        self._at += len(member)
        return Place(self._name, offset, len(member))

    def restart(self) -> None:
        """Remove all that was written and begin again."""
        if self._handle is not None:
            self._handle.close()
            self._handle = None
        self.go_on({})

    def close(self) -> None:
        """Close the file that is open. A crawl without a record leaves one with the warcinfo alone."""
        if self._handle is None:
            self._rotate()
        assert self._handle is not None
        self._handle.close()
        self._handle = None

    def _rotate(self) -> None:
        if self._handle is not None:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()
        self._open(self._part(self.parts), "wb", 0)
        assert self._handle is not None
        block = "".join(f"{key}: {value}\r\n" for key, value in self.info.items()).encode()
        headers = {
            "WARC-Type": "warcinfo",
            "WARC-Record-ID": self._info_id,
            "WARC-Date": warc_date(self.created),
            "WARC-Filename": self._name.rpartition("/")[2],
            "Content-Type": "application/warc-fields",
        }
        self._at += self._handle.write(_member(headers, block))
        self.parts += 1

    def _open(self, name: str, mode: str, at: int) -> None:
        self._name, self._at = name, at
        self._handle = cast(BinaryIO, open(self.files / name, mode))  # noqa: SIM115 - closed by rotation or close()
        self._info_id = self._id_of(name)

    @staticmethod
    def _part(number: int) -> str:
        return f"warc/part-{number:05d}.warc.gz"

    def _id_of(self, name: str) -> str:
        """The warcinfo record of a file."""
        created = f"{warc_date(self.created)} {name}".encode()
        return record_id(hashlib.blake2b(created, digest_size=16).hexdigest())


def _member(headers: dict[str, str], block: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"WARC/1.1\r\n{lines}Content-Length: {len(block)}\r\n\r\n".encode("utf-8", "surrogateescape")
    return gzips.packed(b"".join((head, block, b"\r\n\r\n")))
