"""``llm-assets sql`` as it answers."""

import json

import polars as pl
import pytest

from llm_assets.commands import sql
from llm_assets.core.errors import InputError, LlmAssetsError


@pytest.fixture
def built(tmp_path, monkeypatch):
    """A funnel, and shards of one asset in two files."""
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "smoke")
    pl.DataFrame({"stage": ["a", "b"], "kept": [12345, 2]}).write_parquet(tmp_path / "funnel.parquet")
    for number in range(2):
        pl.DataFrame({"doc_id": [str(number)], "text": ["x" * 100]}).write_parquet(tmp_path / f"{number}.parquet")
    found = {
        "cleaned_corpus": [tmp_path / "0.parquet", tmp_path / "1.parquet"],
        "funnel": [tmp_path / "funnel.parquet"],
    }
    monkeypatch.setattr(sql, "tables", lambda store, models: found)
    return found


def test_without_a_query_the_tables_are_listed_models_first(built):
    first, second = sql.run_sql("", "table", None).splitlines()
    assert first.split()[:2] == ["funnel", "2"] and "How many documents" in first
    assert second.split()[:2] == ["cleaned_corpus", "2"]


def test_forms(built):
    query = "select * from funnel order by kept"
    assert sql.run_sql(query, "csv", None) == "stage,kept\nb,2\na,12345"
    assert json.loads(sql.run_sql(query, "json", None)) == [{"stage": "b", "kept": 2}, {"stage": "a", "kept": 12345}]
    assert sql.run_sql(query, "markdown", None).splitlines()[0] == "| stage | kept  |"
    assert "12345" in sql.run_sql(query, "table", None)


def test_long_cells_and_long_answers_are_cut_and_say_so(built):
    assert "x…" in sql.run_sql("select text from cleaned_corpus", "table", None)
    told = sql.run_sql("select * from range(250)", "table", None)
    assert told.splitlines()[-1] == "50 rows more; --format csv or json shows all"
    assert len(sql.run_sql("select * from range(250)", "csv", None).splitlines()) == 251


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("select * from funel", 'Did you mean "funnel"'),
        ("select frm", "frm"),
        ("create table x (y int)", "no question"),
        ("select 1; drop view funnel", "no question"),
        ("copy funnel to 'x.csv'", "no question"),
    ],
)
def test_what_is_no_question_is_a_users_error(built, query, words):
    with pytest.raises(InputError, match=words):
        sql.run_sql(query, "table", None)


def test_describe_is_a_question(built):
    assert "kept,BIGINT" in sql.run_sql("describe funnel", "csv", None)


def test_export_says_what_it_wrote_and_overwrites_nothing(built, tmp_path):
    target = tmp_path / "all.duckdb"
    assert sql.run_sql("", "table", target).startswith("2 tables, 4 rows, ")
    with pytest.raises(InputError, match="is there already"):
        sql.run_sql("", "table", target)
    with pytest.raises(InputError, match="is no folder"):
        sql.run_sql("", "table", tmp_path / "no" / "all.duckdb")


def test_nothing_built_yet(built):
    built.clear()
    with pytest.raises(LlmAssetsError, match="no table was built yet"):
        sql.run_sql("select 1", "table", None)
