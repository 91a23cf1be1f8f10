"""WARC files for tests, whole and damaged, as bytes."""

import gzip


def record(
    block: bytes, kind: str = "response", url: str = "http://a.example/", date: str = "2026-10-01T12:00:00Z", **headers: str
) -> bytes:
    """One record, uncompressed."""
    given = {"WARC-Type": kind, "WARC-Date": date, "WARC-Record-ID": "<urn:uuid:11111111-1111-1111-1111-111111111111>"}
    if url:
        given["WARC-Target-URI"] = url
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    given.setdefault("Content-Length", str(len(block)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"WARC/1.0\r\n{lines}\r\n".encode() + block + b"\r\n\r\n"


def response(
    body: bytes, url: str = "http://a.example/", status: str = "200 OK", date: str = "2026-10-01T12:00:00Z", **http: str
) -> bytes:
    """A response record with an HTTP head; underscores in names are hyphens."""
    given = {"Content_Type": "text/html", "Content_Length": str(len(body)), **http}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items() if value)
    return record(f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body, url=url, date=date)


def members(*records: bytes) -> bytes:
    """One gzip member a record."""
    return b"".join(gzip.compress(part, mtime=0) for part in records)
