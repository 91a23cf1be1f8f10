"""Building: sources with exactly the declared columns, errors with their line, tests that fail on doctored rows."""

import tempfile
from pathlib import Path

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import StoreError
from llm_assets.core.jsonio import write_json
from llm_assets.sql.build import connect
from llm_assets.sql.build import test_table as judge
from llm_assets.sql.checks import gate_names
from llm_assets.sql.errors import SqlError
from llm_assets.sql.lineage import Origin, column_lineage, origins
from llm_assets.sql.project import Project

SOURCES = """
sources:
  - assets: [pages]
    files: shards/*.parquet
    description: Pages
    columns:
      - {name: n, type: BIGINT, description: A number}
      - {name: name, type: VARCHAR, description: A name}
  - assets: [pages]
    files: about.json
    description: About
    columns:
      - {name: title, type: VARCHAR, description: A title}
      - {name: parts, type: "STRUCT(x BIGINT)[]", description: Parts}
"""


def make(folder, models, sources=SOURCES):
    """name → (sql, columns, table tests, column tests); returns the project."""
    (folder / "marts").mkdir(parents=True)
    entries = []
    for name, (sql, columns, tests, column_tests) in models.items():
        (folder / "marts" / f"{name}.sql").write_text(sql)
        listed = "".join(
            f"      - {{name: {c}, description: The {c}, tests: [{column_tests if i == 0 else ''}]}}\n"
            for i, c in enumerate(columns)
        )
        entries.append(f"  - name: {name}\n    description: D\n    tests: [{tests}]\n    columns:\n{listed}")
    (folder / "schema.yml").write_text("models:\n" + "".join(entries))
    (folder / "sources.yml").write_text(sources)
    return Project(folder)


def pages(folder, **frames):
    """Artefacts of ``pages``, one a crawl."""
    for crawl, frame in frames.items():
        (folder / crawl / "shards").mkdir(parents=True)
        if frame is not None:
            frame.write_parquet(folder / crawl / "shards/00000.parquet")
    return Inputs.of({"pages": [folder / crawl for crawl in frames]}).artefacts


FRAME = pl.DataFrame({"n": [3, 1, 2], "name": ["c", "a", "b"], "text": ["long"] * 3})
SELECT = "select n, name from {{ source('pages', 'shards/*.parquet') }}"


def test_rows_are_sorted_and_columns_are_those_declared(tmp_path):
    project = make(tmp_path / "p", {"m": (SELECT, ["n", "name"], "", "")})
    out = tmp_path / "deep" / "m.parquet"
    result = project.build("m", pages(tmp_path, a=FRAME, b=FRAME.head(1)), {}, out)
    assert pl.read_parquet(out).rows() == [(1, "a"), (2, "b"), (3, "c"), (3, "c")]
    assert (result.rows, result.schema, result.tests) == (4, {"n": "BIGINT", "name": "VARCHAR"}, [])


def test_rows_say_where_they_come_from(tmp_path):
    sql = "select _partition as crawl, _asset as asset, n from {{ source('pages', 'shards/*.parquet') }}"
    project = make(tmp_path / "p", {"m": (sql, ["crawl", "asset", "n"], "", "")})
    project.build("m", pages(tmp_path, a=FRAME, b=FRAME.head(1)), {}, tmp_path / "m.parquet")
    assert pl.read_parquet(tmp_path / "m.parquet").rows()[-1] == ("b", "pages", 3)


def test_folders_with_signs_that_duckdb_takes_for_patterns(tmp_path):
    odd = tmp_path / "st[o]re*?'s"
    project = make(tmp_path / "p", {"m": (SELECT, ["n", "name"], "", "")})
    assert project.build("m", pages(odd, a=FRAME), {}, odd / "out'.parquet").rows == 3
    assert pl.read_parquet(odd.with_name(odd.name) / "out'.parquet", glob=False).height == 3


def test_a_pattern_that_matches_nothing_is_an_empty_table_but_a_file_must_be_there(tmp_path):
    project = make(
        tmp_path / "p",
        {
            "m": (SELECT, ["n", "name"], "", ""),
            "j": ("select title from {{ source('pages', 'about.json') }}", ["title"], "", ""),
        },
    )
    sources = pages(tmp_path, a=None)
    assert project.build("m", sources, {}, tmp_path / "m.parquet").rows == 0
    with pytest.raises(StoreError, match=r"has no 'about.json'"):
        project.build("j", sources, {}, tmp_path / "j.parquet")


