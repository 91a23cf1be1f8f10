"""Common Crawl by id, against a loopback server of its layout: what is chosen, what is fetched, what survives faults."""

import gzip
import re

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError, RecipeError
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.sources import CommonCrawl
from llm_assets.stages.crawl.commoncrawl import index as index_module
from llm_assets.stages.crawl.commoncrawl.fetch import problem_of, safe_path
from llm_assets.stages.crawl.commoncrawl.subset import chosen
from llm_assets.stages.crawl.gates import gates
from llm_assets.stages.crawl.run import run
from tests.support.commoncrawl import FOLDER, ID, INDEX, Month, cut_short, damaged, serving, status
from tests.support.loopback import config
from tests.support.warcs import members, response

HOSTS = [("a.example", "eng"), ("forum.a.example", "eng,fra"), ("b.example", "fra"), ("z.test", "deu")]
MONTH = Month([(host, f"/{n}", language) for host, language in HOSTS for n in range(20)])
WARCS = sorted(name for name in MONTH.files if name.endswith(".warc.gz"))


@pytest.fixture
def served():
    with serving(dict(MONTH.files)) as (server, base):
        yield server, base


def settings(base, **over):
    given = {"base_url": base, "chunk_bytes": 1_024, "backoff_seconds": 0.0, "max_retries": 2, "connections": 2} | over
    return config(common_crawl=CommonCrawl(**given), allow_private_hosts=["127.0.0.1"])


def fetch(tmp_path, configured, crawl=ID, progress=None):
    out = WorkDir.at(tmp_path / "work" / crawl, crawl, "raw_crawl")
    report = run(Inputs({}, store=tmp_path / "store"), out, configured, progress or Silent())
    failing = [gate.message for gate in gates(Inputs(), out.files, configured, report) if not gate.passed]
    assert failing == []
    return report, pl.read_parquet(out.files / "index.parquet"), out


def hosts(index) -> set[str]:
    return set(index["url"].str.extract("//([^/]+)/"))


def test_files_by_listing(tmp_path, served):
    """The key is an id; two of four files, by seed; all their pages; one more file holds the two."""
    server, base = served
    report, index, _ = fetch(tmp_path, settings(base, files=2))
    assert index.height == 40 and report.counts["files_listed"] == 4 and report.counts["files_read"] == 2
    assert report.metrics["common_crawl"] == ID
    taken = {path for path, _ in server.asked if path.endswith(".warc.gz")}
    assert taken == set(chosen(WARCS, CommonCrawl(files=2)))
    assert taken < set(chosen(WARCS, CommonCrawl(files=3)))
    assert chosen(WARCS, CommonCrawl(files=2, seed=1)) != chosen(WARCS, CommonCrawl(files=2))
    # not a byte twice: ranges of a file begin where the last one ended
    for path in taken:
        assert [start for asked, start in server.asked if asked == path] == list(range(0, len(MONTH.files[path]), 1_024))


def test_a_share_of_files_and_the_texts_of_a_named_month(tmp_path, served):
    """``ids`` maps another key; WET files come as text/plain pages."""
    _, base = served
    many = [f"x/{n}" for n in range(1_000)]
    assert 60 < len(chosen(many, CommonCrawl(files=0, share=0.1))) < 140
    assert len(chosen(many[:3], CommonCrawl(files=0, share=1e-9))) == 1
    configured = settings(base, ids={"autumn": ID}, files=0, share=1.0, content="wet")
    _, index, _ = fetch(tmp_path, configured, "autumn")
    assert index.height == len(MONTH.pages)
    assert set(index["content_type"].str.head(10)) == {"text/plain"} and set(index["kind"]) == {"page"}


def test_a_killed_download_goes_on_where_it_was(tmp_path, served):
    """Killed while the second chunk comes: the next run asks for what is missing only, and the crawl is whole."""
    server, base = served

    class Killed(Recording):
        def update(self, done, total, unit, /, **metrics):
            if metrics.get("file_share", 0) > 0.3:
                raise KeyboardInterrupt

    configured = settings(base, files=1)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, configured, progress=Killed())
    half = [start for path, start in server.asked if path.endswith(".warc.gz")]
    server.asked.clear()
    _, index, out = fetch(tmp_path, configured)
    again = [start for path, start in server.asked if path.endswith(".warc.gz")]
    assert again[0] == max(half) + 1_024 and min(again) > 0
    assert index.height == 20
    assert not list(out.private.rglob("*.part")) and not list(out.private.rglob("*.json"))
    server.asked.clear()
    report, _, _ = fetch(tmp_path, configured)  # all is there: only the listing is asked for
    assert {path for path, _ in server.asked} == {f"{FOLDER}/warc.paths.gz"} and report.counts["files_reused"] == 1


