"""The account: tables and funnels that add up, a gate between two stages that refuses every kind of loss, samples by hash."""

import json
import re
from datetime import UTC, datetime

import polars as pl
import pytest
from PIL import Image

from llm_assets.core import account, samples
from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.documents import RAW_INDEX
from llm_assets.core.ledger import KEEP, Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.manifest import hash_files
from llm_assets.core.report import Report
from llm_assets.core.spec import AssetSpec
from llm_assets.stages import all_specs

RAW = AssetSpec("raw_crawl", "llm_assets.stages.x:run", partitioned=True)
CLEAN = AssetSpec("clean", "llm_assets.stages.x:run", follows="raw_crawl", partitioned=True)


def doc(number):
    return f"{number * 0x9E3779B97F4A7C15 % 2**128:032x}"


def url(number):
    return f"http://site.example/{number}"


def artefact(folder, spec, rows, texts=None):
    """A folder with a ledger of (number, verdict), its texts by number, and its report with the account."""
    folder.mkdir(parents=True)
    found = [ledger_row("c", spec.name, doc(n), url(n), verdict) for n, verdict in rows]
    counts = write_ledger(folder, ledger_frame(found))
    if texts is not None:
        (folder / "shards").mkdir()
        frame = pl.DataFrame({"doc_id": [doc(n) for n in texts], "text": list(texts.values())})
        frame.write_parquet(folder / "shards/00000.parquet")
    return Artefact(spec.name, "c", "0", folder), Report(counts=counts)


@pytest.fixture
def line(tmp_path):
    """A crawl of 40 documents of which 30 are kept, and a stage that drops 12 short and 3 of those that opted out."""
    raw, raw_report = artefact(
        tmp_path / "raw",
        RAW,
        [(n, KEEP if n < 30 else Verdict(False, "status", 404, 200)) for n in range(40)],
        {n: f"text {n} of <b>one</b> page, write to someone{n}@mail.example or http://evil.example/{n} " for n in range(30)},
    )
    account.write(RAW, raw, Inputs(), raw_report)
    rows = [(n, Verdict(False, "short", n, 20)) for n in range(12)] + [(n, Verdict(False, "optout_tdm")) for n in range(12, 15)]
    own, report = artefact(
        tmp_path / "clean", CLEAN, [*rows, *((n, KEEP) for n in range(15, 30))], {n: f"kept {n}" for n in range(15, 30)}
    )
    inputs = Inputs({"raw_crawl": [raw]})
    account.write(CLEAN, own, inputs, report)
    return inputs, own, report


def test_the_table_has_each_rule_with_what_was_measured(line):
    _, own, report = line
    assert report.tables["Fate by rule"] == [
        {
            "rule": "short",
            "fate": "dropped",
            "documents": 12,
            "share": "40.00%",
            "measured": "0 to 11, median 5.5",
            "threshold": "20",
        },
        {"rule": "optout_tdm", "fate": "dropped", "documents": 3, "share": "10.00%", "measured": "", "threshold": ""},
        {"rule": "kept", "fate": "kept", "documents": 15, "share": "50.00%", "measured": "", "threshold": ""},
    ]
    assert Report.load(own.files).tables == report.tables


def test_of_very_many_rules_the_table_has_those_that_dropped_most_and_the_kept():
    rows = [
        ledger_row("c", "s", doc(n), url(n), Verdict(False, f"rule_{n % 60:02d}")) for n in range(60 * 60) if n % 60 <= n // 60
    ]
    ledger = ledger_frame([*rows, ledger_row("c", "s", doc(9_999), url(9_999), KEEP)])
    counts = dict(ledger.group_by("rule").len().iter_rows())
    table = account.by_rule(ledger)
    assert len(table) == 41 and table[-1]["fate"] == "kept"
    left_out = set(counts) - {row["rule"] for row in table}
    assert max(counts[rule] for rule in left_out) <= min(row["documents"] for row in table[:-1])
    assert [row["documents"] for row in table[:-1]] == sorted((row["documents"] for row in table[:-1]), reverse=True)


