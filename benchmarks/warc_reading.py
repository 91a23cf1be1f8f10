"""WARC reading: as the extract stage does it, against warcio's iterator and datatrove's reader. Prints ratios.

    python benchmarks/warc_reading.py [--megabytes 60] [--folder HTML_FOLDER] [--repeats 3]

Real pages (the demo's site, then the HTML documentation on this machine) are written to WARC files by the crawl stage's writer:
``--megabytes`` of page bytes at least, two files, one of each kind. Ours reads each response by the index that the crawl left
(file, offset, length), checks the member's end, and hands out HTTP headers and body. warcio goes through the whole file, and
so does datatrove's ``WarcReader``, which besides guesses a charset. All must find the same number of pages, ours and warcio the
same bytes, or the script fails. The best of the repeats counts. The extra ``[fast]`` has the faster inflate.
"""

import argparse
import hashlib
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from _real_pages import documentation_pages, site_pages
from _results import record, table, versions
from warcio.archiveiterator import ArchiveIterator

from llm_assets.core import warcs
from llm_assets.core.warcs import read_payloads
from llm_assets.stages.crawl.warc import WarcWriter

MOMENT = datetime(2026, 11, 1, 6, tzinfo=UTC)
HEAD = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 01 Nov 2026 06:00:00 GMT\r\nContent-Type: text/html; charset=utf-8\r\n"
    b'Connection: keep-alive\r\nVary: Accept-Encoding\r\nETag: W/"5f3-1a"\r\nCache-Control: max-age=600\r\nX-Cache: HIT'
)
Found = tuple[int, str]  # pages, digest of their bodies ("" where the reader gives no bytes)


def write(files: Path, pages: list[tuple[str, bytes]]) -> list[dict[str, Any]]:
    """WARC files of the pages; the rows of an index."""
    writer = WarcWriter(files, 1 << 40, {"software": "llm_assets"}, MOMENT)
    rows = []
    for number, (url, body) in enumerate(pages):
        place = writer.response(f"{number:032x}", url, MOMENT, HEAD, body)
        rows.append({"warc_file": place.warc_file, "offset": place.offset, "length": place.length})
    writer.close()
    return rows


def ours(files: Path, rows: list[dict[str, Any]], digest: bool) -> Found:
    seen, count = hashlib.blake2b(), 0
    for _, _, body in read_payloads(files, rows):
        count += 1
        if digest:
            seen.update(body)
    return count, seen.hexdigest()


def by_warcio(files: Path, rows: list[dict[str, Any]], digest: bool) -> Found:
    seen, count = hashlib.blake2b(), 0
    for path in sorted((files / "warc").iterdir()):
        with open(path, "rb") as handle:
            for item in ArchiveIterator(handle):
                if item.rec_type != "response":
                    continue
                count += 1
                body = item.content_stream().read()
                if digest:
                    seen.update(body)
    return count, seen.hexdigest()


def by_datatrove(files: Path, rows: list[dict[str, Any]], digest: bool) -> Found:
    from datatrove.pipeline.readers import WarcReader

    return sum(1 for _ in WarcReader(str(files / "warc"), glob_pattern="*.warc.gz").run()), ""


READERS: dict[str, Callable[[Path, list[dict[str, Any]], bool], Found]] = {
    "ours": ours,
    "warcio": by_warcio,
    "datatrove": by_datatrove,
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
    """Pages by kind; the documentation fills up what the site leaves of the size asked for, and at least half of it."""
    site = list(islice(site_pages(), 20_000))
    kinds = {"the demo's site": _first(site, megabytes * 0.6e6)}
    left = megabytes * 1e6 - sum(len(body) for _, body in kinds["the demo's site"])
    docs = _first(documentation_pages(3_000, folder), left)
    return kinds | ({"HTML documentation": docs} if docs else {})


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
    kinds = chosen(asked.megabytes, asked.folder)
    total = dict.fromkeys(READERS, 0.0)
    rows: list[dict[str, object]] = []
    size = 0
    for label, pages in kinds.items():
        with tempfile.TemporaryDirectory() as name:
            seconds = measured(Path(name), write(Path(name), pages), asked.repeats)
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
    said = f"{total['warcio'] / total['ours']:.1f} times warcio's speed, {total['datatrove'] / total['ours']:.1f} times datatrove's"
    print(table(rows), said, sep="\n\n")
    engine = "isal" if warcs.inflate.__name__.startswith("isal") else "zlib"
    head = f"{size / 1e6:.1f} MB of HTML, inflate by {engine}; {versions('warcio', 'datatrove', 'fastwarc', 'isal')}."
    record(__file__, f"{head}\n\n{table(rows)}\n\n{said}; record counts are equal, and so are the bytes of ours and warcio.")


if __name__ == "__main__":
    main()
