"""Metadata: numbers stay numbers, NaN becomes text, page text is never Markdown."""

import math

import dagster as dg
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.claims import Claim
from llm_assets.core.manifest import Manifest
from llm_assets.core.produce import Outcome
from llm_assets.core.report import COLUMNS, Gate, Report
from llm_assets.defs import metadata

MANIFEST = Manifest(asset="cleaned_corpus", partition="c-1", identity="abc", digest="d", code_version="1")


def test_numbers_keep_their_type_and_nan_becomes_text():
    assert isinstance(metadata.value(3), dg.IntMetadataValue)
    assert isinstance(metadata.value(3.5), dg.FloatMetadataValue)
    assert isinstance(metadata.value(True), dg.BoolMetadataValue)
    assert metadata.value(float("nan")).value == "nan"
    assert metadata.value({"a": [float("inf"), 1]}).value == {"a": ["inf", 1]}


def test_text_is_plain_and_short():
    found = metadata.value("![x](http://evil/) " * 100)
    assert isinstance(found, dg.TextMetadataValue)
    assert len(found.value) == 500


def test_a_plot_is_inlined_up_to_a_size(tmp_path):
    small, large = tmp_path / "s.png", tmp_path / "l.png"
    small.write_bytes(b"\x89PNG")
    large.write_bytes(b"0" * 200_001)
    assert "data:image/png;base64," in metadata.plot(small, "t").value
    assert metadata.plot(large, "t").value == str(large)
    assert "was not written" in metadata.plot(tmp_path / "none.png", "t").value


def test_tables_have_a_typed_schema():
    found = metadata.table([{"model": "a", "loss": 1.5, "n": 2, "who": None}])
    assert [(c.name, c.type) for c in found.schema.columns] == [
        ("model", "string"),
        ("loss", "float"),
        ("n", "int"),
        ("who", "string"),
    ]


def test_a_gate_that_cannot_block_is_a_warning(tmp_path):
    artefact = Artefact("a", "all", "0", tmp_path)
    assert metadata.check_result(artefact, Gate("g", False, blocking=False)).severity == dg.AssetCheckSeverity.WARN
    assert metadata.check_result(artefact, Gate("g", False)).severity == dg.AssetCheckSeverity.ERROR


