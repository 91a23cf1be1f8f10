"""A folder of one's own documents becomes a crawl: every kind of file, every way to be broken."""

import gzip
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from backports import zstd

from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.corpus import ExtractedPagesConfig
from llm_assets.core.recipe.sources import LocalFiles
from llm_assets.stages.crawl.gates import gates
from llm_assets.stages.crawl.local import child
from llm_assets.stages.crawl.local.documents import Rejected
from llm_assets.stages.crawl.run import run
from llm_assets.stages.extract.run import extract
from tests.support import books
from tests.support.loopback import config
from tests.support.warcs import members, record, response

MANY = [f"Line {n} of a text that somebody wrote about the river and the town." for n in range(40)]
TEXT = "\n".join(MANY)
MTIME = datetime(2026, 3, 1, 12, tzinfo=UTC)


def bring_in(tmp_path, files: dict[str, bytes], *, crawl="own-1", inputs=None, settings=None, stamp=MTIME):
    folder = tmp_path / "inbox" / crawl
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (stamp.timestamp(), stamp.timestamp()))
    out = WorkDir.at(tmp_path / "work" / crawl, crawl, "raw_crawl")
    given = Inputs(inputs or {}, store=tmp_path / "store")
    return run(given, out, settings or config(), Silent()), out.files


def fates(files) -> dict[str, str]:
    ledger = pl.read_parquet(files / "ledger.parquet")
    return dict(zip(ledger["url"], ledger["rule"], strict=True))


def failed(files, report, settings=None) -> list[str]:
    return [gate.name for gate in gates(Inputs(), files, settings or config(), report) if not gate.passed]


def texts(files, tmp_path, crawl="own-1") -> dict[str, dict]:
    """What extraction makes of the crawl, by address."""
    pages = pl.read_parquet(files / "index.parquet").filter(pl.col("record_type") == "response")
    rows, _, _ = extract(pages, files, crawl, ExtractedPagesConfig(), tmp_path / "parser.log")
    return {row["url"]: row for row in rows.iter_rows(named=True)}


def lines(*rows: dict) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def parquet_bytes(tmp_path, frame: pl.DataFrame) -> bytes:
    frame.write_parquet(tmp_path / "made.parquet")
    return (tmp_path / "made.parquet").read_bytes()


def test_every_kind_of_file_gives_its_text(tmp_path):
    """Text, Markdown, HTML, PDF, EPUB, JSONL (plain, gzip, zstd), Parquet, WARC and WET, each through extraction."""
    row = {"text": TEXT, "title": "Row", "language": "de", "license": "https://l.example/by", "date": "2025-05-06"}
    html = f"<html><head><title>Page</title></head><body><main><p>{TEXT}</p></main></body></html>".encode()
    report, files = bring_in(
        tmp_path,
        {
            "notes/a b.txt": TEXT.encode(),
            "readme.md": f"# The Heading\n\n{TEXT}\n\n- a *list*\n".encode(),
            "page.html": html,
            "report.pdf": books.pdf(MANY, title="The report"),
            "book.epub": books.epub(f"<h1>One</h1><p>{TEXT}</p>"),
            "rows.jsonl": lines(row, {**row, "url": "https://a.example/1?b=1"}),
            "rows.jsonl.gz": gzip.compress(lines({"text": TEXT + " gz"})),
            "rows.ndjson.zst": zstd.compress(lines({"text": TEXT + " zst"})),
            "rows.parquet": parquet_bytes(tmp_path, pl.DataFrame({"text": [TEXT + " pq"], "date": [MTIME]})),
            "web.warc.gz": members(response(html, "http://a.example/w")),
            "web.warc.wet.gz": members(
                record(b"software: x\r\n", "warcinfo", url=""),
                record(TEXT.encode(), "conversion", "http://a.example/t", Content_Type="text/plain",
                       WARC_Identified_Content_Language="eng,fra"),
            ),
            ".hidden": b"x",
            "half.pdf.part": b"x",
        },
    )  # fmt: skip
    found = texts(files, tmp_path)
    own = {
        "notes/a%20b.txt", "readme.md", "page.html", "report.pdf", "book.epub", "rows.jsonl?row=0", "rows.jsonl.gz?row=0",
        "rows.ndjson.zst?row=0", "rows.parquet?row=0",
    }  # fmt: skip
    assert set(found) == {f"https://own-1.invalid/{name}" for name in own} | {
        "https://a.example/1?b=1", "http://a.example/w", "http://a.example/t",
    }  # fmt: skip
    assert all("somebody wrote about the river" in row["text"] for row in found.values())
    assert found["https://own-1.invalid/readme.md"]["title"] == "The Heading"
    assert found["https://own-1.invalid/readme.md"]["text"].endswith("- a *list*")
    assert found["https://own-1.invalid/report.pdf"]["title"] == "The report"
    book = found["https://own-1.invalid/book.epub"]
    assert (book["title"], book["html_lang"], book["license"]) == ("A Book", "en", "CC BY 4.0")
    first = found["https://own-1.invalid/rows.jsonl?row=0"]
    assert (first["title"], first["html_lang"], first["license"]) == ("Row", "de", "https://l.example/by")
    assert first["fetched_at"] == datetime(2025, 5, 6, tzinfo=UTC)
    assert found["http://a.example/t"]["html_lang"] == "eng"
    assert found["https://own-1.invalid/notes/a%20b.txt"]["fetched_at"] == MTIME
    kinds = {url: row["source_kind"] for url, row in found.items()}
    assert kinds.pop("http://a.example/w") == kinds.pop("http://a.example/t") == "web"
    assert set(kinds.values()) == {"own"}
    assert (report.counts["files_read"], report.counts["files_ignored"]) == (11, 2)
    assert report.counts["kept"] == 12 and failed(files, report) == []


