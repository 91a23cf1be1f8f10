"""``raw_crawl`` from end to end on a small local site, through the store."""

import re
import shutil
from pathlib import Path

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import RAW_INDEX
from llm_assets.core.errors import GateBlocked, RecipeError
from llm_assets.core.produce import accept_or_raise, produce
from llm_assets.core.progress import Silent
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.crawl import RawCrawlConfig, TombstonesConfig
from llm_assets.core.report import Report
from llm_assets.core.store import Store
from llm_assets.stages import spec_of
from llm_assets.stages.crawl.gates import gates
from llm_assets.stages.crawl.journal import JOURNAL_FILE
from llm_assets.stages.crawl.run import run
from llm_assets.stages.crawl.site.traps import ADDRESSES
from tests.support.loopback import config, small_site

FIRST, LATER = "wiki-1", "wiki-2"


def settings(**over) -> RawCrawlConfig:
    return config(**({"snapshots": {FIRST: 1, LATER: 2}, "site": small_site(), "max_truncated_share": 0.1} | over))


@pytest.fixture(scope="module")
def crawled(tmp_path_factory) -> Store:
    """A store with both snapshots, the second crawled after the first was numbered."""
    store = Store(tmp_path_factory.mktemp("store"), "test")
    for crawl in (FIRST, LATER):
        accept_or_raise(produce(store, spec_of("raw_crawl"), settings(), partition=crawl))
        store.number_crawl(crawl)
    return store


def index(store: Store, crawl: str) -> pl.DataFrame:
    return pl.read_parquet(store.current("raw_crawl", crawl).file("index.parquet"))


def test_the_first_snapshot_has_it_all(crawled):
    report = Report.load(crawled.current("raw_crawl", FIRST).files)
    frame = index(crawled, FIRST)
    assert frame.schema == RAW_INDEX
    assert set(frame["record_type"]) == {"response"}
    assert {"robots", "redirect", "redirect_limit", "depth", "scope", "status", "address", "too_large", "truncated"} <= {
        key.removeprefix("dropped:") for key in report.counts
    }
    assert [report.counts[f"dropped:optout_{kind}"] for kind in ("robots_ai", "noai", "tdm", "ai_txt")] == [2, 6, 6, 2]
    assert report.metrics["articles_shown"] > 40
    assert frame.filter(pl.col("url").str.contains("/busy")).height == 1
    forbidden = frame.filter(pl.col("url").str.contains("/private/") | pl.col("url").str.contains("/trap/bomb"))
    assert [url.rpartition("/")[2] for url in forbidden["url"]] == ["press-kit"]


def test_each_hostile_page_is_named_in_the_ledger(crawled):
    """B06, B07: every trap of the site has its line, the crawl went on, and nothing of them was kept but the calendar."""
    rows = pl.read_parquet(crawled.current("raw_crawl", FIRST).file("ledger.parquet"))
    fates = dict(rows.select("url", "rule").iter_rows())
    details = dict(rows.select("url", "detail").iter_rows())
    found = {address.removeprefix("/trap/"): fates[f"http://wiki.example{address}"] for address in ADDRESSES}
    assert found == {
        "drip": "timeout", "headers": "protocol", "length": "too_large", "short": "truncated", "ring?n=1": "redirect",
        "loop?n=1": "redirect", "calendar?month=1": "kept", "internal": "redirect", "mapped": "redirect",
        "decimal": "redirect", "nat64": "redirect", "scheme": "redirect", "bomb-gzip": "too_large",
        "bomb-deflate": "too_large", "bomb-br": "too_large", "bomb-zstd": "too_large",
    }  # fmt: skip
    for inside in ("http://169.254.169.254/latest/meta-data/", "http://[::ffff:10.0.0.1]/", "http://2130706433/"):
        assert fates[inside] == "address"
    assert fates["http://[64:ff9b::a00:1]/"] == "address"
    assert "fewer than 100 bytes a second" in details["http://wiki.example/trap/drip"]
    assert "Content-Length 1000000000000" in details["http://wiki.example/trap/length"]
    assert details["http://wiki.example/trap/scheme"] == "file:///etc/passwd"
    assert [fates[f"http://wiki.example/trap/ring?n={n}"] for n in (1, 2, 3)] == ["redirect"] * 3
    assert "redirect_limit" in {fates.get(f"http://wiki.example/trap/loop?n={n}") for n in range(2, 10)}
    assert {"depth", "queries"} & {rule for url, rule in fates.items() if "calendar" in url}


