"""The parser may die, hang or eat time: one reject each, the rest of the batch survives."""

import os
import sys

import pytest

from llm_assets.core.errors import WorkerDied
from llm_assets.core.warcs import WarcFiles
from llm_assets.stages.extract import parser
from llm_assets.stages.extract import supervisor as supervising
from llm_assets.stages.extract.supervisor import Supervisor, kept_supervisor, prepare
from tests.support.crawled import Crawl, article, html, http

LIMITS = {"max_cpu_seconds": 5.0, "max_memory_mb": 2048, "max_html_bytes": 100_000_000, "max_text_bytes": 1_000_000}


def jobs(folder, crawl):
    crawl.write(folder)
    return [
        {"path": str(folder / row["warc_file"]), **{key: row[key] for key in ("offset", "length", "url", "content_type")}}
        for row in crawl.rows
    ]


def answer(job, limits):
    with WarcFiles() as files:
        return parser.answer(job, limits, files)


def fates(folder, crawl, limits=LIMITS, stall=30.0, command=None):
    more = {"command": command} if command else {}
    with Supervisor(limits, stall, folder / "log", **more) as supervisor:
        return [found.get("rule", "kept") for found in supervisor.answers(jobs(folder, crawl))], supervisor.deaths


def misbehaving(mode):
    return (sys.executable, "-m", "tests.support.parsers", mode)


def named(names):
    crawl = Crawl()
    for name in names:
        crawl.add(name, article())
    return crawl


def test_the_page_that_killed_other_parsers(tmp_path):
    """Case B10: whatever it does to the native parser, the others of the batch survive."""
    crawl = Crawl()
    for name, payload in {"a": article(), "svg": b"<svg><template>\n", "b": article()}.items():
        crawl.add(name, payload)
    found, _ = fates(tmp_path, crawl)
    assert found[0] == found[2] == "kept"
    assert found[1] in ("extract_no_text", "extract_crash")


@pytest.mark.parametrize("mode", ["dies", "leaves"])
def test_a_dead_parser_costs_one_page_and_is_not_asked_again(tmp_path, mode):
    """Case B10: more jobs than are sent ahead, two of them deadly, one of these the first and one the last."""
    names = ["bad0", *[f"p{n}" for n in range(20)], "bad1"]
    found, deaths = fates(tmp_path, named(names), command=misbehaving(mode))
    assert found == ["extract_crash", *["kept"] * 20, "extract_crash"]
    assert deaths == 2


def test_a_parser_that_somebody_ended_blames_no_page(tmp_path):
    with pytest.raises(WorkerDied, match="ended by SIGTERM"):
        fates(tmp_path, named(["p0", "bad", "p1"]), command=misbehaving("ended"))


def test_a_parser_that_takes_its_time_to_die_has_crashed_all_the_same(tmp_path):
    """The fate of a page must not depend on how busy the machine is."""
    found, deaths = fates(tmp_path, named(["bad", "p0"]), command=misbehaving("lingers"))
    assert (found, deaths) == (["extract_crash", "kept"], 1)


def test_a_parser_that_does_not_start_blames_no_page(tmp_path):
    """It would be every page of the crawl."""
    with pytest.raises(WorkerDied, match="could not be started.*there is no parser here"):
        fates(tmp_path, named(["p0", "p1"]), command=misbehaving("never"))


def test_parsers_started_ahead_serve_whoever_asks_for_the_same_limits(tmp_path):
    prepare(2, LIMITS, 30.0, tmp_path / "log")
    ahead = {supervisor._process.pid for supervisor in supervising._kept}
    assert served(tmp_path) in ahead
    other = LIMITS | {"max_text_bytes": 5}
    with kept_supervisor(other, 30.0, tmp_path / "log") as supervisor:
        assert not supervising._kept  # those for other limits are gone
        assert [found["rule"] for found in supervisor.answers(jobs(tmp_path, named(["p0"])))] == ["extract_too_large"]
    supervising.end_kept()


def test_an_interrupt_of_the_group_does_not_reach_the_parser(tmp_path):
    """Ctrl-C goes to all processes of a terminal's foreground group."""
    with Supervisor(LIMITS, 30.0, tmp_path / "log") as supervisor:
        assert len(list(supervisor.answers(jobs(tmp_path, named(["p0"]))))) == 1
        assert os.getpgid(supervisor._process.pid) != os.getpgid(0)


