"""Questions to built tables, and a file of them."""

import duckdb
import polars as pl
import pytest

from llm_assets.core.errors import InputError
from llm_assets.sql import console


@pytest.fixture
def tables(tmp_path):
    folder = tmp_path / "odd [name]*"
    folder.mkdir()
    for number in range(3):
        pl.DataFrame({"crawl": [f"c{number}"], "pages": [number]}).write_parquet(folder / f"{number}.parquet")
    pl.DataFrame({"x": ["a", "b"]}).write_parquet(folder / "x.parquet")
    return {"pages": sorted(folder.glob("[0-9].parquet")), "select": [folder / "x.parquet"]}


def test_every_table_stands_under_its_name(tables):
    with console.opened(tables) as connection:
        assert connection.sql("select sum(pages), count(*) from pages").fetchall() == [(3, 3)]
        assert connection.sql('select max(x) from "select"').fetchall() == [("b",)]


def test_an_export_is_a_file_that_any_client_opens(tables, tmp_path):
    target = tmp_path / "it's.duckdb"
    said = {"pages": {"crawl": "Crawl; it's", "gone": "No column"}}
    assert console.export(tables, target, {"pages": "Pages; it's by crawl"}, said) == {"pages": 3, "select": 2}
    with duckdb.connect(str(target), read_only=True) as connection:
        assert connection.sql("select crawl from pages order by pages").fetchall() == [("c0",), ("c1",), ("c2",)]
        told = connection.sql("select comment from duckdb_tables() where table_name = 'pages'").fetchall()
        columns = connection.sql("select column_name, comment from duckdb_columns() where table_name = 'pages'").fetchall()
    assert told == [("Pages; it's by crawl",)]
    assert sorted(columns) == [("crawl", "Crawl; it's"), ("pages", None)]


def test_an_export_that_fails_leaves_no_file(tables, tmp_path):
    tables["pages"][0].write_bytes(b"no Parquet")
    with pytest.raises(duckdb.Error):
        console.export(tables, tmp_path / "all.duckdb", {})
    assert [path.name for path in tmp_path.iterdir() if "duckdb" in path.name] == []


def test_complaints_are_one_sentence_with_the_near_miss(tables):
    with console.opened(tables) as connection, pytest.raises(duckdb.Error) as found:
        connection.sql("select *\nfrom page").fetchall()
    error = console.said(found.value)
    assert isinstance(error, InputError)
    assert "\n" not in str(error) and 'Did you mean "pages"' in str(error)
