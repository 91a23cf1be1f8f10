import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup.gates import sharing_runs, word_runs
from tests.stages.dedup.test_run import RIVER, fates, page

WORDS = st.lists(st.sampled_from("abc"), max_size=9).map(" ".join)
NINE = "nine words in this order are asked for somewhere"
FLAG = DedupedShardsConfig(contamination="flag")


def test_a_short_item_is_looked_for_as_a_run_of_all_its_words(bench):
    """Eight to twelve words: the whole item inside a text. Shorter: only a text that is the item and nothing else."""
    bench.items({"describe": [("d-9", NINE), ("d-3", "a grey river"), ("d-20", " ".join(RIVER))]})
    pages = [
        page("inside", "It is said that nine words, in this order, are asked for SOMEWHERE; so it is."),
        page("broken", "nine words in this other order are asked for somewhere"),
        page("answer", "A grey river!"),
        page("same", "A  grey RIVER"),
        page("longer", "This is a grey river of the north"),
    ]
    files, report = bench.run("c1", [pages])
    found = fates(files)
    assert {name: row["kept"] for name, row in found.items()} == {
        "inside": False,
        "broken": True,
        "answer": True,
        "same": False,
        "longer": True,
    }
    assert found["inside"]["detail"] == "d-9: 1 runs of words in common" and found["inside"]["related_doc"] == "d-9"
    assert found["same"]["detail"] == "d-3: its whole text"
    assert not bench.refused("c1", files, report)


@pytest.mark.parametrize("least", [9, 10])
def test_how_short_an_item_may_be_is_a_knob(bench, least):
    bench.items({"describe": [("d-9", NINE)]})
    files, _ = bench.run(
        "c1", [[page("a", f"Before. {NINE}. After.")]], config=DedupedShardsConfig(contamination_min_words=least)
    )
    assert fates(files)["a"]["kept"] == (least == 10)


def test_flagged_texts_stay_and_the_ledger_names_the_item(bench):
    bench.items({"describe": [("d-1", " ".join(RIVER)), ("d-2", "short item")]})
    old = page("quotes", "Old. " + " ".join(RIVER), 1)
    pages = [page("quotes", "Before that, " + " ".join(RIVER[3:17]) + ", and after.", 2), page("whole", "Short  ITEM"), old]
    files, report = bench.run("c1", [pages], config=FLAG)
    ledger = pl.read_parquet(files / "ledger.parquet").sort("doc_id")
    assert report.counts["kept"] == 3 == report.metrics["contaminated_documents"]
    details = dict(ledger.select("doc_id", "detail").iter_rows())
    assert details[pages[0]["doc_id"]] == "supersedes; d-1: 2 runs of words in common"
    assert details[pages[1]["doc_id"]] == "d-2: its whole text"
    gate = bench.gates("c1", files, report, config=FLAG)["decontaminated"]
    assert gate.passed and gate.metadata["flagged"] == 3
    assert not bench.gates("c1", files, report)["decontaminated"].passed  # what drop would have to say of these files


@given(st.lists(WORDS, max_size=5), st.lists(WORDS, max_size=4), st.integers(1, 5))
def test_the_gate_finds_every_run_that_a_text_shares(texts, items, width):
    """Whatever stands in the texts before and after: as if the runs of each were put together and compared."""
    wanted = set().union(*word_runs(items, width))
    assert sharing_runs(texts, items, width) == [bool(runs & wanted) for runs in word_runs(texts, width)]