def test_an_asset_links_to_its_data_docs_and_samples(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_DOCS_URL", "http://127.0.0.1:3999")
    files = tmp_path / "cleaned_corpus" / "c-1" / "abc"
    (files / "account").mkdir(parents=True)
    outcome = Outcome(Artefact("cleaned_corpus", "c-1", "abc", files), Report(), [], MANIFEST, False)
    assert "data_docs" not in metadata.of_outcome(outcome)
    for page in ("expectations.html", "samples.html"):
        (files / "account" / page).write_text("page")
    found = metadata.of_outcome(outcome)
    assert isinstance(found["data_docs"], dg.UrlMetadataValue)
    assert found["data_docs"].url == "http://127.0.0.1:3999/cleaned_corpus/c-1/abc/account/expectations.html"
    assert found["samples_by_rule"].url == "http://127.0.0.1:3999/cleaned_corpus/c-1/abc/account/samples.html"
    check = metadata.check_result(outcome.artefact, Gate("gx_schema", True, metadata={"rows": 3}))
    assert check.metadata["data_docs"].url == found["data_docs"].url and check.metadata["rows"].value == 3
    assert "data_docs" not in metadata.check_result(outcome.artefact, Gate("counts_add_up", True)).metadata


def before_of(tmp_path, counts):
    files = tmp_path / "before"
    files.mkdir()
    MANIFEST.model_copy(update={"identity": "old", "counts": counts}).save(files)
    return Artefact("cleaned_corpus", "c-1", "old", files)


def test_counts_say_their_share_and_their_change(tmp_path):
    counts = {"documents_in": 200, "kept": 150, "dropped:gopher_min_words": 50, "dropped:language": 0, "shards": 3}
    earlier = {"documents_in": 100, "kept": 150, "dropped:pii": 7, "dropped:language": 1, "shards": 3}
    rows = metadata.changes(counts, before_of(tmp_path, earlier))
    assert rows == [
        {"count": "documents in", "now": "200", "change": "+100 (+100.0%)"},
        {"count": "kept", "now": "150 (75.0%)", "change": "="},
        {"count": "dropped: gopher min words", "now": "50 (25.0%)", "change": "+50 (new)"},
        {"count": "dropped: language", "now": "0 (0.0%)", "change": "-1 (-100.0%)"},
        {"count": "shards", "now": "3", "change": "="},
        {"count": "dropped: pii", "now": "0 (0.0%)", "change": "-7 (-100.0%)"},
    ]
    assert metadata.changes({"steps": 1200}, None) == [{"count": "steps", "now": "1,200"}]


def test_what_a_person_wants_first_comes_first(tmp_path):
    claim = Claim("c", "the model learns", 1.5, 2.0, True, interval=(1.4, 1.6), note="trigram 1.7")
    report = Report(
        counts={"documents_in": 4, "kept": 2},
        metrics={"funnel": [1], "claims": [claim.row()], "figure": 1},
        samples={"a text": "<b>"},
        plots={"A plot": "a.png"},
    )
    pl.DataFrame({"step": [1, 2], "loss_nats": [4.0, 2.5]}).write_parquet(tmp_path / "history.parquet")
    before = before_of(tmp_path, {"kept": 1})
    outcome = Outcome(Artefact("cleaned_corpus", "c-1", "abc", tmp_path), report, [], MANIFEST, False, before=before)
    found = metadata.of_outcome(outcome)
    assert list(found)[:7] == ["counts", "compared_with", "share_kept", "claims", "loss_nats", "seconds", "gpu_hours"]
    assert list(found)[-5:] == ["a_text", "path", "identity", "bytes", "inputs"]
    assert found["compared_with"].value == "cleaned_corpus/c-1/old"
    (row,) = found["claims"].records
    assert row.data == {"claim": "the model learns (trigram 1.7)", "holds": "yes: 1.5 (1.4 … 1.6) against 2"}
    assert "funnel" not in found and found["figure"].value == 1


def test_a_curve_is_a_picture_that_the_ui_shows_inline():
    """The UI shows Markdown of at most 1,000 characters in the table itself."""
    found = metadata.sparkline("loss_nats", [math.sin(step) * 1000 for step in range(3000)])
    assert found.value.startswith("![loss_nats](data:image/svg+xml;base64,")
    assert len(found.value) < 1000
    assert metadata.sparkline("x", [4.0, 2.5]).value.endswith(" 4 → 2.5")


def test_a_table_tells_dagster_its_columns_and_what_each_comes_from(tmp_path):
    told = {
        "url": {"type": "VARCHAR", "description": "Address", "from": [["raw_crawl", "ledger.parquet.url"], ["funnel", "url"]]},
        "n": {"type": "BIGINT", "description": "Documents", "from": []},
    }
    report = Report(counts={"rows": 3}, metrics={"model": "fate", COLUMNS: told})
    found = metadata.of_outcome(Outcome(Artefact("fate", "all", "abc", tmp_path), report, [], MANIFEST, False))
    assert COLUMNS not in found and found["model"].value == "fate"
    schema = found["dagster/column_schema"].schema
    assert [(c.name, c.type, c.description) for c in schema.columns] == [
        ("url", "VARCHAR", "Address"),
        ("n", "BIGINT", "Documents"),
    ]
    lineage = found["dagster/column_lineage"].lineage.deps_by_column
    assert sorted((dep.asset_key.to_user_string(), dep.column_name) for dep in lineage["url"]) == [
        ("funnel", "url"),
        ("raw_crawl", "ledger.parquet.url"),
    ]
    assert list(lineage["n"]) == []
    assert (found["dagster/row_count"].value, found["dagster/table_name"].value) == (3, "fate")
