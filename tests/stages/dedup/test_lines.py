import polars as pl
import pytest

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.corpus import DedupedShardsConfig, RepeatedLines
from llm_assets.stages.dedup import lines
from tests.support import corpus

NOTICE = "Subscribe to our letter and never miss a story"


def config(**over):
    return DedupedShardsConfig(
        repeated_lines=RepeatedLines(
            **({"action": "remove", "max_pages": 2, "min_words_left": 3, "max_removed_share": 0.9} | over)
        )
    )


def story(number, *more, host="a.test", day=1):
    own = " ".join(f"word{number}x{n}" for n in range(12))
    return corpus.row(f"http://{host}/{number}", "\n".join([own, *more]), day=day, host=host)


def texts(files):
    return {
        row["url"].rsplit("/", 1)[-1]: row["text"] for row in pl.read_parquet(files / "shards/*.parquet").iter_rows(named=True)
    }


def test_a_line_stays_in_the_first_pages_and_goes_from_later_ones(bench):
    pages = [story(n, NOTICE.upper() + "!" if n == 3 else NOTICE, f"Own line of page number {n}") for n in range(5)]
    files, report = bench.run("c1", [pages[3:], pages[:3]], config=config())
    found = texts(files)
    assert [found[str(n)].count("\n") for n in range(5)] == [2, 2, 1, 1, 1]
    assert found["4"].endswith("Own line of page number 4")
    frame = pl.read_parquet(files / "shards/*.parquet")
    assert frame["n_bytes"].to_list() == [len(text) for text in frame["text"]]
    assert frame["n_words"].to_list() == [len(text.split()) for text in frame["text"]]
    assert report.counts["lines_removed"] == report.counts["documents_with_lines_removed"] == 3
    assert report.tables["Lines repeated most"] == [{"repetitions": 3, "line": NOTICE.upper() + "!"}]
    details = pl.read_parquet(files / "ledger.parquet").filter(pl.col("detail").is_not_null())["detail"]
    assert details.to_list() == ["1 repeated lines removed"] * 3
    assert not bench.refused("c1", files, report, config=config())


def test_a_later_crawl_reads_the_older_lines_and_leaves_them_alone(bench):
    first, _ = bench.run("c1", [[story(0, NOTICE), story(1, NOTICE)]], config=config())
    before = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    second, report = bench.run("c2", [[story(2, NOTICE, day=2)]], [first], config())
    assert NOTICE not in texts(second)["2"] and all(NOTICE in text for text in texts(first).values())
    assert before == {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    assert not bench.refused("c2", second, report, [first], config())


def test_captures_of_one_address_are_one_page(bench):
    """A page that changes every day keeps its own paragraphs."""
    older = []
    for day in range(1, 5):
        page = corpus.row("http://a.test/diary", f"{NOTICE}\nday {day} has words of its own, more or less so", day=day)
        files, report = bench.run(f"c{day}", [[page]], older, config(max_pages=1))
        older.append(files)
        assert report.counts["kept"] == 1 and report.counts["lines_removed"] == 0


def test_pages_are_counted_by_host_or_over_all(bench):
    pages = [story(n, NOTICE, host=f"h{n}.test") for n in range(4)]
    by_host, _ = bench.run("c1", [pages], config=config())
    assert all(NOTICE in text for text in texts(by_host).values())
    over_all, _ = bench.run("c2", [pages], config=config(scope="all"))
    assert sum(NOTICE in text for text in texts(over_all).values()) == 2


def test_code_and_short_lines_are_left_alone(bench):
    block = "```python\nimport some module of the library\n```"
    pages = [story(n, block, "Read more", "- - -") for n in range(4)]
    files, report = bench.run("c1", [pages], config=config(max_pages=1, min_words=3))
    assert report.counts["lines_removed"] == 0 and all(text.count("\n") == 5 for text in texts(files).values())


def test_a_text_of_repeated_lines_stays_whole(bench):
    other = "Another line that stands on many of these pages"
    pages = [story(0, NOTICE, other), corpus.row("http://a.test/1", f"{other}\nok\n{NOTICE}", day=2)]
    files, report = bench.run("c1", [pages], config=config(max_pages=1))
    assert texts(files)["1"] == f"{other}\nok\n{NOTICE}"
    assert report.counts["lines_left_whole"] == 2 and report.counts["lines_removed"] == 0
    assert pl.read_parquet(files / lines.TABLE)["action"].to_list() == ["left_whole"]


def test_flagged_lines_are_listed_and_stay(bench):
    flag = config(action="flag")
    files, report = bench.run("c1", [[story(n, NOTICE) for n in range(4)]], config=flag)
    assert all(NOTICE in text for text in texts(files).values())
    table = pl.read_parquet(files / lines.TABLE)
    assert table["action"].to_list() == ["flagged"] * 2 and table["bytes"].to_list() == [len(NOTICE) + 1] * 2
    assert report.counts["lines_flagged"] == 2
    assert "1 repeated lines flagged" in pl.read_parquet(files / "ledger.parquet")["detail"].to_list()
    # the index is the one that removing makes: the two can be compared
    later, _ = bench.run("c2", [[story(9, NOTICE, day=2)]], [files], config())
    assert NOTICE not in texts(later)["9"]


def test_off_by_default_and_not_to_be_mixed(bench):
    files, _ = bench.run("c1", [[story(n, NOTICE) for n in range(20)]])
    assert not (files / lines.TABLE).exists() and not (files / "index/lines.npy").exists()
    with pytest.raises(InputError, match=r"indexed with repeated_lines = off, the recipe says host, 2, 4;.*leave it out"):
        bench.run("c2", [[story(30)]], [files], config())


def test_a_twin_whose_lines_went_is_not_measured(bench):
    shared = [f"Line {n} of those that stand on all of these pages" for n in range(8)]
    pages = [story(0, *shared), story(1, *shared)]
    first, report = bench.run("c1", [pages], config=config(max_pages=1))
    assert not bench.refused("c1", first, report, config=config(max_pages=1))
    copy = corpus.row("http://b.test/copy", "Here: " + pages[1]["text"], day=2)
    second, report = bench.run("c2", [[copy]], [first], config(max_pages=1))
    gate = bench.gates("c2", second, report, [first], config(max_pages=1))["pairs_verified"]
    assert report.counts["dropped:near_duplicate"] == 1 and gate.passed and gate.metadata["left_out"] == 1


def test_losing_too_many_bytes_stops_the_line(bench):
    strict = config(max_pages=1, max_removed_share=0.1)
    files, report = bench.run(
        "c1", [[story(n, *[f"{NOTICE} of number {k}" for k in range(5)]) for n in range(3)]], config=strict
    )
    gate = bench.gates("c1", files, report, config=strict)["repeated_lines"]
    assert not gate.passed and "of the survivors' bytes went as repeated lines; at most 10% may" in gate.message
    table = pl.read_parquet(files / lines.TABLE)
    table.with_columns(pl.col("bytes") + 1).write_parquet(files / lines.TABLE)
    assert "build this crawl again" in bench.gates("c1", files, report, config=strict)["repeated_lines"].message
