import polars as pl
import pytest

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import removal
from tests.support import corpus

REASON = "a licensed mirror, looked at by hand"


def pages(host, own, copies, crawl="c1", lang="en", kind="web"):
    """``own`` pages of one host with words of their own, and ``copies`` that repeat the first of them nearly."""
    found = []
    for number in range(own + copies):
        base = number if number < own else 0
        words = [f"{host}{crawl}{base}x{n}" for n in range(40)] + ([f"end{number}"] if number >= own else [])
        found.append(
            corpus.row(f"http://{host}/{crawl}/{number}", " ".join(words), lang, 1 + number % 28, host=host, source_kind=kind)
        )
    return found


@pytest.fixture
def judged(bench):
    def judge(crawl, rows, older=(), **over):
        config = DedupedShardsConfig(min_source_documents=10, max_cluster_share=1.0, **over)
        files, report = bench.run(crawl, [rows], older, config)
        return files, bench.gates(crawl, files, report, older, config)["removal_rate"]

    return judge


def test_shares_are_counted_by_host_domain_language_and_kind(judged):
    rows = [
        *pages("a.news.co.uk", 10, 2),
        *pages("b.news.co.uk", 6, 4, kind="forum"),
        *pages("solo.test", 3, 0, lang="fr"),
        *pages("localhost", 1, 0),
    ]
    files, gate = judged("c1", rows)
    table = {
        (kind, source): (documents, near) for kind, source, documents, near, *_ in pl.read_parquet(files / removal.TABLE).rows()
    }
    assert table[("host", "b.news.co.uk")] == (10, 4) and table[("domain", "news.co.uk")] == (22, 6)
    assert table[("language", "fr")] == (3, 0) and table[("source_kind", "forum")] == (10, 4)
    assert ("domain", "solo.test") not in table and ("domain", "localhost") not in table  # their host says it already
    assert gate.passed and gate.metadata["sources"][0]["source"] == "b.news.co.uk"


def test_many_small_hosts_of_one_domain_are_judged_together(judged):
    """B16: nine pages each are too few to judge, 36 of one domain are not."""
    _, gate = judged("c1", [row for n in range(4) for row in pages(f"{n}.farm.com", 1, 8)])
    assert not gate.passed and "32 of 36 documents of the domain farm.com" in gate.message


def test_a_source_that_loses_more_than_before_stops_the_line(judged):
    first, gate = judged("c1", [*pages("a.test", 20, 2), *pages("b.test", 20, 0)])
    assert gate.passed
    _, gate = judged("c2", [*pages("a.test", 12, 9, "c2"), *pages("b.test", 90, 0, "c2")], [first])
    assert not gate.passed
    assert "9 of 21 documents of the host a.test (older crawls: 9%)" in gate.message
    _, gate = judged("c3", [*pages("c.test", 12, 9, "c3"), *pages("b.test", 90, 0, "c3")], [first])
    assert gate.passed  # a new source has no past; 43 % alone is allowed


def test_exact_copies_of_older_crawls_are_no_loss(judged):
    rows = pages("a.test", 20, 0)
    first, _ = judged("c1", rows)
    again = [row | {"url": row["url"] + "?again", "canonical_url": row["canonical_url"] + "?again"} for row in rows[1:]]
    files, gate = judged("c2", [*again, *pages("a.test", 1, 0, "c2")], [first])
    table = pl.read_parquet(files / removal.TABLE).filter(kind="host")
    assert gate.passed and table["older_copies"].to_list() == [19]


def test_an_override_lets_it_pass_and_its_reason_is_shown(judged):
    rows = [*pages("a.test", 2, 18), *pages("b.test", 80, 0)]
    _, gate = judged("c1", rows)
    assert not gate.passed and "removal_overrides" in gate.message
    for key in ("a.test", "c1/a.test"):
        _, gate = judged("c1", rows, removal_overrides={key: REASON, "other.test": REASON})
        assert gate.passed and gate.metadata["unused_overrides"] == ["other.test"]
        assert gate.metadata["overridden"] == [f"18 of 20 documents of the host a.test; allowed: {REASON}"]
        assert gate.message.endswith(REASON)
    _, gate = judged("c1", rows, removal_overrides={"c2/a.test": REASON})
    assert not gate.passed


def test_an_override_without_a_reason_is_refused():
    with pytest.raises(RecipeError, match=r"a\.test needs a reason in words"):
        load_recipe("demo", {"deduped_shards": {"removal_overrides": {"a.test": "ok"}}})


def test_a_table_that_does_not_say_what_the_ledger_says_is_refused(bench):
    files, report = bench.run("c1", [pages("a.test", 3, 1)])
    table = pl.read_parquet(files / removal.TABLE)
    table.with_columns(near=pl.lit(0)).write_parquet(files / removal.TABLE)
    assert "does not say what the ledger says" in bench.gates("c1", files, report)["removal_rate"].message


def test_too_few_rows_stop_the_line_but_an_unchanged_site_does_not(bench):
    first, report = bench.run("c1", [pages("a.test", 2, 0)])
    strict = DedupedShardsConfig(min_kept_documents=3)
    gate = bench.gates("c1", first, report, config=strict)["minimum_rows"]
    assert not gate.passed and "2 of 2 documents are kept; at least 3 must be" in gate.message
    copies = [row | {"canonical_url": row["canonical_url"] + "x"} for row in pages("a.test", 2, 0)]
    second, report = bench.run("c2", [copies], [first])
    assert not bench.gates("c2", second, report, [first])["minimum_rows"].passed
    third, report = bench.run("c3", [[]], [first])
    assert bench.gates("c3", third, report, [first], strict)["minimum_rows"].passed
