"""A crawl that is killed goes on: nothing lost, nothing twice, and at most one URL a host fetched again."""

import gzip
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.stages.crawl import journal as journals
from llm_assets.stages.crawl.gates import gates
from llm_assets.stages.crawl.journal import JOURNAL_FILE, Journal
from llm_assets.stages.crawl.run import run
from tests.support.killed import CRAWL, POINTS, asked, in_a_thread, killed_run
from tests.support.loopback import Loopback, config, http, page, small_site

PAGES = 60


class Killed(BaseException):
    """Stands for the end of the process where a real one would take too long."""


def replies(port: int, other: int) -> dict[str, bytes]:
    """A site with sitemaps, an image, opt-outs, errors, redirects, a bomb, and links to another host."""
    root = f"http://127.0.0.1:{port}"
    locations = "".join(f"<loc>{root}/mapped/{n}</loc>" for n in range(5))
    found = {
        "/robots.txt": http(f"User-agent: *\nDisallow: /no\nSitemap: {root}/sitemap.xml\n".encode()),
        "/sitemap.xml": http(f"<sitemapindex><loc>{root}/s1.xml.gz</loc><loc>{root}/s2.xml</loc></sitemapindex>".encode()),
        "/s1.xml.gz": http(gzip.compress(f"<urlset>{locations}</urlset>".encode(), mtime=0)),
        "/s2.xml": http(f"<urlset><loc>{root}/mapped/9</loc></urlset>".encode()),
        "/": http(page("/p/0", "/p/1", "/old", "/gone", "/no/1", "/noai", "/bomb", "/i.png", f"http://127.0.0.1:{other}/")),
        "/old": http(b"", "301 Moved", Location="/p/1"),
        "/noai": http(page(text="noai"), X_Robots_Tag="noai"),
        "/bomb": http(gzip.compress(bytes(9_000_000)), Content_Encoding="gzip"),
        "/i.png": http(b"\x89PNG" + bytes(range(256)), Content_Type="image/png"),
    }
    found |= {f"/mapped/{n}": http(page(f"/q?n={n}", text=f"mapped {n}")) for n in (*range(5), 9)}
    found |= {f"/q?n={n}": http(page(text=f"query {n}")) for n in range(10)}
    found |= {f"/p/{n}": http(page(f"/p/{n * 2}", f"/p/{n * 2 + 1}", text=f"page {n} " * 40)) for n in range(PAGES)}
    return found


@pytest.fixture
def two_hosts():
    first, second = Loopback({}), Loopback({})
    with in_a_thread(first), in_a_thread(second):
        first.replies, second.replies = replies(first.port, second.port), replies(second.port, first.port)
        yield first, second


def settings(hosts: tuple[Loopback, ...], **limits: float) -> RawCrawlConfig:
    return config(
        seeds={CRAWL: [f"http://127.0.0.1:{host.port}/" for host in hosts]},
        allow_private_hosts=["127.0.0.1"],
        warc_bytes=9_000,
        max_truncated_share=0.1,
        limits=limits,
    )


def held(files: Path) -> set[tuple[str, str]]:
    frame = pl.read_parquet(files / "index.parquet")
    assert frame["doc_id"].is_unique().all()
    pairs = list(frame.select("url", "payload_digest").iter_rows())
    assert len(set(pairs)) == len(pairs), "a record stands there twice"
    return set(pairs)


def fates(files: Path) -> Counter[tuple[str, str]]:
    return Counter(pl.read_parquet(files / "ledger.parquet").select("url", "rule").iter_rows())


def whole(out: WorkDir, given: RawCrawlConfig, report) -> None:
    """The gates pass, and warcio's own checker finds nothing in any file."""
    assert [gate.message for gate in gates(Inputs(), out.files, given, report) if not gate.passed] == []
    paths = sorted(str(path) for path in (out.files / "warc").iterdir())
    command = [
        sys.executable,
        "-c",
        "import sys; from warcio.cli import main; sys.exit(main(['check', *sys.argv[1:]]))",
        *paths,
    ]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def unbroken(folder: Path, given: RawCrawlConfig) -> tuple[set[tuple[str, str]], Counter[tuple[str, str]], int]:
    out = WorkDir.at(folder, CRAWL, "raw_crawl")
    report = run(Inputs(), out, given, Silent())
    whole(out, given, report)
    return held(out.files), fates(out.files), report.counts["requests"]


