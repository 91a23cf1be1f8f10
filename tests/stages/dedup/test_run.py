import random

import numpy as np
import polars as pl
import pytest

from llm_assets.core.errors import InputError
from llm_assets.core.progress import Recording
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from tests.support import corpus

RIVER = ["the", "river", "runs", "from", "the", "high", "mountains", "through", "seven", "old", "cities", "down"]
RIVER += ["to", "the", "cold", "grey", "sea", "in", "the", "north"]


def fates(files):
    """url's last part → (rule, url's last part of the related document or the bare related id)"""
    ledger = pl.read_parquet(files / "ledger.parquet")
    return {row["url"].rsplit("/", 1)[-1]: row for row in ledger.iter_rows(named=True)}


def page(name, text, day=1, **over):
    return corpus.row(f"http://a.test/{name}", text, day=day, **over)


def variant(base, *changes):
    words = list(base)
    for at in changes:
        words[at] = f"changed{at}"
    return " ".join(words)


def test_short_texts_are_compared_for_equality_only(bench):
    """B15: no crash on empty or short texts, and they are no copies of each other."""
    pages = [page(f"p{n}", text) for n, text in enumerate(["", "ok", "yes", "no", "ok", "!!!", "???", ""])]
    files, report = bench.run("c1", [pages])
    assert {name: row["rule"] for name, row in fates(files).items()} == {
        "p0": "kept",
        "p1": "kept",
        "p2": "kept",
        "p3": "kept",
        "p4": "exact_duplicate",
        "p5": "kept",
        "p6": "kept",
        "p7": "exact_duplicate",
    }
    assert fates(files)["p4"]["related_doc"] == pages[1]["doc_id"]
    later, _ = bench.run("c2", [[page("q", "OK ", 2), page("r", "maybe", 2)]], [files])
    assert [row["rule"] for row in fates(later).values()] == ["exact_duplicate", "kept"]
    assert not bench.refused("c1", files, report, config=None)


def test_shared_boiler_plate_makes_no_copies(bench):
    """B16: 200 pages, 80 % the same licence text, 20 % their own words: measured similarity keeps them all."""
    rng = random.Random(1)
    licence = [f"clause{n}" for n in range(80)]
    own = [[f"w{rng.randrange(10**6)}" for _ in range(20)] for _ in range(200)]
    pages = [page(f"p{n}", " ".join(licence + words)) for n, words in enumerate(own)]
    files, report = bench.run("c1", [pages])
    assert report.counts["kept"] == 200
    loose = DedupedShardsConfig(jaccard=0.3, bands=120, rows=2)
    files, report = bench.run("c1", [pages], config=loose)
    assert report.counts["kept"] == 1
    gates = bench.gates("c1", files, report, config=loose)
    assert not gates["removal_rate"].passed and not gates["largest_cluster"].passed
    assert "199 of 200 documents of the host a.test" in gates["removal_rate"].message


def test_a_chain_is_not_followed(bench):
    """B16: A~B and B~C, A and C share nothing: B goes for A, C stays."""
    x, y, z, w = ([f"{letter}{n}" for n in range(40)] for letter in "xyzw")
    pages = [page("a", " ".join(x + y)), page("b", " ".join(y + z)), page("c", " ".join(z + w))]
    files, _ = bench.run("c1", [pages], config=DedupedShardsConfig(jaccard=0.25, bands=60, rows=2))
    found = fates(files)
    assert [found[name]["rule"] for name in "abc"] == ["kept", "near_duplicate", "kept"]
    assert found["b"]["related_doc"] == pages[0]["doc_id"] and found["b"]["value"] == pytest.approx(36 / 116)


def test_a_near_duplicate_names_the_kept_text_the_similarity_and_the_threshold(bench):
    pages = [
        page("b-copy", variant(RIVER, 19), 2),
        page("a", " ".join(RIVER), 1),
        page("z", "Nothing in common at all here.", 1),
    ]
    files, report = bench.run("c1", [pages[:1], pages[1:]])
    row = fates(files)["b-copy"]
    assert (row["rule"], row["related_doc"], row["threshold"], row["detail"]) == (
        "near_duplicate",
        pages[1]["doc_id"],
        0.8,
        "of c1",
    )
    assert row["value"] == pytest.approx(15 / 17)  # 16 shingles each, 15 in common
    shards = [pl.read_parquet(path) for path in sorted(files.glob("shards/*.parquet"))]
    assert [shard["doc_id"].to_list() for shard in shards] == [[], [pages[1]["doc_id"], pages[2]["doc_id"]]]
    assert report.counts == {"documents_in": 3, "kept": 2, "dropped:near_duplicate": 1, "superseded": 0}
    assert (files / report.plots["Similarity of near-duplicates"]).stat().st_size < 200_000
    assert not bench.refused("c1", files, report)


def test_the_most_similar_kept_text_is_named_and_of_equals_the_oldest(bench):
    base = page("m", " ".join(RIVER), 3)
    other = page("k", variant(RIVER, 0, 19), 2)
    far = page("n", variant(RIVER, 0), 4)  # 15/17 from m, and from k
    files, _ = bench.run("c1", [[far, base, other]])
    found = fates(files)
    assert found["k"]["rule"] == "kept" and found["m"]["rule"] == "kept"  # 14/18 from each other
    assert found["n"]["related_doc"] == other["doc_id"]


