"""The inbox: crawls made of WARC files that others wrote."""

import gzip

import polars as pl
import pytest

from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.documents import payload_digest
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording
from llm_assets.core.report import Report
from llm_assets.core.tombstones import TOMBSTONES, TOMBSTONES_FILE
from llm_assets.stages.crawl.gates import gates
from llm_assets.stages.crawl.run import run
from tests.support.loopback import config
from tests.support.warcs import members, record, response

PAGE = b"<html><body><p>A page.</p></body></html>"


def bring_in(tmp_path, *, crawl="cc-1", inputs=None, notes=None, settings=None, **files: bytes):
    folder = tmp_path / "inbox" / crawl
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / f"{name}.warc.gz").write_bytes(data)
    out = WorkDir.at(tmp_path / "work" / crawl, crawl, "raw_crawl")
    given = Inputs(inputs or {}, store=tmp_path / "store")
    report = run(given, out, settings or config(), notes or Recording())
    return report, out.files


def fates(files) -> dict[str, str]:
    ledger = pl.read_parquet(files / "ledger.parquet")
    return dict(zip(ledger["url"], ledger["rule"], strict=True))


def failed(files, report: Report, settings=None) -> list[str]:
    return [gate.name for gate in gates(Inputs(), files, settings or config(), report) if not gate.passed]


def test_captures_are_checked_decoded_and_written_again(tmp_path):
    data = members(
        record(b"software: other\r\n", "warcinfo", url=""),
        record(b"GET / HTTP/1.1\r\n\r\n", "request"),
        response(gzip.compress(PAGE), "http://a.example/packed", Content_Encoding="gzip", ETag='"1"'),
        response(PAGE, "http://a.example/moved", "301 Moved", Location="/"),
        response(b"%PDF", "http://a.example/doc", Content_Type="application/pdf"),
        response(b"\xff\xd8", "http://a.example/pic", Content_Type="image/jpeg"),
        response(PAGE, "http://a.example/pic", Content_Type="image/jpeg"),
        record(b"no http at all", url="http://a.example/odd"),
        response(PAGE, "urn:x"),
        response(PAGE, "http://a.example/undated", date="yesterday"),
        record(b"HTTP/1.1 200 OK\r\n\r\n<p>", url="http://a.example/cut", WARC_Truncated="length"),
    )
    report, files = bring_in(tmp_path, one=data)
    index = pl.read_parquet(files / "index.parquet")
    packed = index.filter(pl.col("url") == "http://a.example/packed").row(0, named=True)
    assert packed["payload_digest"] == payload_digest(PAGE)
    assert packed["etag"] == '"1"'
    assert str(packed["fetched_at"]) == "2026-10-01 12:00:00+00:00"
    assert fates(files) == {
        "http://a.example/packed": "kept", "http://a.example/moved": "status", "http://a.example/doc": "content_type",
        "http://a.example/pic": "kept", "http://a.example/odd": "protocol", "urn:x": "bad_header",
        "http://a.example/undated": "bad_header", "http://a.example/cut": "truncated",
    }  # fmt: skip
    assert report.counts["records_of_other_types"] == 2
    assert failed(files, report) == ["few_truncated"]  # one in five is more than the recipe allows
    assert failed(files, report, config(max_truncated_share=0.3)) == []


def test_a_clipped_file_is_counted_and_the_gate_stops_it(tmp_path):
    """B01: the good record is kept, the cut one counted, and the crawl is refused."""
    data = members(response(PAGE, "http://a.example/1"), response(PAGE, "http://a.example/2"))[:-12]
    report, files = bring_in(tmp_path, one=data)
    assert fates(files) == {"http://a.example/1": "kept", "http://a.example/2": "truncated"}
    assert report.counts["dropped:truncated"] == 1
    assert failed(files, report) == ["few_truncated"]