@pytest.mark.parametrize(("pause", "connections", "kills"), [(0.0005, 1, 4), (0.0, 8, 2)], ids=["pause", "no pause"])
def test_killed_at_random_points_it_ends_as_if_never_killed(two_hosts, tmp_path, pause, connections, kills):
    """SIGKILL; at most one URL a host for each kill, and as many as there were connections where there is no pause."""
    given = settings(two_hosts, delay_seconds=pause, delay_factor=0)
    expected, told, requests = unbroken(tmp_path / "unbroken", given)
    once = asked(*two_hosts)
    assert set(once.values()) == {1}
    for host in two_hosts:
        host.asked.clear()
    chance = random.Random(7)
    died = 0
    for number in range(kills):
        died += killed_run(tmp_path / "killed", given, POINTS[number % 3], chance.randint(2, 45))
    assert died == kills
    out = WorkDir.at(tmp_path / "killed", CRAWL, "raw_crawl")
    heard = Recording()
    report = run(Inputs(), out, given, heard)
    whole(out, given, report)
    assert "goes on after" in heard.notes[0]
    assert held(out.files) == expected
    assert fates(out.files) == told
    assert report.counts["requests"] == requests
    assert 0 < report.counts["requests_before_resume"] < requests
    again = asked(*two_hosts)
    assert set(again) == set(once)
    for host in two_hosts:
        extra = sum(n - 1 for (port, _), n in again.items() if port == host.port)
        assert extra <= kills * connections


def test_the_local_site_goes_on_too(tmp_path):
    given = config(snapshots={CRAWL: 1}, site=small_site(), max_truncated_share=0.2, limits={"slow_after_seconds": 0.05})
    expected, told, _ = unbroken(tmp_path / "unbroken", given)
    assert killed_run(tmp_path / "killed", given, "in the line", 60)
    out = WorkDir.at(tmp_path / "killed", CRAWL, "raw_crawl")
    report = run(Inputs(), out, given, Silent())
    whole(out, given, report)
    assert report.counts["requests_before_resume"] > 0
    assert (held(out.files), fates(out.files)) == (expected, told)


def broken_run(out: WorkDir, given: RawCrawlConfig, monkeypatch, line: int) -> None:
    """A run that ends before it writes a line; its WARC file holds one record more than its journal, or a half one."""
    write, count = Journal._write, 0

    def watched(self, found):
        nonlocal count
        count += 1
        if count == line:
            raise Killed
        write(self, found)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_write", watched)
        with pytest.raises(Killed):
            run(Inputs(), out, given, Silent())


def last_part(out: WorkDir) -> Path:
    return max((out.files / "warc").iterdir())


@pytest.mark.parametrize("line", [2, 5, 30, 77])
@pytest.mark.parametrize("damage", ["none", "half a record", "half a line", "both", "rubbish"])
def test_what_stands_half_written_at_the_end_is_cut_off(two_hosts, tmp_path, monkeypatch, line, damage):
    given = settings(two_hosts)
    expected = unbroken(tmp_path / "unbroken", given)[:2]
    out = WorkDir.at(tmp_path / "broken", CRAWL, "raw_crawl")
    broken_run(out, given, monkeypatch, line)
    path = out.private / JOURNAL_FILE
    if damage in ("half a record", "both"):
        last = last_part(out) if line > 20 else None
        if last:
            last.write_bytes(last.read_bytes() + last.read_bytes()[:150])
    if damage in ("half a line", "both"):
        path.write_bytes(path.read_bytes()[:-7])
    if damage == "rubbish":
        path.write_bytes(path.read_bytes() + b"\x00" * 4_096)
    report = run(Inputs(), out, given, Silent())
    whole(out, given, report)
    assert (held(out.files), fates(out.files)) == expected


