"""Cleaning whole shards: every page has a fate, personal data goes, tombstones hold, gates refuse doctored corpora."""

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import CLEANED, EXTRACTED
from llm_assets.core.ledger import counts_add_up
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.core.tombstones import TOMBSTONES, TOMBSTONES_FILE, Tombstones
from llm_assets.stages.clean import pii
from llm_assets.stages.clean import run as clean_run
from llm_assets.stages.clean.gates import concerned, gates
from llm_assets.stages.clean.run import clean, run
from llm_assets.stages.clean.standardise import standardise

ENGLISH = (
    "The old bridge of the town was built by {name} and it has stood for more than three hundred years with few repairs. {more}"
)
FRENCH = "Le vieux pont de la ville est construit en pierre et les habitants le traversent tous les jours avec des charrettes. {more}"
SPANISH = (
    "El viejo puente de la ciudad es de piedra y los vecinos lo cruzan todos los días con sus carros y sus animales de carga."
)
CONFIG = CleanedCorpusConfig(workers=1)


def page(number, text, host="site.example"):
    return {
        **dict.fromkeys(EXTRACTED.names(), ""),
        "doc_id": f"{number:032x}",
        "url": f"http://{host}/{number}",
        "canonical_url": f"http://{host}/{number}",
        "host": host,
        "fetched_at": datetime(2026, 11, 1, tzinfo=UTC),
        "source_kind": "web",
        "title": f"Page {number}",
        "text": text,
    }


def pages():
    rows = [page(n, ENGLISH.format(name=f"mason {n}", more=f"Its arch number {n} is low.")) for n in range(20)]
    rows += [page(100 + n, FRENCH.format(more=f"Il a {n} arches.")) for n in range(5)]
    rows += [page(200, SPANISH), page(201, "Login | Home"), page(202, ENGLISH.format(name="a.b@example.co.uk", more="Yes."))]
    return pl.DataFrame(rows, schema=EXTRACTED, orient="row")


@pytest.fixture
def made(tmp_path):
    source = tmp_path / "extracted" / "shards"
    source.mkdir(parents=True)
    frame = pages()
    frame[:15].write_parquet(source / "00000.parquet")
    frame[15:].write_parquet(source / "00001.parquet")
    digests = frame.select("doc_id", payload_digest="sha256:" + pl.col("doc_id"))
    digests.write_parquet(tmp_path / "extracted" / "captures.parquet")
    inputs = Inputs.of({"extracted_pages": [tmp_path / "extracted"]})
    work = WorkDir.at(tmp_path / "work", "crawl", "cleaned_corpus")
    return inputs, work, run(inputs, work, CONFIG, Silent())


def test_every_page_has_a_fate_and_the_rest_is_clean(made):
    _, work, report = made
    assert counts_add_up(report.counts)
    assert report.counts["documents_in"] == 28
    assert report.counts["kept"] == 26
    ledger = pl.read_parquet(work.files / "ledger.parquet")
    spanish = ledger.filter(pl.col("doc_id") == f"{200:032x}").row(0, named=True)
    assert (spanish["rule"], spanish["detail"]) == ("language", "es")
    kept = pl.concat([pl.read_parquet(p) for p in sorted((work.files / "shards").glob("*.parquet"))])
    assert kept.schema == CLEANED
    assert report.metrics["documents_by_language"] == {"en": 21, "fr": 5}
    replaced = kept.filter(pl.col("doc_id") == f"{202:032x}").row(0, named=True)
    assert "email@example.com" in replaced["text"]
    assert "a.b@" not in replaced["text"]
    assert replaced["n_pii"] == 1


def test_a_second_launch_gives_the_same_totals_and_files(made):
    """Case B18: totals come from the shards, not from the statistics of the last launch."""
    inputs, work, report = made
    (work.files / "shards" / "00001.parquet").unlink()
    for mark in (work.private / "steps").rglob("*00001*"):
        if mark.is_file() and "completions" in mark.as_posix():
            mark.unlink()
    again = run(inputs, work, CONFIG, Silent())
    assert again.counts == report.counts
    assert again.metrics == report.metrics


def test_gates_pass_and_refuse_doctored_corpora(made):
    inputs, work, report = made
    assert [g.message for g in gates(inputs, work.files, CONFIG, report) if not g.passed] == []
    path = work.files / "shards" / "00001.parquet"
    good = pl.read_parquet(path)

    def refused(frame, config=CONFIG):
        frame.write_parquet(path)
        return {g.name for g in gates(inputs, work.files, config, report) if not g.passed}

    assert refused(pl.concat([good, good[:1]])) >= {"ledger_matches_shards", "gx_unique_doc_id"}
    assert "gx_lang_allowed" in refused(good.with_columns(lang=pl.lit("xx")))
    assert "no_personal_data_left" in refused(good.with_columns(text=pl.lit("ask x@y.example.org now")))
    assert "enough_kept" in refused(good, CleanedCorpusConfig(min_kept_share=0.99))
    assert "no_rule_dominates" in refused(good, CleanedCorpusConfig(max_rule_share=0.01))


def test_the_gate_on_personal_data_fails_when_a_kind_is_not_found(made, monkeypatch):
    inputs, work, report = made
    monkeypatch.setitem(pii.KINDS, "email", pii.Kind("email", re.compile("nothing"), lambda match: None, "", re.compile("@")))
    assert "personal_data_rules" in {g.name for g in gates(inputs, work.files, CONFIG, report) if not g.passed}