def test_within_a_crawl_the_first_fetched_is_kept_then_the_first_url(bench):
    text = " ".join(RIVER)
    files, _ = bench.run("c1", [[page("b", text, 2), page("c", text, 1), page("a", text, 2)]])
    assert [fates(files)[name]["rule"] for name in "abc"] == ["exact_duplicate", "exact_duplicate", "kept"]


def test_the_oldest_crawl_wins_and_older_files_are_not_touched(bench):
    first, _ = bench.run("c1", [[page("a", " ".join(RIVER))]])
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.rglob("*") if path.is_file()}
    # fetched before the older crawl's page: the order of crawls decides all the same
    second, report = bench.run("c2", [[page("b", " ".join(RIVER), 1), page("c", variant(RIVER, 2, 19), 1)]], [first])
    third, _ = bench.run("c3", [[page("d", variant(RIVER, 2), 3), page("e", " ".join(RIVER), 3)]], [first, second])
    assert fates(second)["b"]["detail"] == "of c1" and fates(second)["c"]["rule"] == "kept"
    assert report.metrics["duplicates_by_crawl"] == {"c1": 1} and report.metrics["older_crawls"] == ["c1"]
    assert fates(third)["e"]["detail"] == "of c1" and fates(third)["e"]["rule"] == "exact_duplicate"
    assert before == {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.rglob("*") if path.is_file()}


def test_a_changed_page_is_kept_and_supersedes_its_older_captures(bench):
    old = page("a", " ".join(RIVER), 1)
    new = page("a", variant(RIVER, 19), 2)
    newest = page("a", variant(RIVER, 18, 19), 3)
    first, _ = bench.run("c1", [[old]])
    second, report = bench.run("c2", [[new, page("same", " ".join(RIVER), 2)]], [first])
    third, _ = bench.run("c3", [[newest]], [first, second])
    assert fates(second)["a"]["rule"] == "kept" and fates(second)["same"]["rule"] == "exact_duplicate"
    assert (fates(second)["a"]["related_doc"], fates(second)["a"]["detail"]) == (old["doc_id"], "supersedes")
    assert pl.read_parquet(second / "superseded.parquet").rows() == [(old["doc_id"], new["doc_id"], "c1")]
    assert pl.read_parquet(third / "superseded.parquet").rows() == [
        (old["doc_id"], newest["doc_id"], "c1"),
        (new["doc_id"], newest["doc_id"], "c2"),
    ]
    assert report.counts["superseded"] == 1
    assert not bench.refused("c2", second, report, [first])


def test_a_page_fetched_twice_in_one_crawl_supersedes_itself(bench):
    old, new = page("a", " ".join(RIVER), 1), page("a", variant(RIVER, 19), 2)
    files, _ = bench.run("c1", [[new, old]])
    assert pl.read_parquet(files / "superseded.parquet").rows() == [(old["doc_id"], new["doc_id"], "c1")]


def test_an_unchanged_page_is_an_exact_copy_of_its_older_capture(bench):
    first, _ = bench.run("c1", [[page("a", " ".join(RIVER), 1)]])
    second, _ = bench.run("c2", [[page("a", " ".join(RIVER), 2)]], [first])
    assert fates(second)["a"]["rule"] == "exact_duplicate"
    assert pl.read_parquet(second / "superseded.parquet").is_empty()


def test_evaluation_text_is_dropped_and_its_item_named(bench):
    bench.items(
        {"describe": [("describe-1", " ".join(RIVER)), ("describe-2", "short item")], "topic": [("topic-1", " ".join(RIVER))]}
    )
    pages = [
        page("quotes", "Before that, " + " ".join(RIVER[3:16]) + ", and after."),
        page("twelve", "Before that, " + " ".join(RIVER[3:15]) + ", and after."),
        page("whole", "Short  ITEM"),
        page("part", "a short item in a longer text"),
        page("copy", "Before that, " + " ".join(RIVER[3:16]) + ", and after."),
    ]
    files, report = bench.run("c1", [pages])
    found = fates(files)
    assert {name: row["rule"] for name, row in found.items()} == {
        "quotes": "contaminated",
        "twelve": "kept",
        "whole": "contaminated",
        "part": "kept",
        "copy": "contaminated",
    }
    assert (found["quotes"]["related_doc"], found["quotes"]["value"], found["quotes"]["threshold"]) == ("describe-1", 1.0, 1.0)
    assert found["whole"]["related_doc"] == "describe-2"
    assert not bench.refused("c1", files, report)


def test_a_task_marked_exact_is_not_looked_for_by_overlap(bench):
    bench.items({"translate": [("t1", " ".join(RIVER))]}, exact=("translate",))
    files, report = bench.run("c1", [[page("quotes", "More: " + " ".join(RIVER)), page("whole", " ".join(RIVER).upper())]])
    assert [row["rule"] for row in fates(files).values()] == ["kept", "contaminated"]
    assert bench.gates("c1", files, report)["decontaminated"].passed