def test_json_is_read_with_the_declared_types(tmp_path):
    sql = "select title, part.x as x from (select title, unnest(parts) as part from {{ source('pages', 'about.json') }})"
    project = make(tmp_path / "p", {"m": (sql, ["title", "x"], "", "")})
    sources = pages(tmp_path, a=None)
    write_json(tmp_path / "a/about.json", {"title": "T", "more": {"a": 1}, "parts": [{"x": 1, "y": 2}, {"x": 3}]})
    project.build("m", sources, {}, tmp_path / "m.parquet")
    assert pl.read_parquet(tmp_path / "m.parquet").rows() == [("T", 1), ("T", 3)]


def test_a_file_that_lacks_a_declared_column(tmp_path):
    project = make(tmp_path / "p", {"m": (SELECT, ["n", "name"], "", "")})
    with pytest.raises(SqlError, match=r"marts/m.sql: the files of pages/shards/\*.parquet are not as sources.yml says.*name"):
        project.build("m", pages(tmp_path, a=FRAME.drop("name")), {}, tmp_path / "m.parquet")


def test_a_mistake_in_the_sql_is_shown_with_its_line(tmp_path):
    sql = "-- a comment\nselect\n    n,\n    nmae as name\nfrom {{ source('pages', 'shards/*.parquet') }};\n"
    project = make(tmp_path / "p", {"m": (sql, ["n", "name"], "", "")})
    with pytest.raises(SqlError, match=r'^marts/m.sql, line 4: .*"nmae" not found.*"name"'):
        project.build("m", pages(tmp_path, a=FRAME), {}, tmp_path / "m.parquet")
    (tmp_path / "p/marts/m.sql").write_text("select n,\nfrom from")
    with pytest.raises(SqlError, match=r"^marts/m.sql, line 2: "):
        Project(tmp_path / "p").build("m", {}, {}, tmp_path / "m.parquet")


def test_a_value_that_cannot_be_computed_leaves_no_table(tmp_path):
    project = make(
        tmp_path / "p", {"m": ("select name::bigint as n from {{ source('pages', 'shards/*.parquet') }}", ["n"], "", "")}
    )
    with pytest.raises(SqlError, match=r"^marts/m.sql.*Could not convert string"):
        project.build("m", pages(tmp_path, a=FRAME), {}, tmp_path / "m.parquet")
    assert not (tmp_path / "m.parquet").exists()


def test_columns_must_be_those_described(tmp_path):
    project = make(tmp_path / "p", {"m": (SELECT, ["n", "title"], "", "")})
    with pytest.raises(SqlError, match="schema.yml does not describe name; the table lacks title, which schema.yml describes"):
        project.build("m", pages(tmp_path, a=FRAME), {}, tmp_path / "m.parquet")


def test_order_by_is_refused_but_the_first_rows_may_be_asked_for(tmp_path):
    project = make(tmp_path / "p", {"m": (SELECT + " order by n desc", ["n", "name"], "", "")})
    with pytest.raises(SqlError, match="rows are always sorted by all columns"):
        project.build("m", {}, {}, tmp_path / "m.parquet")
    project = make(tmp_path / "q", {"m": (SELECT + " order by n desc limit 1", ["n", "name"], "", "")})
    project.build("m", pages(tmp_path, a=FRAME), {}, tmp_path / "m.parquet")
    assert pl.read_parquet(tmp_path / "m.parquet").rows() == [(3, "c")]


def test_a_ref_that_is_not_built(tmp_path):
    project = make(
        tmp_path / "p", {"m": ("select n from {{ ref('o') }}", ["n"], "", ""), "o": ("select 1 as n", ["n"], "", "")}
    )
    with pytest.raises(SqlError, match="marts/m.sql: the table of o is not built; build it first"):
        project.build("m", {}, {}, tmp_path / "m.parquet")


ALL_TESTS = (
    "not_empty, {unique_combination: {columns: [n, name]}}, "
    "{sql: {name: small, description: Numbers are small., query: 'select * from {{ this }} where n > 9 -- none'}}",
    "not_null, unique, {accepted_values: {values: [1, 2, 3]}}, {relationships: {to: numbers, field: n, severity: warn}}",
)
NUMBERS = "select unnest([1, 2, 3, 4]) as n"


@pytest.fixture
def tested(tmp_path):
    project = make(tmp_path / "p", {"m": (SELECT, ["n", "name"], *ALL_TESTS), "numbers": (NUMBERS, ["n"], "", "")})
    project.build("numbers", {}, {}, tmp_path / "numbers.parquet")
    return project, {"numbers": tmp_path / "numbers.parquet"}


