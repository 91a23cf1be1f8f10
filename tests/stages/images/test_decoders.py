"""Decoding in processes that may die: one image is lost, the others are not, and nothing is tried for ever."""

import sys

import pytest

from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.stages.images.decoders import Decoders
from tests.support.pictures import crawl, doc, encoded, noise, picture

# a child that does to itself what an image of this name asks for
STAND_IN = """
import json, os, signal, sys
job = json.load(sys.stdin)
for row in job["rows"]:
    name = row["url"].rpartition("/")[2]
    if name.startswith("segv"): os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("half"): print('{"verdict": {"kept": ', end="", flush=True); os.kill(os.getpid(), signal.SIGABRT)
    if name.startswith("fault"): raise KeyError("a fault of ours")
    if name.startswith("spin"):
        signal.setitimer(signal.ITIMER_PROF, job["config"]["max_cpu_seconds"])
        while True: pass
    if name.startswith("sleep"):
        signal.pause()
    print(json.dumps({"verdict": {"kept": False, "rule": name}}), flush=True)
"""


def rows_of(names):
    return [{"doc_id": doc(n), "url": f"http://a/{n}", "warc_file": "", "offset": 0, "length": 0} for n in names]


def stand_in(tmp_path, **config):
    command = (sys.executable, "-c", STAND_IN)
    return Decoders(tmp_path, tmp_path, ImageDatasetConfig(**config), command)


def rules(answers):
    return {row["url"].rpartition("/")[2]: (a["verdict"]["rule"], a["verdict"].get("detail")) for row, a in answers}


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_an_image_that_kills_its_decoder_costs_itself_alone(tmp_path, workers):
    """Case B10, for images."""
    names = ["a", "segv-1", "b", "segv-2", "segv-3", "c", "half", "d"]
    found = rules(stand_in(tmp_path, workers=workers).answers(rows_of(names)))
    dead = {name: ("decoder_died", "SIGSEGV") for name in names if name.startswith("segv")} | {
        "half": ("decoder_died", "SIGABRT")
    }
    assert found == {name: (name, None) for name in "abcd"} | dead


def test_an_image_that_never_ends_is_ended_by_processor_time(tmp_path):
    """Case B09, for images."""
    found = rules(stand_in(tmp_path, workers=1, max_cpu_seconds=0.2).answers(rows_of(["a", "spin", "b"])))
    assert found == {"a": ("a", None), "spin": ("decoder_died", "out of processor time"), "b": ("b", None)}


def test_an_image_that_waits_for_ever_is_ended(tmp_path):
    found = rules(stand_in(tmp_path, workers=1, stall_seconds=1.0).answers(rows_of(["a", "sleep", "b"])))
    assert found["sleep"] == ("decoder_died", "killed: it said nothing for long, or memory was short")
    assert (found["a"], found["b"]) == (("a", None), ("b", None))


def test_a_child_that_can_not_start_says_why(tmp_path):
    broken = Decoders(tmp_path, tmp_path, ImageDatasetConfig(), (sys.executable, "-c", "import no_such_module"))
    with pytest.raises(RuntimeError, match="no_such_module"):
        list(broken.answers(rows_of([f"{n}" * 200 for n in range(2_000)])))


def test_a_fault_of_ours_is_no_fate_of_an_image(tmp_path):
    with pytest.raises(RuntimeError, match="a fault of ours"):
        list(stand_in(tmp_path, workers=2).answers(rows_of(["a", "b", "fault", "c"])))


def test_who_stops_listening_leaves_no_process_behind(tmp_path):
    decoders = stand_in(tmp_path, workers=2)
    answers = decoders.answers(rows_of(["a", "b", "sleep-1", "sleep-2"]))
    next(answers)
    answers.close()
    assert not decoders._running  # and the thread that waited for them has ended, or this would not be reached


def test_no_rows_need_no_process(tmp_path):
    assert list(stand_in(tmp_path).answers([])) == []


def test_the_real_child_decodes_and_keeps_its_limits(tmp_path):
    items = [
        ("a.png", encoded(picture()), {}),
        ("bad.png", encoded(noise())[:700], {}),
        ("huge.png", encoded(picture()), {"length": 9}),
    ]
    raw = crawl(tmp_path / "raw", items)
    import polars as pl

    rows = list(pl.read_parquet(raw / "index.parquet").iter_rows(named=True))
    (tmp_path / "out").mkdir()
    found = {row["doc_id"]: answer for row, answer in Decoders(raw, tmp_path / "out", ImageDatasetConfig()).answers(rows)}
    kept = found[doc("a.png")]
    assert kept["verdict"]["kept"] and (kept["facts"]["source_format"], kept["facts"]["source_width"]) == ("PNG", 120)
    assert len(kept["thumb"]) == 2 * 16 * 16 * 3 and (tmp_path / "out" / f"{doc('a.png')}.png").is_file()
    assert found[doc("bad.png")]["verdict"]["rule"] == "broken_image"
    assert found[doc("huge.png")]["verdict"]["rule"] == "unreadable_record"