def test_an_item_without_text_is_an_error(bench):
    (bench.suite / "tasks/topic.jsonl").write_text('{"item_id": "x"}\n')
    with pytest.raises(InputError, match=r"topic\.jsonl, line 1: an evaluation item needs item_id and text"):
        bench.run("c1", [[page("a", "x")]])


def test_an_empty_crawl(bench):
    first, report = bench.run("c1", [[]])
    assert report.counts == {"documents_in": 0, "kept": 0, "superseded": 0}
    second, report = bench.run("c2", [[page("a", " ".join(RIVER))]], [first])
    assert report.counts["kept"] == 1
    assert not bench.refused("c1", first, report)
    (bench.root / "cleaned/c3").mkdir()
    third, report = bench.run("c3", [], [first, second])
    assert report.counts["documents_in"] == 0 and len(list(third.glob("shards/*.parquet"))) == 1


def test_an_older_index_of_other_parameters_is_refused(bench):
    first, _ = bench.run("c1", [[page("a", " ".join(RIVER))]], config=DedupedShardsConfig(bands=10))
    with pytest.raises(InputError, match=r"deduped_shards\[c1\] was indexed with bands = 10, the recipe says 25"):
        bench.run("c2", [[page("b", "x")]], [first])
    (first / "index/urls.npy").unlink()
    with pytest.raises(InputError, match=r"urls\.npy is missing"):
        bench.run("c2", [[page("b", "x")]], [first], config=DedupedShardsConfig(bands=10))


def test_a_killed_runs_leftovers_do_not_stay(bench):
    files = bench.root / "deduped/c1"
    (files / "shards").mkdir(parents=True)
    (files / "shards/00009.parquet").write_bytes(b"half")
    progress = Recording()
    bench.run("c1", [[page("a", "x")]], progress=progress)
    assert [path.name for path in files.glob("shards/*")] == ["00000.parquet"]
    assert progress.updates == [(1, 1, "shards", {})]


@pytest.fixture
def doctored(bench):
    """A healthy second crawl, and a way to judge it after some damage."""
    bench.items({"topic": [("topic-1", "an item of some words that nobody else has ever put in this very order before")]})
    first, _ = bench.run("c1", [[page("a", " ".join(RIVER))]])
    pages = [page("near", variant(RIVER, 19), 2), page("exact", " ".join(RIVER), 2), page("new", "a page of its own", 2)]
    files, report = bench.run("c2", [pages], [first])
    assert not bench.refused("c2", files, report, [first])

    def judge(**ledger):
        if ledger:
            frame = pl.read_parquet(files / "ledger.parquet").with_columns(**ledger)
            frame.write_parquet(files / "ledger.parquet")
        return bench.gates("c2", files, report, [first])

    return files, judge


def test_a_lost_row_is_refused(doctored):
    files, judge = doctored
    pl.read_parquet(files / "shards/00000.parquet").head(0).write_parquet(files / "shards/00000.parquet")
    found = judge()
    assert not found["counts_add_up"].passed and not found["index_complete"].passed


def test_a_row_twice_or_without_an_id_is_refused(doctored):
    files, judge = doctored
    frame = pl.read_parquet(files / "shards/00000.parquet")
    pl.concat([frame, frame]).write_parquet(files / "shards/00000.parquet")
    assert not judge()["gx_unique_doc_id"].passed
    frame.with_columns(doc_id=pl.lit(None, pl.String)).write_parquet(files / "shards/00000.parquet")
    assert not judge()["gx_doc_id_not_null"].passed


@pytest.mark.parametrize("value", [0.95, 0.79])
def test_a_similarity_that_does_not_hold_is_refused(doctored, value):
    gate = doctored[1](value=pl.when(pl.col("rule") == "near_duplicate").then(pl.lit(value)).otherwise("value"))[
        "pairs_verified"
    ]
    assert not gate.passed and "1 of 2 sampled pairs do not hold" in gate.message


def test_a_drop_without_its_twin_is_refused(doctored):
    assert not doctored[1](related_doc=pl.lit("f" * 32))["pairs_verified"].passed


def test_evaluation_text_among_the_survivors_is_refused(doctored):
    files, judge = doctored
    frame = pl.read_parquet(files / "shards/00000.parquet")
    text = "Quote: an item of some words that nobody else has ever put in this very order before."
    frame.with_columns(text=pl.lit(text)).write_parquet(files / "shards/00000.parquet")
    assert not judge()["decontaminated"].passed
    frame.with_columns(text=pl.lit(text.removeprefix("Quote: ").removesuffix("."))).write_parquet(
        files / "shards/00000.parquet"
    )
    assert "1 of all 1 equal one" in judge()["decontaminated"].message


def test_an_unsorted_index_is_refused(doctored):
    files, judge = doctored
    np.save(files / "index/band_keys.npy", np.array([[1, 2, 3], [3, 2, 1]], np.uint64))
    assert "not sorted" in judge()["index_complete"].message
    np.save(files / "index/shingle_ends.npy", np.zeros(7, np.int64))
    assert "differ in length" in judge()["index_complete"].message
