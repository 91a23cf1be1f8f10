import polars as pl
import pytest

from llm_assets.core.recipe.corpus import DedupedShardsConfig
from tests.stages.dedup.test_run import RIVER, fates
from tests.support import corpus


def copies():
    text = " ".join(RIVER)
    return {
        "mirror": corpus.row("http://mirror.test/river", text, day=1, host="mirror.test"),
        "plain": corpus.row("http://plain.test/river2", text, day=2, host="plain.test"),
        "home": corpus.row("http://home.test/river3", text, day=3, host="home.test"),
        "longer": corpus.row("http://long.test/river4", text + " and more", day=4, host="long.test"),
    }


def kept(bench, prefer, links):
    rows = copies()
    bench.links("c1", {rows[name]["doc_id"]: link for name, link in links.items()})
    files, report = bench.run("c1", [list(rows.values())], config=DedupedShardsConfig(prefer=prefer))
    assert report.counts["kept"] == 1
    frame = pl.read_parquet(files / "shards/00000.parquet")
    return frame["host"][0].removesuffix(".test")


@pytest.mark.parametrize(
    ("prefer", "links", "wanted"),
    [
        ([], {}, "mirror"),
        (["self_canonical"], {}, "mirror"),
        (["self_canonical"], {"mirror": "http://home.test/river3", "home": "http://home.test/river3"}, "home"),
        (["self_canonical"], {"home": "HTTP://Home.test:80/river3#top"}, "home"),
        (["self_canonical"], {"mirror": "http://home.test/river3"}, "plain"),
        (["self_canonical"], {"mirror": "/river", "plain": ""}, "mirror"),
        (["longer"], {"home": "http://home.test/river3"}, "long"),
        (["self_canonical", "longer"], {"mirror": "http://x.test/", "home": "http://home.test/river3"}, "home"),
        (["longer", "self_canonical"], {"mirror": "http://x.test/"}, "long"),
    ],
)
def test_which_of_the_copies_is_kept(bench, prefer, links, wanted):
    assert kept(bench, prefer, links) == wanted


def test_between_crawls_the_older_wins_whatever_is_preferred(bench):
    rows = copies()
    first, _ = bench.run("c1", [[rows["mirror"]]])
    bench.links("c2", {rows["home"]["doc_id"]: "http://home.test/river3"})
    second, _ = bench.run("c2", [[rows["home"]]], [first])
    assert fates(second)["river3"]["rule"] == "exact_duplicate"
    assert fates(second)["river3"]["related_doc"] == rows["mirror"]["doc_id"]


def test_the_capture_fetched_last_supersedes_the_others_whatever_is_preferred(bench):
    old = corpus.row("http://a.test/p", "much longer text " + " ".join(RIVER), day=1)
    new = corpus.row("http://a.test/p", " ".join(RIVER), day=2)
    files, _ = bench.run("c1", [[new, old]], config=DedupedShardsConfig(prefer=["longer"]))
    assert pl.read_parquet(files / "superseded.parquet").rows() == [(old["doc_id"], new["doc_id"], "c1")]
