"""WARC reading: as the extract stage does it, against warcio's iterator and datatrove's reader. Prints ratios.

    python benchmarks/warc_reading.py [--megabytes 60] [--folder HTML_FOLDER] [--repeats 3]

Real pages (the demo's site, then HTML documentation on this machine, ``--megabytes`` in all) are written by warcio's writer,
one file of each kind. Ours reads each response by file, offset and length, which the crawl's index gives the stage, checks the
end of the gzip member, and hands out HTTP headers and body. warcio goes through the whole file, and so does datatrove's
``WarcReader``, which besides decodes, and asks libmagic for the type of each page unless the record names it: Common Crawl's
records do, those of most crawlers don't, so it is measured on both. Its packages are fetched into a temporary folder at the
first run; libmagic must be installed. All must find the same number of pages, ours and warcio the same bytes, or the script
fails. The best of the repeats counts. The extra ``[fast]`` has the faster inflate.
"""

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from _pages import documentation_pages, site_pages
from _peers import WARC, packages
from _results import record, table, versions
from warcio.archiveiterator import ArchiveIterator
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from llm_assets.core.warcs import ENGINE, WarcFiles, http_payload

HEAD = [
    ("Server", "nginx"),
    ("Date", "Sun, 01 Nov 2026 06:00:00 GMT"),
    ("Content-Type", "text/html; charset=utf-8"),
    ("Connection", "keep-alive"),
    ("Vary", "Accept-Encoding"),
    ("ETag", 'W/"5f3-1a"'),
    ("Cache-Control", "max-age=600"),
]
TYPED = "typed.warc.gz"  # its records name the type of their payload
PLAIN = "plain.warc.gz"
Found = tuple[int, str]  # pages, digest of their bodies ("" where the reader gives no bytes)


def write(path: Path, pages: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """A WARC file of the pages; the rows of an index."""
    rows = []
    extra = {"WARC-Identified-Payload-Type": "text/html"} if path.name == TYPED else {}
    with open(path, "wb") as handle:
        writer = WARCWriter(handle, gzip=True)
        for url, body in pages:
            head = StatusAndHeaders("200 OK", [*HEAD, ("Content-Length", str(len(body)))], protocol="HTTP/1.1")
            offset = handle.tell()
            writer.write_record(
                writer.create_warc_record(url, "response", BytesIO(body), http_headers=head, warc_headers_dict=extra)
            )
            rows.append({"warc_file": path.name, "offset": offset, "length": handle.tell() - offset})
    return rows


def ours(files: Path, rows: list[dict[str, Any]], digest: bool) -> Found:
    seen, count = hashlib.blake2b(), 0
    with WarcFiles() as opened:
        for row in rows:
            _, body = http_payload(opened.record(f"{files}/{row['warc_file']}", row["offset"], row["length"]))
            count += 1
            if digest:
                seen.update(body)
    return count, seen.hexdigest()


def by_warcio(files: Path, rows: list[dict[str, Any]], digest: bool) -> Found:
    seen, count = hashlib.blake2b(), 0
    with open(files / PLAIN, "rb") as handle:
        for item in ArchiveIterator(handle):
            if item.rec_type != "response":
                continue
            count += 1
            body = item.content_stream().read()
            if digest:
                seen.update(body)
    return count, seen.hexdigest()


def by_datatrove(files: Path, name: str) -> Found:
    from datatrove.pipeline.readers import WarcReader

    return sum(1 for _ in WarcReader(str(files), glob_pattern=name).run()), ""


READERS: dict[str, Callable[[Path, list[dict[str, Any]], bool], Found]] = {
    "ours": ours,
    "warcio": by_warcio,
    "datatrove": lambda files, rows, digest: by_datatrove(files, PLAIN),
    "datatrove, type named": lambda files, rows, digest: by_datatrove(files, TYPED),
}


def measured(files: Path, rows: list[dict[str, Any]], repeats: int) -> dict[str, float]:
    """Seconds a reader, best of the repeats; fails unless all find the same."""
    found = {name: read(files, rows, True) for name, read in READERS.items()}
    if {count for count, _ in found.values()} != {len(rows)} or found["ours"] != found["warcio"]:
        raise SystemExit(f"the readers differ: {found}, {len(rows)} pages were written")
    best = dict.fromkeys(READERS, float("inf"))
    for _ in range(repeats):
        for name, read in READERS.items():
            start = time.perf_counter()
            read(files, rows, False)
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def chosen(megabytes: float, folder: str) -> dict[str, list[tuple[str, bytes]]]:
    """Pages by kind: of the site up to 60 % of the size asked for, then documentation, of which only what libmagic
    takes for HTML and is valid UTF-8, since datatrove's reader leaves out the rest."""
    site = list(islice(site_pages(), 20_000))
    kinds = {"the demo's site": _first(site, megabytes * 0.6e6)}
    left = megabytes * 1e6 - sum(len(body) for _, body in kinds["the demo's site"])
    docs = _first([page for page in documentation_pages(3_000, folder) if _is_plain(page[1])], left)
    return kinds | ({"HTML documentation": docs} if docs else {})


def _is_plain(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    import magic

    return magic.from_buffer(body, mime=True) == "text/html"


def _first(pages: list[tuple[str, bytes]], n_bytes: float) -> list[tuple[str, bytes]]:
    taken, size = [], 0
    for page in pages:
        if size >= n_bytes:
            break
        taken.append(page)
        size += len(page[1])
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--folder", default="")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    sys.path.append(str(packages(*WARC)))
    kinds = chosen(asked.megabytes, asked.folder)
    total = dict.fromkeys(READERS, 0.0)
    rows: list[dict[str, object]] = []
    size = 0
    for label, pages in kinds.items():
        with tempfile.TemporaryDirectory() as name:
            write(Path(name) / TYPED, pages)
            seconds = measured(Path(name), write(Path(name) / PLAIN, pages), asked.repeats)
        n_bytes = sum(len(body) for _, body in pages)
        size += n_bytes
        for reader, each in seconds.items():
            total[reader] += each
            row = {"pages": label, "number": len(pages), "kB a page": n_bytes / len(pages) / 1e3, "reader": reader}
            rows.append(row | {"pages/s": len(pages) / each, "times ours": each / seconds["ours"]})
    for reader, each in total.items():
        count = sum(map(len, kinds.values()))
        row = {"pages": "all", "number": count, "kB a page": size / count / 1e3, "reader": reader}
        rows.append(row | {"pages/s": count / each, "times ours": each / total["ours"]})
    said = ", ".join(f"{total[peer] / total['ours']:.1f} times {peer}'s speed" for peer in total if peer != "ours")
    print(table(rows), said, sep="\n\n")
    head = f"{size / 1e6:.1f} MB of HTML, inflate by {ENGINE}; {versions('warcio', 'datatrove', 'deflate', 'isal')}."
    record(__file__, f"{head}\n\n{table(rows)}\n\n{said}; record counts are equal, and so are the bytes of ours and warcio.")


if __name__ == "__main__":
    main()