def test_each_broken_file_is_one_reject_with_its_reason(tmp_path):
    broken_gz = gzip.compress(lines(*({"text": f"{TEXT} {n}"} for n in range(400))))
    report, files = bring_in(
        tmp_path,
        {
            "good.txt": TEXT.encode(),
            "empty.txt": b" \n",
            "empty.pdf": b"",
            "empty.jsonl": b"",
            "binary.txt": b"\x00\x01" * 50,
            "locked.pdf": books.encrypted_pdf(),
            "broken.pdf": b"%PDF-1.7\nnothing",
            "scan.pdf": books.pdf([]),
            "locked.epub": books.epub("<p>x</p>", locked=True),
            "broken.epub": b"PK\x03\x04nothing",
            "hollow.epub": books.epub("<p> </p>"),
            "bomb.epub": books.epub("<p>" + "a" * 9_000_000 + "</p>"),
            "cut.jsonl.gz": broken_gz[:-2_000],
            "cut.parquet": parquet_bytes(tmp_path, pl.DataFrame({"text": [TEXT]}))[:-20],
            "big.txt": b"a" * 1_100_000,
            "table.xlsx": b"PK",
            "old.arc.gz": gzip.compress(b"filedesc://x.arc 0.0.0.0 20050101000000 text/plain 76\n1 0 x\n"),
        },
        settings=config(local=LocalFiles(max_document_bytes=1_000_000)),
    )
    found = fates(files)
    rejects = {url.removeprefix("https://own-1.invalid/"): rule for url, rule in found.items() if rule != "kept"}
    assert rejects == {
        "empty.txt": "file_empty", "empty.pdf": "file_empty", "empty.jsonl": "file_empty", "binary.txt": "file_broken",
        "locked.pdf": "file_encrypted", "broken.pdf": "file_broken", "scan.pdf": "file_no_text",
        "locked.epub": "file_encrypted", "broken.epub": "file_broken", "hollow.epub": "file_no_text",
        "bomb.epub": "file_too_large", "cut.jsonl.gz": "file_broken", "cut.parquet": "file_broken",
        "big.txt": "file_too_large", "table.xlsx": "file_unsupported", "old.arc.gz": "file_unreadable",
    }  # fmt: skip
    assert found["https://own-1.invalid/good.txt"] == "kept"
    assert found["https://own-1.invalid/cut.jsonl.gz?row=0"] == "kept"  # rows before the damage survive
    details = pl.read_parquet(files / "ledger.parquet").filter(~pl.col("kept"))["detail"]
    assert details.null_count() == 0 and "ARC file" in " ".join(details)
    assert report.counts["documents_in"] == report.counts["kept"] + len(rejects)


def test_one_bad_row_costs_itself(tmp_path):
    """B14: the lone surrogate alone is replaced and counted. B51: the row of 65 MiB is left out, the others are written."""
    data = (
        rb'{"text":"half \ud835 pair"}' + b"\n" + b"not json\n" + b"[1]\n" + lines({"text": ""}, {"other": 1}, {"text": 5})
        + b'{"text":"' + b"A" * (65 * 2**20) + b'"}\n' + b"\n" + lines({"text": TEXT})
    )  # fmt: skip
    report, files = bring_in(tmp_path, {"rows.jsonl": data}, settings=config(local=LocalFiles(max_rejected_share=0.9)))
    rows = {url.partition("row=")[2]: rule for url, rule in fates(files).items()}
    assert rows == {
        "0": "kept", "1": "row_broken", "2": "row_broken", "3": "row_empty", "4": "row_empty", "5": "row_empty",
        "6": "row_too_large", "8": "kept",
    }  # fmt: skip
    assert report.counts["surrogates_replaced"] == 1
    assert failed(files, report) == ["files_gave_documents"]  # the default allows half
    big = parquet_bytes(tmp_path, pl.DataFrame({"text": ["A" * (65 * 2**20), TEXT]}))
    _, files = bring_in(tmp_path, {"rows.parquet": big}, crawl="own-2")
    assert fates(files) == {
        "https://own-2.invalid/rows.parquet?row=0": "row_too_large",
        "https://own-2.invalid/rows.parquet?row=1": "kept",
    }