def test_the_blank_line_of_one_common_crawl_month(tmp_path):
    """B02: the same page and digest as without it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(PAGE)
    pages = members(record(head + b"\r\n" + PAGE, url="http://a.example/1"), record(head + PAGE, url="http://a.example/2"))
    report, files = bring_in(tmp_path, one=pages)
    digests = pl.read_parquet(files / "index.parquet")["payload_digest"]
    assert digests.to_list() == [payload_digest(PAGE)] * 2
    assert report.counts["repaired_blank_lines"] == 1
    assert failed(files, report) == []


def test_damaged_files_are_left_out_by_name(tmp_path):
    notes = Recording()
    report, files = bring_in(tmp_path, notes=notes, good=members(response(PAGE)), empty=b"", other=b"<html>")
    assert report.counts["files_rejected"] == 2
    assert {row["file"] for row in report.tables["Files left out"]} == {"empty.warc.gz", "other.warc.gz"}
    assert len(notes.notes) == 2
    assert failed(files, report) == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"one": b""}, "is empty"),
        ({"one": members(response(PAGE))[:30]}, "1 × truncated"),
        ({"one": members(record(b"x", "warcinfo"))}, "no response records"),
        ({"one": members(response(PAGE, status="404 Not Found"))}, "1 × status"),
    ],
)
def test_nothing_usable_is_one_clear_sentence(tmp_path, files, words):
    with pytest.raises(InputError, match=f"no usable capture in the 1 WARC.*{words}.*Put whole files there"):
        bring_in(tmp_path, **files)


def test_an_unknown_crawl_names_the_three_doors(tmp_path):
    out = WorkDir.at(tmp_path / "work", "nowhere", "raw_crawl")
    with pytest.raises(InputError, match=r"snapshots nor raw_crawl\.seeds.*no folder .*inbox.nowhere"):
        run(Inputs({}, store=tmp_path / "store"), out, config(), Recording())
    (tmp_path / "elsewhere" / "nowhere").mkdir(parents=True)
    with pytest.raises(InputError, match="no file that ends in"):
        run(Inputs({}), out, config(inbox=str(tmp_path / "elsewhere")), Recording())


def test_opt_outs_and_robots_of_the_archive_are_honoured(tmp_path):
    robots = response(b"User-agent: CCBot\nDisallow: /members\n", "http://a.example/robots.txt", Content_Type="text/plain")
    data = members(
        response(PAGE, "http://a.example/members/1"),
        response(PAGE, "http://a.example/noai", X_Robots_Tag="noai"),
        response(PAGE, "http://a.example/tdm", TDM_Reservation="1"),
        response(PAGE, "http://a.example/ok"),
        response(b"\xff", "http://a.example/robots.txt", Content_Encoding="gzip"),
        robots,  # after the pages it speaks of
    )
    _, files = bring_in(tmp_path, one=data)
    found = fates(files)
    assert [found[f"http://a.example/{name}"] for name in ("members/1", "noai", "tdm", "ok")] == [
        "optout_robots_ai", "optout_noai", "optout_tdm", "kept",
    ]  # fmt: skip
    assert (files / "robots" / "a.example.txt").read_bytes().startswith(b"User-agent: CCBot")


def test_the_same_capture_twice_is_one_document(tmp_path):
    one = response(PAGE, "http://a.example/1")
    later = response(PAGE, "http://a.example/1", date="2026-10-02T12:00:00Z")
    report, files = bring_in(tmp_path, one=members(one, one), two=members(later))
    assert report.counts["dropped:duplicate_record"] == 1
    assert report.counts["kept"] == 2
    assert failed(files, report) == []


def test_revisits_are_kept_if_an_earlier_crawl_has_the_page(tmp_path):
    _, first = bring_in(tmp_path, crawl="cc-1", one=members(response(PAGE, "http://a.example/1")))
    revisits = [
        record(b"HTTP/1.1 304 Not Modified\r\n\r\n", "revisit", f"http://a.example/{n}", "2026-11-01T00:00:00Z")
        for n in (1, 1, 2)
    ]
    earlier = {"raw_crawl": [Artefact("raw_crawl", "cc-1", "0", first)]}
    report, files = bring_in(tmp_path, crawl="cc-2", inputs=earlier, one=members(*revisits))
    assert report.counts["revisits"] == 1
    assert [report.counts[f"dropped:{rule}"] for rule in ("duplicate_record", "revisit_unknown")] == [1, 1]
    assert failed(files, report) == []


def test_what_is_buried_is_not_brought_in(tmp_path):
    buried = tmp_path / "tombstones"
    buried.mkdir()
    rows = [("url", "http://a.example/1", ""), ("sha256", payload_digest(b"<p>bad").removeprefix("sha256:"), "")]
    pl.DataFrame(rows, schema=TOMBSTONES, orient="row").write_parquet(buried / TOMBSTONES_FILE)
    data = members(
        response(PAGE, "http://a.example/1"), response(b"<p>bad", "http://a.example/2"), response(PAGE, "http://a.example/3")
    )
    _, files = bring_in(tmp_path, inputs={"tombstones": [Artefact("tombstones", "all", "0", buried)]}, one=data)
    assert list(fates(files).values()) == ["tombstone", "tombstone", "kept"]