def test_slow_down_errors_and_cuts_are_tried_again(tmp_path, served):
    server, base = served
    path = chosen(WARCS, CommonCrawl(files=1))[0]
    server.faults[path] = [status(503, Retry_After="0"), status(403), cut_short, status(429), status(500)]
    server.faults[f"{FOLDER}/warc.paths.gz"] = [status(403)]
    with pytest.raises(InputError, match=r"status|truncated|connection"):
        fetch(tmp_path, settings(base, max_retries=1))
    report, index, _ = fetch(tmp_path, settings(base, max_retries=4))
    assert index.height == 20 and report.counts["download_retries"] >= 2


def test_a_damaged_download_is_fetched_once_more(tmp_path, served):
    """The ETag's MD5 finds the wrong byte; without it (not S3) the gzip checksums do. Damaged twice is an error."""
    server, base = served
    path = chosen(WARCS, CommonCrawl(files=1))[0]
    for place, s3 in enumerate((True, False)):
        server.s3 = s3
        server.faults[path] = [damaged]
        _, index, _ = fetch(tmp_path / str(place), settings(base, files=1))
        assert index.height == 20
    server.faults[path] = [damaged] * 100
    with pytest.raises(InputError, match="gzip member is damaged.*twice"):
        fetch(tmp_path / "never", settings(base, files=1))


def test_a_file_that_changes_meanwhile_begins_again(tmp_path, served):
    server, base = served
    path = chosen(WARCS, CommonCrawl(files=1))[0]
    other = MONTH.files[path] + members(response(b"<p>one more</p>", "http://a.example/more"))

    def change(handler, data, start):
        server.files[path] = other
        return False

    server.faults[path] = [lambda *_: False, change]
    _, index, _ = fetch(tmp_path, settings(base, files=1))
    assert index.height == 21


def test_captures_of_a_domain_by_the_index(tmp_path, served):
    """A domain and its subdomains, by byte ranges of single captures; no other host, no whole file."""
    server, base = served
    report, index, _ = fetch(tmp_path, settings(base, domains=["a.example"]))
    assert hosts(index) == {"a.example", "forum.a.example"} and index.height == 40
    assert report.counts["captures_by_index"] == 40
    assert not any(path == name and start == 0 for path, start in server.asked for name in WARCS)
    _, index, _ = fetch(tmp_path / "fewer", settings(base, domains=["a.example"], max_records=7))
    assert index.height == 7


def test_captures_in_a_language(tmp_path, served):
    """The main language counts, not a second one; domain and language together; a run that goes on asks the index no more."""
    server, base = served
    _, index, _ = fetch(tmp_path, settings(base, languages=["fra"]))
    assert hosts(index) == {"b.example"} and index.height == 20
    server.asked.clear()
    fetch(tmp_path, settings(base, languages=["fra"]))
    assert server.asked == []
    _, index, _ = fetch(tmp_path / "both", settings(base, languages=["fra", "eng"], domains=["b.example", "z.test"]))
    assert hosts(index) == {"b.example"}
    with pytest.raises(InputError, match="no page of the domains z.test in the languages eng"):
        fetch(tmp_path / "none", settings(base, languages=["eng"], domains=["z.test"]))


def test_a_large_index_is_sampled_by_seed(tmp_path, served, monkeypatch):
    """Where ``cluster.idx`` is too large to read, blocks at random places are; the seed decides which."""
    _, base = served
    monkeypatch.setattr(index_module, "_SMALL", 0)
    taken = []
    for place, seed in enumerate((0, 0, 1)):
        over = {"languages": ["eng", "fra", "deu"], "max_index_blocks": 4, "max_records": 15, "seed": seed}
        _, index, _ = fetch(tmp_path / str(place), settings(base, **over))
        taken.append(sorted(index["url"]))
        assert len(taken[-1]) == 15
    assert taken[0] == taken[1] != taken[2]


def test_the_index_is_bisected_not_read(tmp_path):
    """In an index of many windows a domain costs a dozen requests, wherever it lies; first and last are found too."""
    month = Month([(f"h{n:05d}.example", "/" + "x" * 900, "eng") for n in range(3_000)], warcs=1)
    size = len(month.files[f"{INDEX}/cluster.idx"])
    assert size > 8 * 65_536
    with serving(month.files) as (server, base):
        for number in (0, 1_234, 2_999):
            server.asked.clear()
            _, index, _ = fetch(tmp_path / str(number), settings(base, domains=[f"h{number:05d}.example"]))
            assert hosts(index) == {f"h{number:05d}.example"}
            assert sum(path.endswith("cluster.idx") for path, _ in server.asked) <= 12