def test_a_refresh_costs_what_is_new(crawled):
    """The later snapshot stores new and changed pages; the first one's files are as they were."""
    first, later = index(crawled, FIRST), index(crawled, LATER)
    revisits = later.filter(pl.col("record_type") == "revisit")
    responses = later.filter(pl.col("record_type") == "response")
    assert revisits.height > responses.height
    assert set(revisits["revisit_of"]) <= set(first["doc_id"])
    old = dict(zip(first["url"], first["payload_digest"], strict=True))
    assert all(old.get(row["url"]) != row["payload_digest"] for row in responses.iter_rows(named=True))
    ledger = pl.read_parquet(crawled.current("raw_crawl", LATER).file("ledger.parquet"))
    vanished = ledger.filter(pl.col("detail") == "vanished")
    assert vanished.height > 0
    assert set(vanished["related_doc"]) <= set(first["doc_id"])


def test_it_is_never_refetched_unasked(crawled):
    before = crawled.current("raw_crawl", FIRST)
    again = produce(crawled, spec_of("raw_crawl"), settings(user_agent="another/1"), partition=FIRST)
    assert again.reused
    assert again.artefact == before


def test_what_is_left_without_a_journal_is_cleared_away(tmp_path):
    out = WorkDir.at(tmp_path, "cc", "raw_crawl")
    (out.files / "warc").mkdir()
    (out.files / "warc" / "part-00000.warc.gz").write_bytes(b"half")
    (out.private / "left").write_text("over")
    report = run(Inputs(), out, settings(seeds={"cc": ["http://nobody.invalid/"]}), Silent())
    assert report.counts["documents_in"] == 1
    assert report.counts["dropped:robots_unavailable"] == 1
    assert [path.name for path in out.private.iterdir()] == [JOURNAL_FILE]
    names = {gate.name: gate for gate in gates(Inputs(), out.files, settings(), report)}
    assert not names["enough_pages"].passed
    assert "at least 1 wanted" in names["enough_pages"].message
    assert "is the network up" in names["enough_pages"].message


# doctored artefacts: each gate refuses its own fault


def copy_of(crawled: Store, tmp_path: Path) -> Path:
    files = tmp_path / "files"
    shutil.copytree(crawled.current("raw_crawl", LATER).files, files)
    return files


def refused(files: Path, **over) -> dict[str, str]:
    found = gates(Inputs(), files, settings(**over), Report.load(files))
    assert {gate.name for gate in found} == set(spec_of("raw_crawl").gate_names)
    assert all(gate.blocking for gate in found)
    return {gate.name: gate.message for gate in found if not gate.passed}


def edit(files: Path, name: str, change) -> None:
    change(pl.read_parquet(files / name)).write_parquet(files / name)


def test_the_untouched_crawl_passes(crawled, tmp_path):
    assert refused(copy_of(crawled, tmp_path)) == {}


def test_missing_articles_are_refused(crawled, tmp_path):
    files = copy_of(crawled, tmp_path)
    report = Report.load(files)
    report.metrics["articles_shown"] = 5_000
    report.save(files)
    assert "of the site's 5,000 articles" in refused(files)["enough_pages"]
    assert "at least 10,000 wanted" in refused(files, min_pages=10_000)["enough_pages"]


def test_failing_servers_are_refused(crawled, tmp_path):
    files = copy_of(crawled, tmp_path)
    assert "of requests failed" in refused(files, max_failed_share=0.001)["enough_pages"]


def test_a_lost_line_of_the_ledger_is_refused(crawled, tmp_path):
    files = copy_of(crawled, tmp_path)
    edit(files, "ledger.parquet", lambda f: f[1:])
    assert "the report tells other counts" in refused(files)["counts_add_up"]


def test_a_document_without_a_fate_is_refused(crawled, tmp_path):
    files = copy_of(crawled, tmp_path)
    edit(files, "index.parquet", lambda f: f[:-1])
    assert "different documents" in refused(files)["counts_add_up"]


def test_a_fate_that_contradicts_itself_is_refused(crawled, tmp_path):
    files = copy_of(crawled, tmp_path)
    edit(files, "ledger.parquet", lambda f: f.with_columns(rule=pl.when("kept").then(pl.lit("robots")).otherwise("rule")))
    assert "contradicts" in refused(files)["counts_add_up"]