def test_all_kinds_of_tests_hold_on_good_rows(tested, tmp_path):
    project, refs = tested
    gates = project.build("m", pages(tmp_path, a=FRAME), refs, tmp_path / "m.parquet").tests
    assert [gate.name for gate in gates] == list(gate_names(project.model("m")))
    assert all(gate.passed for gate in gates)
    assert {gate.name for gate in gates if not gate.blocking} == {"n_relationships"}


@pytest.mark.parametrize(
    ("rows", "failing"),
    [
        ({"n": [], "name": []}, {"not_empty": "no rows; materialise what it reads first"}),
        ({"n": [1, None], "name": ["a", "b"]}, {"n_not_null": "n is never null: 1 breaks it, such as `null, b`"}),
        ({"n": [1, 1], "name": ["a", "b"]}, {"n_unique": "n is unique: 1 breaks it, such as `1, 2`"}),
        (
            {"n": [2, 2], "name": ["a", "a"]},
            {
                "n_name_unique": "(n, name) is unique: 1 breaks it, such as `2, a, 2`",
                "n_unique": "n is unique: 1 breaks it, such as `2, 2`",
            },
        ),
        ({"n": [4], "name": ["<b>"]}, {"n_accepted_values": "n is one of 1, 2, 3: 1 breaks it, such as `4, 1`"}),
        (
            {"n": [12, 11], "name": ["<b>", "c"]},
            {
                "n_accepted_values": "n is one of 1, 2, 3: 2 break it, such as `11, 1`; `12, 1`",
                "n_relationships": "every n is a n of numbers: 2 break it, such as `11`; `12`",
                "small": "Numbers are small: 2 break it, such as `12, &lt;b&gt;`; `11, c`",
            },
        ),
    ],
)
def test_doctored_rows_are_refused_by_the_test_that_is_for_them(tested, tmp_path, rows, failing):
    project, refs = tested
    table = tmp_path / "doctored.parquet"
    pl.DataFrame(rows, schema={"n": pl.Int64, "name": pl.String}).write_parquet(table)
    gates = judge(project, project.model("m"), {}, refs, table)
    assert {gate.name: gate.message for gate in gates if not gate.passed} == failing


def test_a_test_whose_sql_is_wrong_is_named(tmp_path):
    tests = "{sql: {name: broken, description: d, query: 'select nothing from {{ this }}'}}"
    project = make(tmp_path / "p", {"m": (NUMBERS, ["n"], tests, "")})
    with pytest.raises(SqlError, match="m: test broken: .*nothing"):
        project.build("m", {}, {}, tmp_path / "m.parquet")


def test_lineage_goes_through_joins_unions_windows_and_stars(tmp_path):
    top = """
    with both as (select * from {{ ref('base') }} union all select 0, 'x')
    select
        sum(b.n) over (partition by b.name) + count(*) over () as total,
        case when o.n > 1 then b.name else 'small' end as label,
        1 as one
    from both as b
    left join {{ ref('numbers') }} as o on b.n = o.n
    """
    models = {
        "base": (
            "select * exclude (_asset, _partition, _identity) from {{ source('pages', 'shards/*.parquet') }}",
            ["n", "name"],
            "",
            "",
        ),
        "numbers": (NUMBERS, ["n"], "", ""),
        "top": (top, ["total", "label", "one"], "", ""),
    }
    project = make(tmp_path / "p", models)
    found = column_lineage(project, "top")
    assert found == {
        "total": [Origin("base", "n"), Origin("base", "name")],
        "label": [Origin("base", "name"), Origin("numbers", "n")],
        "one": [],
    }
    assert origins(project, "top", "label") == [Origin("pages/shards/*.parquet", "name")]
    with pytest.raises(SqlError, match="top has no column 'labl'; did you mean 'label'"):
        origins(project, "top", "labl")


def test_lineage_that_cannot_be_read_says_so(tmp_path):
    project = make(tmp_path / "p", {"m": ("select n from {{ source('pages', 'shards/*.parquet') }} where (", ["n"], "", "")})
    with pytest.raises(SqlError, match="marts/m.sql: its lineage can't be read"):
        column_lineage(project, "m")


def test_lineage_of_what_is_no_select(tmp_path):
    project = make(tmp_path / "p", {"m": ("describe select 1 as n", ["n"], "", "")})
    with pytest.raises(SqlError, match="marts/m.sql: "):
        column_lineage(project, "m")


def test_what_is_spilled_goes_to_the_temporary_folder():
    with connect() as connection:
        (folder,) = connection.execute("SELECT current_setting('temp_directory')").fetchall()[0]
        assert folder.startswith(tempfile.gettempdir())
    assert not Path(folder).exists()