def test_after_a_power_cut_a_line_counts_only_with_its_record(two_hosts, tmp_path, monkeypatch):
    """The journal reached the disk, the end of the WARC file did not: zeros, or nothing at all."""
    given = settings(two_hosts).model_copy(update={"warc_bytes": 10**9})
    expected = unbroken(tmp_path / "unbroken", given)[:2]
    for number, lost in enumerate(("zeros", "nothing", "the file")):
        out = WorkDir.at(tmp_path / f"broken-{number}", CRAWL, "raw_crawl")
        broken_run(out, given, monkeypatch, 80)
        path = last_part(out)
        data = path.read_bytes()
        path.write_bytes(data[:-2_000] + (bytes(2_000) if lost == "zeros" else b""))
        if lost == "the file":
            path.unlink()
        report = run(Inputs(), out, given, Silent())
        whole(out, given, report)
        assert (held(out.files), fates(out.files)) == expected
        assert report.counts["requests_before_resume"] < 70 or lost != "the file"


def test_what_is_synced_is_marked_and_not_read_back(two_hosts, tmp_path, monkeypatch):
    monkeypatch.setattr(journals, "_SYNC_EVERY", 10)
    given = settings(two_hosts)
    out = WorkDir.at(tmp_path, CRAWL, "raw_crawl")
    broken_run(out, given, monkeypatch, 110)
    read = []
    monkeypatch.setattr(journals, "read_record", lambda *place: read.append(place))
    start, state = journals.read_journal(out.private / JOURNAL_FILE, out.files) or (None, None)
    lines = [line for line, _ in journals._lines(out.private / JOURNAL_FILE)]
    synced = max(line["synced"] for line in lines if "synced" in line)
    assert start is not None
    assert state is not None
    assert synced >= 10 and len(read) <= len(lines) - synced  # how far the thread got depends on how busy the machine is


def test_a_finished_crawl_that_was_not_yet_published_asks_for_nothing(two_hosts, tmp_path):
    given = settings(two_hosts)
    out = WorkDir.at(tmp_path, CRAWL, "raw_crawl")
    before = run(Inputs(), out, given, Silent())
    seen = asked(*two_hosts)
    after = run(Inputs(), out, given, Silent())
    assert asked(*two_hosts) == seen
    assert after.counts["requests_before_resume"] == before.counts["requests"]
    assert {key: n for key, n in after.counts.items() if key != "requests_before_resume"} == {
        key: n for key, n in before.counts.items() if key != "requests_before_resume"
    }


def test_another_recipe_starts_again_and_another_pace_goes_on(two_hosts, tmp_path, monkeypatch):
    given = settings(two_hosts)
    out = WorkDir.at(tmp_path, CRAWL, "raw_crawl")
    broken_run(out, given, monkeypatch, 60)
    slower = given.model_copy(update={"limits": given.limits.model_copy(update={"delay_factor": 7.0}), "min_pages": 3})
    heard = Recording()
    broken_run_notes = run(Inputs(), out, slower, heard)
    assert broken_run_notes.counts["requests_before_resume"] > 0
    other = WorkDir.at(tmp_path / "other", CRAWL, "raw_crawl")
    broken_run(other, given, monkeypatch, 60)
    heard = Recording()
    changed = given.model_copy(update={"honour_noai": False, "exclude_paths": ["/p/"]})
    report = run(Inputs(), other, changed, heard)
    assert report.counts["requests_before_resume"] == 0
    assert "because raw_crawl.exclude_paths, raw_crawl.honour_noai changed" in heard.notes[0]
    assert not [url for url, _ in held(other.files) if "/p/" in url]


def test_a_journal_of_another_kind_is_not_read(tmp_path):
    assert journals.read_journal(tmp_path / "none", tmp_path) is None
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(b"")
    assert journals.read_journal(path, tmp_path) is None
    path.write_bytes(b"something else\n")
    assert journals.read_journal(path, tmp_path) is None