def test_tombstones_are_kept_out_by_url_and_host_and_name_themselves():
    stones = Tombstones.of(
        pl.DataFrame(
            [("url", "http://site.example/3", "asked"), ("host", "gone.example", "asked")], schema=TOMBSTONES, orient="row"
        )
    )
    frame = pl.concat([pages(), pl.DataFrame([page(900, SPANISH, "www.gone.example")], schema=EXTRACTED, orient="row")])
    _, ledger = clean(frame, "crawl", CONFIG, stones)
    dropped = ledger.filter(pl.col("rule") == "tombstone")
    assert sorted(dropped["url"]) == ["http://site.example/3", "http://www.gone.example/900"]
    assert "host: gone.example" in dropped["detail"].to_list()


def test_only_tombstones_that_match_change_the_identity(made, tmp_path):
    inputs, _, _ = made
    extracted = inputs.one("extracted_pages").files

    def fingerprint(*rows):
        folder = tmp_path / f"stones{len(rows)}{rows}"[:60].replace("/", "_")
        folder.mkdir(exist_ok=True)
        pl.DataFrame(list(rows), schema=TOMBSTONES, orient="row").write_parquet(folder / TOMBSTONES_FILE)
        with_stones = Inputs.of({"extracted_pages": [extracted], "tombstones": [folder]})
        return concerned(None, with_stones, CONFIG)

    assert fingerprint() == fingerprint(("host", "elsewhere.example", "x")) == "none"
    assert fingerprint(("url", "http://site.example/1", "x")) != "none"
    assert fingerprint(("sha256", f"{1:032x}", "x")) not in ("none", fingerprint(("url", "http://site.example/1", "x")))
    assert fingerprint(("sha256", f"{777:032x}", "x")) == "none"


def test_a_content_is_kept_out_wherever_it_was_captured(made, tmp_path):
    inputs, _, report = made
    folder = tmp_path / "stones"
    folder.mkdir()
    stones = pl.DataFrame([("sha256", f"{5:032x}", "asked")], schema=TOMBSTONES, orient="row")
    stones.write_parquet(folder / TOMBSTONES_FILE)
    given = Inputs.of({"extracted_pages": [inputs.one("extracted_pages").files], "tombstones": [folder]})
    out = WorkDir.at(tmp_path / "again", "crawl", "cleaned_corpus")
    again = run(given, out, CONFIG, Silent())
    assert again.counts["dropped:tombstone"] == 1
    assert again.counts["kept"] == report.counts["kept"] - 1
    dropped = pl.read_parquet(out.files / "ledger.parquet").filter(pl.col("rule") == "tombstone")
    assert dropped["url"].to_list() == ["http://site.example/5"]


def test_personal_data_goes_from_title_and_description_too():
    row = page(1, ENGLISH.format(name="me", more="")) | {
        "title": "Ask a.b@example.co.uk",
        "description": "Call +44 20 7946 0958",
    }
    kept, _ = clean(pl.DataFrame([row], schema=EXTRACTED, orient="row"), "crawl", CONFIG, Tombstones())
    found = kept.row(0, named=True)
    assert (found["title"], found["description"], found["n_pii"]) == ("Ask email@example.com", "Call +1 555 0100", 2)


@pytest.mark.parametrize("max_text_bytes", [1_000_000, 700])
def test_what_is_settled_early_has_the_fate_of_asking_all_rules(monkeypatch, max_text_bytes):
    """Also a text in another language that is too large before C4's rules, and not after them."""
    foreign, scripts = SPANISH, "\n".join(["Activa Javascript para ver esta página."] * 20)
    given = [page(900, foreign), page(901, foreign + "\n" + scripts), page(902, foreign * 8), page(3, SPANISH)]
    frame = pl.concat([pages(), pl.DataFrame(given, schema=EXTRACTED, orient="row")]).reverse()
    stones = Tombstones.of(pl.DataFrame([("url", "http://site.example/3", "")], schema=TOMBSTONES, orient="row"))
    config = CleanedCorpusConfig(max_text_bytes=max_text_bytes, c4={"enabled": True})
    kept, ledger = clean(frame, "crawl", config, stones)
    monkeypatch.setattr(clean_run, "_settled", lambda config: pl.col("lang").is_null())
    same, fates = clean(frame, "crawl", config, stones)
    assert kept.equals(same)
    assert ledger.equals(fates)
    assert ledger["doc_id"].to_list() == frame["doc_id"].to_list()
    assert {"language", "tombstone"} <= set(ledger["rule"])
    assert ("too_large" in set(ledger["rule"])) == (max_text_bytes == 700)


def test_a_text_that_is_too_large_is_dropped_whole():
    """Case B51: one row never stalls the writer; the limit is on bytes, and the others stay."""
    large = page(1, "é" * 600 + " " + ENGLISH.format(name="me", more="")) | {"doc_id": f"{900:032x}"}
    frame = pl.concat([pages(), pl.DataFrame([large], schema=EXTRACTED, orient="row")])
    kept, ledger = clean(frame, "crawl", CleanedCorpusConfig(max_text_bytes=1000), Tombstones())
    (row,) = ledger.filter(pl.col("rule") == "too_large").iter_rows(named=True)
    assert (row["doc_id"], row["value"] > 1200, row["threshold"]) == (large["doc_id"], True, 1000)
    assert kept.height == 26


def test_one_spelling():
    assert standardise("Cafe\u0301\u00a0\u2003x\r\n\r\n\r\n\r\n y\x00\ufeff ") == "Café x\n\ny"
    assert standardise(standardise("a \u2028 b")) == standardise("a \u2028 b")
