"""What we write is WARC/1.1 that others read: warcio's checker and fastwarc agree."""

import io
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from fastwarc import ArchiveIterator
from warcio.archiveiterator import ArchiveIterator as WarcioIterator

from llm_assets.core.documents import payload_digest
from llm_assets.core.errors import StoreError
from llm_assets.stages.crawl.earlier import read_payload
from llm_assets.stages.crawl.warc import Original, WarcWriter, record_id, stored_head, warc_date

MOMENT = datetime(2026, 11, 1, 12, 0, 0, 123456, tzinfo=UTC)
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\ncontent-length: 7\r\nTransfer-Encoding: chunked"
)


def write(folder, max_bytes=10**9):
    writer = WarcWriter(folder, max_bytes, {"software": "test"}, MOMENT)
    places = [
        writer.response(f"{n:032x}", f"http://a.example/{n}", MOMENT, HEAD, b"<p>%d</p>" % n, "192.0.2.1") for n in range(3)
    ]
    original = Original(f"{0:032x}", "http://a.example/0", MOMENT)
    head = b"HTTP/1.1 304 Not Modified\r\nETag: x"
    places.append(writer.revisit("f" * 32, "http://a.example/0", MOMENT, head, original, payload_digest(b"<p>0</p>"), False))
    places.append(writer.response("e" * 32, "http://a.example/empty", MOMENT, HEAD, b""))
    writer.close()
    return places


def test_warcio_checks_it_clean_and_fastwarc_reads_it(tmp_path):
    places = write(tmp_path)
    path = tmp_path / places[0].warc_file
    checked = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from warcio.cli import main; sys.exit(main(['check', '-v', sys.argv[1]]))",
            str(path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert checked.stdout.count("digest pass") == 4
    kinds = [record.headers["WARC-Type"] for record in ArchiveIterator(io.BytesIO(path.read_bytes()))]
    assert kinds == ["warcinfo", "response", "response", "response", "revisit", "response"]


def test_a_record_is_found_by_its_place(tmp_path):
    places = write(tmp_path)
    data = (tmp_path / places[1].warc_file).read_bytes()
    record = next(
        WarcioIterator(io.BytesIO(data[places[1].offset : places[1].offset + places[1].length]), check_digests="raise")
    )
    assert record.rec_headers.get_header("WARC-Record-ID") == record_id(f"{1:032x}")
    assert record.rec_headers.get_header("WARC-Date") == "2026-11-01T12:00:00.123456Z" == warc_date(MOMENT)
    assert record.content_stream().read() == b"<p>1</p>"
    assert record.http_headers.get_header("X-Crawl-Content-Encoding") == "gzip"
    assert record.http_headers.get_header("Content-Length") == "8"
    assert read_payload(tmp_path / places[1].warc_file, places[1].offset, places[1].length) == b"<p>1</p>"
    with pytest.raises(StoreError, match="damaged"):
        read_payload(tmp_path / places[1].warc_file, places[1].offset + 1, places[1].length)


def test_files_rotate_by_size(tmp_path):
    places = write(tmp_path, max_bytes=500)
    assert len({place.warc_file for place in places}) > 1
    assert sorted(p.name for p in (tmp_path / "warc").iterdir()) == sorted({p.warc_file[5:] for p in places})
    for path in (tmp_path / "warc").iterdir():
        first = next(WarcioIterator(io.BytesIO(path.read_bytes())))
        assert (first.rec_type, first.rec_headers.get_header("WARC-Filename")) == ("warcinfo", path.name)


def test_a_crawl_without_records_is_a_file_with_its_warcinfo(tmp_path):
    WarcWriter(tmp_path, 1_000, {"software": "test"}, MOMENT).close()
    (path,) = (tmp_path / "warc").iterdir()
    assert [record.rec_type for record in WarcioIterator(io.BytesIO(path.read_bytes()))] == ["warcinfo"]


def test_heads_keep_what_came_and_say_what_is_stored():
    assert stored_head(b"HTTP/1.1 200 OK\nA: 1\nContent-Length: 7", 9) == (
        b"HTTP/1.1 200 OK\r\nA: 1\r\nX-Crawl-Content-Length: 7\r\nContent-Length: 9\r\n\r\n"
    )
