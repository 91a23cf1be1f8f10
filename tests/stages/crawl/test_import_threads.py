"""WARC files imported by several threads: the same bytes as by one, whatever is in the files."""

import hashlib
from datetime import UTC, datetime

import pytest

from llm_assets.core.progress import Recording
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.crawl import importer, intake
from llm_assets.stages.crawl.earlier import Earlier
from llm_assets.stages.crawl.importer import Importer
from llm_assets.stages.crawl.records import Books
from llm_assets.stages.crawl.warc import WarcWriter
from tests.support.loopback import config
from tests.support.warcs import members, record, response

CREATED = datetime(2026, 11, 1, tzinfo=UTC)


def page(number: int) -> bytes:
    body = b"<p>" + b"".join(b"page %d of many, " % (number * step) for step in range(1, 40))
    return response(body, f"http://h{number % 5}.example/{number}")


def robots(host: int, rules: bytes) -> bytes:
    return response(rules, f"http://h{host}.example/robots.txt", Content_Type="text/plain")


def archive() -> list[bytes]:
    """Files with all that the threads and the importer have to agree on; opt-outs stand before and behind their pages."""
    records = [page(number) for number in range(90)]
    records[60:60] = [robots(1, b"User-agent: GPTBot\nDisallow: /\n"), record(b"no http")]
    records[30:30] = [page(7), response(b"", "http://h1.example/gone", "404 Not Found"), record(b"", "request")]
    records[3:3] = [robots(2, b"User-agent: GPTBot\nDisallow: /1\n")]
    return [members(*records[:40]), b"no archive", members(*records[40:70])[:-40], members(*records[70:])]


def imported(folder, files, *, workers=1, **settings):
    """(digest of every file written and of what is told, counts, the importer) of an import with a fixed clock."""
    folder.mkdir(parents=True)
    for number, data in enumerate(files):
        (folder / f"{number}.warc.gz").write_bytes(data)
    out, given = folder / "out", config(workers=workers, **settings)
    writer, books, told = WarcWriter(out, given.warc_bytes, {"software": "test"}, CREATED), Books("c", {}), Recording()
    made = Importer(given, writer, books, Earlier([]), Tombstones(), told, out / "robots")
    made.import_all(sorted(folder.glob("*.warc.gz")))
    writer.close()
    counts = books.write(out)
    written = {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in written.items()}
    return (digests, made.rejected, made.records_read, made.other_records, made.repaired, told.notes), counts, made


@pytest.mark.parametrize("settings", [{}, {"warc_bytes": 2_000}, {"honour_robots_ai": False}], ids=str)
def test_the_number_of_threads_leaves_no_trace(tmp_path, monkeypatch, settings):
    """Also where a file of the result is full while threads make records for it."""
    monkeypatch.setattr(importer, "_BATCH_RECORDS", 4)
    one, counts, _ = imported(tmp_path / "1", archive(), workers=1, **settings)
    for workers in (2, 5):
        assert imported(tmp_path / str(workers), archive(), workers=workers, **settings)[0] == one
    assert counts["dropped:duplicate_record"] == counts["dropped:truncated"] == counts["dropped:status"] == 1
    assert len([name for name in one[0] if name.startswith("warc/")]) > (5 if settings.get("warc_bytes") else 0)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_opt_out_counts_for_the_pages_before_it(tmp_path, workers):
    """Counts are those of one pass, whether or not a second one was needed."""
    pages = [page(number) for number in range(10)]
    rules = robots(1, b"User-agent: GPTBot\nDisallow: /\n")
    behind, counts, made = imported(tmp_path / "behind", [members(*pages, rules)], workers=workers)
    before, same, _ = imported(tmp_path / "before", [members(rules, *pages)], workers=workers)
    assert counts == same
    assert counts["dropped:optout_robots_ai"] == 2  # pages 1 and 6
    assert made.records_read == 11
    assert behind[0]["warc/part-00000.warc.gz"] == before[0]["warc/part-00000.warc.gz"]


def test_of_several_robots_files_of_a_host_the_last_counts(tmp_path):
    pages, strict = [page(number) for number in range(10)], robots(1, b"User-agent: GPTBot\nDisallow: /\n")
    open_again = robots(1, b"User-agent: GPTBot\nDisallow:\n")
    assert "dropped:optout_robots_ai" not in imported(tmp_path / "a", [members(strict, *pages, open_again)])[1]
    assert imported(tmp_path / "b", [members(open_again, *pages, strict)])[1]["dropped:optout_robots_ai"] == 2


def test_robots_at_no_address_at_all_are_a_bad_header(tmp_path):
    """An address that can't be split is told in the ledger, and ends nothing."""
    odd = [response(b"User-agent: *", url, Content_Type="text/plain") for url in ("http://[/robots.txt", "ftp://a/robots.txt")]
    _, counts, _ = imported(tmp_path / "odd", [members(*odd, page(1))])
    assert (counts["dropped:bad_header"], counts["kept"]) == (2, 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_a_thread_names_the_record_and_ends_the_import(tmp_path, monkeypatch, workers):
    real = intake.doc_id

    def failing(canonical, *rest):
        if canonical.endswith("/50"):
            raise MemoryError("no room")
        return real(canonical, *rest)

    monkeypatch.setattr(intake, "doc_id", failing)
    with pytest.raises(MemoryError, match="no room") as error:
        imported(tmp_path / "m", [members(*(page(number) for number in range(90)))], workers=workers)
    assert "of 0.warc.gz" in error.value.__notes__[0]
    assert "while importing the record at byte" in error.value.__notes__[0]


def test_memory_is_bounded_by_batches(tmp_path, monkeypatch):
    """Records are read no further ahead than the threads need them."""
    monkeypatch.setattr(importer, "_BATCH_RECORDS", 2)
    ahead, settled = [0], [0]
    real_take, real_settle = Importer._batches, Importer._settle

    def batches(self, files):
        for batch in real_take(self, files):
            ahead.append(ahead[-1] + len(batch.items))
            assert ahead[-1] - settled[0] <= 2 * (2 * 3 + 2)
            yield batch

    def settle(self, taken):
        settled[0] += 1
        real_settle(self, taken)

    monkeypatch.setattr(Importer, "_batches", batches)
    monkeypatch.setattr(Importer, "_settle", settle)
    imported(tmp_path / "b", [members(*(page(number) for number in range(60)))], workers=3)
    assert settled[0] == 60