def test_too_many_cut_captures_are_refused(crawled, tmp_path):
    files = copy_of(crawled, tmp_path)
    assert "at most 0.10% allowed" in refused(files, max_truncated_share=0.001)["few_truncated"]


@pytest.mark.parametrize("damage", ["byte", "end", "file", "extra", "swap", "digest"])
def test_damaged_records_are_refused(crawled, tmp_path, damage):
    files = copy_of(crawled, tmp_path)
    (path,) = (files / "warc").iterdir()
    data = bytearray(path.read_bytes())
    frame = pl.read_parquet(files / "index.parquet")
    if damage == "byte":
        place = frame["offset"][3] + frame["length"][3] // 2
        data[place] ^= 0xFF
        path.write_bytes(data)
    elif damage == "end":
        path.write_bytes(data[:-5])
    elif damage == "file":
        path.unlink()
    elif damage == "extra":
        path.with_name("part-00001.warc.gz").write_bytes(data)
    elif damage == "swap":
        swapped = frame["doc_id"].to_list()
        swapped[0], swapped[1] = swapped[1], swapped[0]
        edit(files, "index.parquet", lambda f: f.with_columns(doc_id=pl.Series(swapped)))
    else:
        edit(files, "index.parquet", lambda f: f.with_columns(payload_digest=pl.col("payload_digest").reverse()))
    assert "problems" in refused(files)["records_verified"]


def test_an_index_with_holes_is_refused(crawled, tmp_path):
    files = copy_of(crawled, tmp_path)
    edit(files, "index.parquet", lambda f: f.with_columns(status=pl.lit(None, pl.Int16)))
    assert "status" in refused(files)["index_table"]
    edit(files, "index.parquet", lambda f: f.with_columns(status=pl.lit(200, pl.Int16), doc_id=pl.lit(f["doc_id"][0])))
    assert "unique" in refused(files)["index_table"]


def test_a_refused_crawl_leaves_current_where_it_was(crawled):
    spec = spec_of("raw_crawl")
    before = crawled.current("raw_crawl", FIRST)
    outcome = produce(crawled, spec, settings(min_pages=10_000), partition=FIRST, force=True)
    assert outcome.failed == ("enough_pages",)
    with pytest.raises(GateBlocked, match="min_pages"):
        accept_or_raise(outcome)
    assert crawled.current("raw_crawl", FIRST) == before


def test_what_is_buried_between_two_crawls_stays_away(tmp_path):
    """A tombstone for one host: nothing of it in the next crawl, and the ledger says why."""
    store = Store(tmp_path / "store", "test")
    (tmp_path / "asked.jsonl").write_text('{"kind": "host", "value": "mirror.example", "reason": "owner asked"}\n')
    buried = spec_of("tombstones")
    accept_or_raise(produce(store, buried, TombstonesConfig(path=str(tmp_path / "asked.jsonl"))))
    accept_or_raise(produce(store, spec_of("raw_crawl"), settings(), partition=FIRST))
    frame = index(store, FIRST)
    assert frame.filter(pl.col("url").str.contains("mirror.example")).is_empty()
    ledger = pl.read_parquet(store.current("raw_crawl", FIRST).file("ledger.parquet"))
    assert set(ledger.filter(pl.col("url").str.contains("//mirror.example"))["rule"]) == {"tombstone"}


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"snapshots": {"a": 3}}, "the local site has 1"),
        ({"seeds": {FIRST: ["http://a.example/"]}, "snapshots": {FIRST: 1}}, "another key"),
        ({"seeds": {"a": []}}, "needs one or more"),
        ({"seeds": {"a": ["ftp://a.example"]}}, "ftp://a.example"),
        ({"seeds": {"a": ["http://[bad"]}}, "http://"),
        ({"kinds": ["page", "video"]}, "'video' is none of page, image, other"),
        ({"source_kinds": {"a.example": "blog"}}, "'blog' is none of web"),
        ({"user_agent": "two\r\nlines"}, "user_agent"),
        ({"include_paths": ["docs"]}, "'docs' is no path"),
        ({"exclude_paths": ["http://a.example/x"]}, "exclude_paths"),
    ],
)
def test_a_recipe_that_cannot_be_crawled_is_refused_when_it_is_read(over, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        load_recipe("demo", {"raw_crawl": over})