def test_a_damaged_capture_is_the_importers_to_judge(tmp_path, served):
    server, base = served
    server.faults[WARCS[0]] = [damaged]
    out = WorkDir.at(tmp_path / "work", ID, "raw_crawl")
    report = run(Inputs({}, store=tmp_path / "store"), out, settings(base, domains=["b.example"]), Silent())
    assert report.counts["kept"] == 19
    assert sum(n for key, n in report.counts.items() if key.startswith("dropped:")) == 1


def test_a_cache_serves_the_next_crawl(tmp_path, served):
    server, base = served
    cached = {"cache": str(tmp_path / "cache"), "files": 1}
    fetch(tmp_path, settings(base, **cached))
    server.asked.clear()
    report, index, _ = fetch(tmp_path, settings(base, ids={"other": ID}, **cached), "other")
    assert index.height == 20 and report.counts["files_reused"] == 1
    assert {path for path, _ in server.asked} == {f"{FOLDER}/warc.paths.gz"}


def test_a_folder_in_the_inbox_comes_before_the_network(tmp_path, served):
    server, base = served
    folder = tmp_path / "inbox" / ID
    folder.mkdir(parents=True)
    (folder / "x.warc.gz").write_bytes(members(response(b"<p>mine</p>", "http://own.example/")))
    _, index, _ = fetch(tmp_path, settings(base))
    assert hosts(index) == {"own.example"} and server.asked == []


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "status 404; is the crawl's id right"),
        ({f"{FOLDER}/warc.paths.gz": b"no gzip"}, "no listing of paths"),
        ({f"{FOLDER}/warc.paths.gz": gzip.compress(b"../../etc/passwd\n")}, "no path below"),
        ({f"{FOLDER}/warc.paths.gz": gzip.compress(b"")}, "lists no file"),
    ],
)
def test_what_the_server_lacks_is_said(tmp_path, files, words):
    with serving(files) as (_, base), pytest.raises(InputError, match=words):
        fetch(tmp_path, settings(base))


def test_servers_that_cannot_be_resumed_are_refused(tmp_path, served):
    server, base = served
    path = chosen(WARCS, CommonCrawl(files=1))[0]

    def no_ranges(handler, data, start):
        handler.reply(200, data)
        return True

    def packed(handler, data, start):
        handler.reply(206, gzip.compress(data[:1_024]), {"Content-Encoding": "gzip"})
        return True

    for fault, words in (
        (no_ranges, "whole files only"),
        (packed, "Content-Encoding"),
        (status(302, Location="/x"), "status 302"),
    ):
        server.faults[path] = [fault]
        with pytest.raises(InputError, match=words):
            fetch(tmp_path, settings(base, files=1))


def test_an_inner_address_is_refused_unless_the_recipe_allows_it(tmp_path, served):
    server, base = served
    refused = settings(base).model_copy(update={"allow_private_hosts": []})
    with pytest.raises(InputError, match="not public"):
        fetch(tmp_path, refused)
    assert server.asked == []


@pytest.mark.parametrize("path", ["", "/x", "a/../b", "a//b", "http://h/x", "a b", "a?b", "a%2e"])
def test_paths_that_lead_elsewhere(path):
    with pytest.raises(InputError, match="no path below"):
        safe_path(path)


def test_checksums(tmp_path):
    path = tmp_path / "x.gz.part"
    path.write_bytes(gzip.compress(b"a") + gzip.compress(b"b" * 100_000))
    assert problem_of(path, "") == ""
    assert "MD5" in problem_of(path, "0" * 32)
    path.write_bytes(path.read_bytes()[:-3])
    assert "no end" in problem_of(path, "")


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"ids": {"a": "2026-43"}}, "looks like CC-MAIN-2026-43"),
        ({"base_url": "ftp://x/"}, "base_url"),
        ({"languages": ["en"]}, "'en' is no ISO 639-3"),
        ({"domains": ["https://a.example/"]}, "is no domain"),
        ({"files": 0}, "nothing would be fetched"),
        ({"domains": ["a.example"], "content": "wet"}, "lists pages"),
    ],
)
def test_a_recipe_that_asks_for_nothing_possible_is_refused(over, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        load_recipe("demo", {"raw_crawl": {"common_crawl": over}})


def test_the_shipped_recipe_is_a_crawl_of_common_crawl():
    """Its first crawl is the one that a run without a key makes; nothing of the local site is left in it."""
    raw = load_recipe("common-crawl").raw_crawl
    assert raw.snapshots == {} and list(raw.common_crawl.ids.values()) == [ID]
    assert load_recipe("common-crawl").tokenizer.crawls == list(raw.common_crawl.ids)