def test_the_funnel_goes_on_from_the_stage_before_and_is_drawn(line):
    _, own, report = line
    assert report.metrics["funnel"] == [
        {"step": "URLs met", "documents": 40, "dropped": {}},
        {"step": "raw_crawl", "documents": 30, "dropped": {"status": 10}},
        {"step": "clean", "documents": 15, "dropped": {"short": 12, "optout_tdm": 3}},
    ]
    with Image.open(own.files / report.plots["Retention funnel"]) as picture:
        assert picture.width > 600


def test_funnels_of_several_crawls_are_added_and_what_is_not_taken_in_is_named():
    crawl = account.funnel("raw_crawl", {"documents_in": 10, "kept": 8, "dropped:status": 2}, [])
    both = account.funnel("mix", {"documents_in": 12, "kept": 12}, [crawl, crawl])
    assert both == [
        {"step": "URLs met", "documents": 20, "dropped": {}},
        {"step": "raw_crawl", "documents": 16, "dropped": {"status": 4}},
        {"step": "mix", "documents": 12, "dropped": {"not for this step": 4}},
    ]
    assert crawl[1]["dropped"] == {"status": 2}  # the input is not changed
    assert account.funnel("late", {"documents_in": 3, "kept": 3}, [[]])[0]["step"] == "into late"


def test_the_account_is_no_content(line, tmp_path):
    _, own, _ = line
    assert (own.files / "account/samples.html").is_file()
    assert list(hash_files(own.files)) == ["ledger.parquet", "shards/00000.parquet"]


def test_without_a_ledger_nothing_is_added(tmp_path):
    report = Report(counts={"rows": 1})
    account.write(RAW, Artefact("raw_crawl", "c", "0", tmp_path), Inputs(), report)
    assert report == Report(counts={"rows": 1}) and not list(tmp_path.iterdir())


def test_what_was_kept_is_what_came_in(line):
    inputs, own, _ = line
    gate = account.follows_gate(CLEAN, own, inputs)
    assert gate.passed and gate.blocking
    assert gate.message.endswith("0 were lost, 0 come from elsewhere, 0 twice")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ledger: ledger[1:], "1 were lost"),
        (lambda ledger: pl.concat([ledger, ledger[:1]]), "1 twice"),
        (lambda ledger: ledger.with_columns(doc_id=pl.col("doc_id").replace(doc(3), doc(35))), "1 come from elsewhere"),
        (lambda ledger: ledger.with_columns(doc_id=pl.col("doc_id").replace(doc(3), doc(4))), "1 were lost"),
    ],
)
def test_a_doctored_ledger_does_not_follow(line, change, said):
    inputs, own, _ = line
    path = own.files / "ledger.parquet"
    change(pl.read_parquet(path)).write_parquet(path)
    gate = account.follows_gate(CLEAN, own, inputs)
    assert not gate.passed and said in gate.message


def test_of_a_crawl_only_new_pages_are_due(line, tmp_path):
    """A revisit and an image need not be extracted; a new page must be."""
    inputs, own, _ = line
    raw = inputs.one("raw_crawl")
    base = dict.fromkeys(RAW_INDEX.names()) | {"fetched_at": datetime(2026, 11, 1, tzinfo=UTC), "record_type": "response"}
    index = [base | {"doc_id": doc(n), "kind": "page"} for n in range(30)]
    index[0]["record_type"], index[1]["kind"] = "revisit", "image"
    pl.DataFrame(index, schema=RAW_INDEX).write_parquet(raw.files / "index.parquet")
    ledger = pl.read_parquet(own.files / "ledger.parquet")
    ledger[2:].write_parquet(own.files / "ledger.parquet")
    assert account.follows_gate(CLEAN, own, inputs).passed
    ledger[3:].write_parquet(own.files / "ledger.parquet")
    gate = account.follows_gate(CLEAN, own, inputs)
    assert not gate.passed and gate.metadata["lost"] == [doc(2)]