def test_columns_are_mapped_by_the_recipe_and_a_wrong_name_says_so(tmp_path):
    mapping = LocalFiles(
        text_column="body", url_column="link", date_column="when", title_column="name", language_column="tongue",
        source_kind_column="kind",
    )  # fmt: skip
    row = {"body": TEXT, "link": "https://b.example/x#y", "when": 1_700_000_000, "name": "N", "tongue": "fr", "kind": "paper"}
    frame = pl.DataFrame({"body": [TEXT], "link": [None], "when": [1], "name": [1], "tongue": [""], "kind": ["nonsense"]})
    files = {"a.jsonl": lines(row), "b.parquet": parquet_bytes(tmp_path, frame)}
    _, made = bring_in(tmp_path, files, settings=config(local=mapping))
    found = texts(made, tmp_path)
    first = found["https://b.example/x"]
    assert (first["title"], first["html_lang"], first["source_kind"]) == ("N", "fr", "paper")
    assert first["fetched_at"] == datetime.fromtimestamp(1_700_000_000, UTC)
    assert found["https://own-1.invalid/b.parquet?row=0"]["source_kind"] == "own"
    with pytest.raises(InputError, match="2 × file_columns"):
        bring_in(tmp_path, {"a.jsonl": b"{}\n", "b.parquet": files["b.parquet"]}, crawl="own-2",
                 settings=config(local=LocalFiles(text_column="txt")))  # fmt: skip


def test_long_documents_are_cut_between_paragraphs(tmp_path):
    long = "\n\n".join(f"Paragraph {n}. {TEXT[:499]}" for n in range(40))
    settings = config(local=LocalFiles(part_bytes=5_000))
    given = {"long.txt": long.encode(), "long.jsonl": lines({"text": long, "url": "https://a.example/l"})}
    _, files = bring_in(tmp_path, given, settings=settings)
    found = texts(files, tmp_path)
    parts = [found[f"https://own-1.invalid/long.txt?part={n}"]["text"] for n in range(1, 6)]
    assert len(found) == 10 and set(found) > {f"https://a.example/l?part={n}" for n in range(1, 6)}
    assert "\n\n".join(parts) == long
    assert max(map(len, parts)) < 1.3 * min(map(len, parts))


def test_addresses_hold_and_unchanged_documents_are_revisits(tmp_path):
    """Two crawls of one collection: what is unchanged is a revisit of the first, what changed is new at the same address."""
    settings = config(local=LocalFiles(collections={"own-1": "shelf", "own-2": "shelf"}))
    _, first = bring_in(tmp_path, {"a.txt": TEXT.encode(), "b.txt": b"Old words."}, settings=settings)
    earlier = {"raw_crawl": [Artefact("raw_crawl", "own-1", "0", first)]}
    report, second = bring_in(
        tmp_path, {"a.txt": TEXT.encode(), "b.txt": b"New words."}, crawl="own-2", inputs=earlier, settings=settings
    )
    old, new = (pl.read_parquet(files / "index.parquet").sort("url") for files in (first, second))
    assert (
        old["canonical_url"].to_list()
        == new["canonical_url"].to_list()
        == ["https://shelf.invalid/a.txt", "https://shelf.invalid/b.txt"]
    )
    assert new["record_type"].to_list() == ["revisit", "response"]
    assert new["revisit_of"][0] == old["doc_id"][0] != new["doc_id"][0]
    assert failed(second, report) == []


def test_the_recipe_may_name_a_folder_and_kinds(tmp_path):
    folder = tmp_path / "papers"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT)
    (folder / "b.epub").write_bytes(books.epub(f"<p>{TEXT}</p>"))
    settings = config(
        local=LocalFiles(folders={"shelf": str(folder)}),
        source_kinds={"shelf.invalid/*.epub": "book"},
        crawl_kinds={"shelf": "paper"},
    )
    out = WorkDir.at(tmp_path / "work", "shelf", "raw_crawl")
    report = run(Inputs({}), out, settings, Silent())
    index = pl.read_parquet(out.files / "index.parquet").sort("url")
    assert index["source_kind"].to_list() == ["paper", "book"]
    assert report.tables["Documents by source kind"] == [
        {"source kind": "book", "documents": 1},
        {"source kind": "paper", "documents": 1},
    ]


LIMITS = {"max_cpu_seconds": 1.0, "max_memory_mb": 512, "max_bytes": 1_000}


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "file_crash"),
        ("raise SystemExit(3)", "file_crash"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)", "file_timeout"),
    ],
)
def test_a_parser_that_dies_is_one_reject(code, rule):
    """A native parser may crash or never end; the import goes on."""
    with pytest.raises(Rejected) as caught:
        child.read(Path("x.pdf"), LIMITS, (sys.executable, "-c", code))
    assert caught.value.rule == rule


def test_the_limits_hold_in_the_process(tmp_path):
    """A book that unpacks to more text than allowed; one whose memory has no room."""
    path = tmp_path / "x.epub"
    path.write_bytes(books.epub("<p>" + "word " * 5_000 + "</p>"))
    with pytest.raises(Rejected) as caught:
        child.read(path, LIMITS)
    assert caught.value.rule == "file_too_large"