def test_a_parser_that_says_nothing_is_ended(tmp_path):
    found, deaths = fates(tmp_path, named(["p0", "bad", "p1"]), stall=1.5, command=misbehaving("silent"))
    assert (found, deaths) == (["kept", "extract_timeout", "kept"], 1)


def test_an_answer_is_never_taken_for_that_of_another_page(tmp_path):
    found, deaths = fates(tmp_path, named(["bad", "p0", "p1"]), command=misbehaving("skips"))
    assert found[1:] == ["kept", "kept"]
    assert found[0] in ("extract_timeout", "extract_crash")
    assert deaths == 1


def served(folder, fail=False):
    """The process that serves one more shard."""
    with kept_supervisor(LIMITS, 30.0, folder / "log") as supervisor:
        assert [found.get("rule", "kept") for found in supervisor.answers(jobs(folder, named(["p0", "p1"])))] == [
            "kept",
            "kept",
        ]
        process = supervisor._process.pid
        if fail:
            raise KeyError
    return process


def test_one_parser_serves_shard_after_shard_until_it_is_old_or_something_fails(tmp_path, monkeypatch):
    first = served(tmp_path)
    assert served(tmp_path) == first
    with pytest.raises(KeyError):
        served(tmp_path, fail=True)
    second = served(tmp_path)
    assert second != first
    monkeypatch.setattr(supervising, "_PAGES", 4)
    assert served(tmp_path) == second  # replaced after this one
    assert served(tmp_path) != second
    supervising.end_kept()
    assert not supervising._kept


def test_processor_time_is_capped(tmp_path):
    """Case B09: a table of a million rows. Nesting that other parsers take quadratic time for is no matter here."""
    crawl = Crawl()
    crawl.add("before", article())
    crawl.add("table", html("<table>" + "<tr><td>x</td></tr>" * 1_000_000 + "</table>"))
    crawl.add("deep", html("<div>" * 30_000))
    crawl.add("after", article())
    found, deaths = fates(tmp_path, crawl, LIMITS | {"max_cpu_seconds": 0.4})
    assert found == ["kept", "extract_timeout", "extract_no_text", "kept"]
    assert deaths == 1


def test_what_is_too_large_is_dropped_before_it_is_parsed_or_written(tmp_path):
    """Case B51: one text of 2 MB where 1 MB is allowed; a page above the limit for HTML."""
    crawl = Crawl()
    crawl.add("text", article("A" * 2_000_000))
    [job] = jobs(tmp_path, crawl)
    found = answer(job, LIMITS)
    assert (found["rule"], found["value"], found["threshold"]) == ("extract_too_large", 2_000_000, 1_000_000)
    assert answer(job, LIMITS | {"max_html_bytes": 1_000_000})["detail"] == "bytes of the page"


def test_an_extra_line_between_head_and_body(tmp_path):
    """Case B02: the same text with the extra CRLF as without; the last bytes are not lost to Content-Length."""
    plain, gapped = Crawl(), Crawl()
    plain.add("x", article())
    gapped.add("x", article(), block=http(article(), gap=b"\r\n"))
    one, two = (answer(jobs(tmp_path, crawl)[0], LIMITS) for crawl in (plain, gapped))
    assert one == two
    tiny = Crawl()
    tiny.add("y", b"<p>x</p>", block=http(b"<p>x</p>", "text/plain", gap=b"\r\n"))
    assert answer(jobs(tmp_path, tiny)[0], LIMITS)["text"] == "<p>x</p>"


def test_records_and_media_that_give_no_page(tmp_path):
    crawl = Crawl()
    crawl.add("pdf", b"%PDF-1.7", block=http(b"%PDF-1.7", "application/pdf"))
    crawl.add("odd", b"\x81\xfe" * 500, block=http(bytes(range(128, 256)) * 9, "text/html; charset=utf-8"))
    crawl.add("mojibake", article("caf\ufffd\ufffd " * 50))
    crawl.add("cut", article())
    rows = jobs(tmp_path, crawl)
    rows[-1]["length"] -= 12
    found = [answer(row, LIMITS) for row in rows]
    assert found[0]["rule"] == "extract_media_type"
    assert found[2]["rule"] == "extract_undecodable"
    assert found[3]["rule"] == "extract_damaged_record"
    assert str(tmp_path) not in found[3]["detail"]