def test_every_stage_of_the_data_line_follows_another():
    found = {name: spec.follows for name, spec in all_specs().items() if spec.follows}
    assert found == {
        "extracted_pages": "raw_crawl",
        "cleaned_corpus": "extracted_pages",
        "deduped_shards": "cleaned_corpus",
        "tokenized_dataset": "deduped_shards",
        "training_mix": "tokenized_dataset",
        "instruction_dataset": "deduped_shards",
        "preference_dataset": "instruction_dataset",
        "image_dataset": "raw_crawl",
    }
    assert all("takes_what_was_kept" in all_specs()[name].checks for name in found)


def lines(own):
    return [json.loads(line) for line in (own.files / "account/samples.jsonl").read_text().splitlines()]


def test_ten_dropped_and_ten_kept_a_rule_chosen_by_hash(line):
    _, own, _ = line
    found = lines(own)
    short = [row for row in found if row["rule"] == "short"]
    assert [row["kept"] for row in short] == [False] * 10 + [True] * 10
    assert [row["doc_id"] for row in short[:10]] == sorted(doc(n) for n in range(12))[:10]
    others = [row for row in found if row["rule"] == "optout_tdm"]
    assert len(others) == 3 + 10
    assert {row["doc_id"] for row in short if row["kept"]} != {row["doc_id"] for row in others if row["kept"]}


def test_the_order_of_the_ledger_plays_no_part(line):
    ledger = pl.read_parquet(line[1].files / "ledger.parquet")
    assert samples.choose(ledger) == samples.choose(ledger.sample(fraction=1.0, shuffle=True, seed=4))


def test_dropped_texts_are_those_that_came_in_and_kept_ones_those_that_were_made(line):
    _, own, _ = line
    for row in lines(own):
        if row["rule"] == "short":
            assert row["text"].startswith("kept " if row["kept"] else "text ")


def test_no_text_is_shown_of_what_opted_out_or_was_taken_down(line):
    _, own, _ = line
    withheld = [row for row in lines(own) if row["rule"] == "optout_tdm" and not row["kept"]]
    assert withheld and all(row["text"] == "" for row in withheld)


def test_the_page_escapes_masks_and_loads_nothing(line):
    _, own, _ = line
    page = (own.files / "account/samples.html").read_text()
    assert "&lt;b&gt;one&lt;/b&gt;" in page and "<b>" not in page
    assert "[e-mail]" in page and "@mail" not in page and "evil.example" not in page
    assert "default-src 'none'" in page
    assert not re.search(r"<(a|img|script|link|iframe)\b", page)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("call +44 20 7946 0958 now", "call [number] now"),
        ("from 1939 to 1945", "from 1939 to 1945"),
        ("2010-2011", "2010-2011"),
        ("key " + "a1" * 20, "key [token]"),
        ("a\x1b[2Jb", "a [2Jb"),
        ("x y " * 400, "x y " * 124 + "x y…"),
        ("see www.evil.example/x!", "see [link]"),
    ],
)
def test_excerpts_give_nothing_away(text, shown):
    assert samples.plain(text) == shown


def test_a_near_duplicate_is_shown_beside_the_other(tmp_path):
    raw, _ = artefact(tmp_path / "raw", RAW, [(1, KEEP), (2, KEEP)], {1: "the first text", 2: "the other text"})
    own, report = artefact(tmp_path / "own", CLEAN, [(1, Verdict(False, "near_duplicate", 0.9, 0.8, doc(2))), (2, KEEP)])
    account.write(CLEAN, own, Inputs({"raw_crawl": [raw]}), report)
    assert next((row["text"], row["related_text"]) for row in lines(own)) == ("the first text", "the other text")
