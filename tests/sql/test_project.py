"""What can be wrong with a project is found on reading it, and said with file, line and near miss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_assets.sql.errors import SqlError
from llm_assets.sql.project import Project
from llm_assets.sql.templates import literal, quoted, references, render, scalar

COLUMN = {"name": "n", "description": "A number"}
SOURCES = """
partitioned: [pages]
sources:
  - assets: [pages, books]
    files: ledger.parquet
    description: What came in
    columns: [{name: n, type: BIGINT, description: A number}]
  - assets: [pages]
    files: shards/*.parquet
    description: Pages
    columns: [{name: n, type: BIGINT, description: A number}]
"""


def entry(name, tests="[]", column_tests="[]"):
    return (
        f"  - {{name: {name}, description: D, tests: {tests}, "
        f"columns: [{{name: n, description: A number, tests: {column_tests}}}]}}\n"
    )


def write(folder, models, schema=None, sources=SOURCES):
    for place, sql in models.items():
        path = folder / f"{place}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)
    if schema is None:
        schema = "models:\n" + "".join(entry(place.split("/")[-1]) for place in models)
    (folder / "schema.yml").write_text(schema)
    (folder / "sources.yml").write_text(sources)
    return folder


def refused(folder):
    with pytest.raises(SqlError) as caught:
        Project(folder)
    return str(caught.value)


def test_order_follows_refs_wherever_the_files_lie(tmp_path):
    models = {
        "marts/a": "select n from {{ ref('b') }}",
        "marts/b": "select n from {{ ref(\"c\") }} union all select n from {{ref('c')}}",
        "staging/c": "select n from {{ source('pages', 'shards/*.parquet') }}",
    }
    project = Project(write(tmp_path, models))
    assert list(project.models) == ["c", "b", "a"]
    assert project.model("b").refs == ("c",) and project.model("b").kind == "marts"
    assert project.model("c").sources == (("pages", "shards/*.parquet"),)
    assert project.source_assets(project.model("c")) == {"pages": False}
    assert project.partitioned == {"pages"}


def test_an_unknown_ref_names_model_line_and_near_miss(tmp_path):
    write(tmp_path, {"staging/stg_pages": "select 1 as n", "marts/totals": "select n\n\nfrom {{ ref('stg_page') }}"})
    assert refused(tmp_path) == "marts/totals.sql, line 3: no model is named 'stg_page'; did you mean 'stg_pages'?"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("source('page', 'ledger.parquet')", "sources.yml lists no asset 'page'; did you mean 'pages'?"),
        (
            "source('pages', 'ledgers.parquet')",
            "sources.yml lists no 'ledgers.parquet' of pages; did you mean 'ledger.parquet'?",
        ),
        (
            "source('books', 'shards/*.parquet')",
            "sources.yml lists no 'shards/*.parquet' of books; did you mean 'ledger.parquet'?",
        ),
        ("source('*', 'x.json')", "source('*', …) needs files that sources.yml lists once, not 'x.json'; there are: ledger"),
    ],
)
def test_an_unknown_source(tmp_path, call, message):
    write(tmp_path, {"staging/m": f"select n from\n{{{{ {call} }}}}"})
    assert refused(tmp_path).startswith(f"staging/m.sql, line 2: {message}")


@pytest.mark.parametrize(
    "template",
    [
        "{{ config(materialized='table') }}",
        "{{ ref('a', 'b') }}",
        "{{ ref(a) }}",
        "{% if x %}",
        "{{ ref('a')",
        "{# no #}",
        "}}",
    ],
)
def test_there_is_no_template_language(tmp_path, template):
    write(tmp_path, {"staging/m": f"select 1 as n\n{template}"})
    assert refused(tmp_path).startswith("staging/m.sql, line 2: ")


def test_comments_and_strings_are_left_alone():
    text = "-- {{ ref('x') }}\n/* {{ nonsense */ select '{{ it''s }}' as \"{% a\" from {{ ref('m') }}"
    assert [(r.relation, r.line) for r in references(text, "w")] == [("m", 2)]
    assert render(text, "w", lambda r: r.relation) == text.replace("{{ ref('m') }}", '"m"')


def test_lines_stay_where_they_were():
    text = "select *\nfrom {{\n  ref('m')\n}}\nwhere x"
    assert render(text, "w", lambda r: r.relation).splitlines()[-1] == "where x"
    assert render(text, "w", lambda r: r.relation).count("\n") == text.count("\n")


@given(st.text())
def test_any_text_can_be_a_name_or_a_value(text):
    import duckdb

    if "\x00" in text or any("\ud800" <= char <= "\udfff" for char in text):
        return
    with duckdb.connect() as connection:
        found = connection.execute(f"select {literal(text)} as {quoted('c' + text)}")
        assert found.description[0][0] == "c" + text and found.fetchall() == [(text,)]


def test_a_cycle_is_shown(tmp_path):
    models = {f"marts/{a}": f"select n from {{{{ ref('{b}') }}}}" for a, b in [("a", "b"), ("b", "c"), ("c", "a")]}
    assert refused(write(tmp_path, models)) == "models read each other in a circle: a → b → c → a"


def test_a_model_cannot_read_itself(tmp_path):
    assert "line 1: {{ this }} is for tests" in refused(write(tmp_path, {"marts/a": "select n from {{ this }}"}))


def test_every_model_is_described_and_every_description_has_a_model(tmp_path):
    write(tmp_path / "a", {"marts/totals": "select 1 as n"}, "models:\n" + entry("total"))
    assert refused(tmp_path / "a") == "marts/totals.sql: no schema.yml describes 'totals'; did you mean 'total'?"
    write(tmp_path / "b", {"marts/totals": "select 1 as n"}, "models:\n" + entry("totals") + entry("other"))
    assert refused(tmp_path / "b").startswith("schema.yml describes 'other', but there is no other.sql")
    write(tmp_path / "c", {"marts/totals": "select 1 as n"}, "models:\n" + 2 * entry("totals"))
    assert refused(tmp_path / "c") == "schema.yml describes 'totals' twice"


def test_names_of_models(tmp_path):
    write(tmp_path / "a", {"marts/m": "select 1 as n", "staging/m": "select 1 as n"}, "models:\n" + entry("m"))
    assert refused(tmp_path / "a") == "staging/m.sql: there is a model of that name already, marts/m.sql"
    write(tmp_path / "b", {"marts/Bad-Name": "select 1 as n"})
    assert "in lower_case.sql" in refused(tmp_path / "b")
    write(tmp_path / "c", {"loose": "select 1 as n"})
    assert refused(tmp_path / "c").startswith("loose.sql: models lie in a folder such as staging/")
    assert refused(tmp_path / "nowhere").startswith("no folder of SQL models at")


@pytest.mark.parametrize(
    ("tests", "column_tests", "message"),
    [
        ("[uniqe]", "[]", "no test is named 'uniqe'; did you mean 'unique'?"),
        ("[unique]", "[]", "unique tests one column; write it under that column"),
        ("[]", "[not_empty]", "not_empty tests a whole table"),
        ("[]", "[{accepted_values: {vals: [1]}}]", "accepted_values takes the arguments values; given: vals"),
        ("[]", "[{not_null: {severity: loud}}]", "severity is 'loud'; allowed: error, warn"),
        ("[]", "[not_null, not_null]", "two tests have the same name: n_not_null"),
        ("[{unique_combination: {columns: [m]}}]", "[]", "no column is named 'm'"),
        ("[{sql: {name: a b, description: d, query: q}}]", "[]", "a test can't be called 'a b'"),
        ("[]", "[{relationships: {to: o, field: n}}]", "m: test n_relationships: no model is named 'o'"),
        ("[]", "[{relationships: {to: m, field: k}}]", "m: test n_relationships: m has no column 'k'"),
        (
            "[{sql: {name: t, description: d, query: \"from {{ ref('x') }}\"}}]",
            "[]",
            "m: test t, line 1: no model is named 'x'",
        ),
        (
            "[{sql: {name: t, description: d, query: \"from {{ ref('o2') }}\"}}]",
            "[]",
            "m: test t, line 1: a test may read {{ this }}",
        ),
    ],
)
def test_what_can_be_wrong_with_a_test(tmp_path, tests, column_tests, message):
    models = {"marts/m": "select 1 as n", "marts/o2": "select 1 as n"}
    write(tmp_path, models, "models:\n" + entry("m", tests, column_tests) + entry("o2"))
    assert message in refused(tmp_path)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        (
            "models: [{name: m, description: '', columns: []}]",
            "schema.yml: models.m.description: String should have at least 1",
        ),
        ("models: [{name: m, description: d, colums: []}]", "models.m.colums: Extra inputs are not permitted"),
        (
            "models: [{name: m, description: d, columns: [{name: n, description: d}, {name: n, description: d}]}]",
            "described twice",
        ),
        ("models: [", "not valid YAML"),
    ],
)
def test_what_can_be_wrong_with_a_schema_file(tmp_path, schema, message):
    assert message in refused(write(tmp_path, {"marts/m": "select 1 as n"}, schema))


def test_asking_for_a_model_that_is_not_there(tmp_path):
    project = Project(write(tmp_path, {"marts/totals": "select 1 as n"}))
    with pytest.raises(SqlError, match="no model is named 'total'; did you mean 'totals'"):
        project.model("total")


SQL_OF_USED = "select n from {{ source('books[used]', 'ledger.parquet') }}"


def test_what_models_were_made_of_is_asked_for_apart(tmp_path):
    sources = SOURCES + "holders: [shelf]\n"
    project = Project(write(tmp_path / "a", {"staging/m": SQL_OF_USED}, sources=sources))
    model = project.model("m")
    assert project.used_assets(model) == {"books"} and project.holders == ("shelf",)
    assert project.source_assets(model) == {"books": False}
    everything = "select n from {{ source('*[used]', 'ledger.parquet') }}"
    project = Project(write(tmp_path / "b", {"staging/m": everything}, sources=sources))
    assert project.used_assets(project.model("m")) == {"books"}  # pages have crawls: all that are current are read
    assert sorted(project.source_assets(project.model("m"))) == ["books", "pages"]
    both = SQL_OF_USED + " union all select n from {{ source('books', 'ledger.parquet') }}"
    assert refused(write(tmp_path / "c", {"staging/m": both})) == (
        "staging/m.sql: it reads books with [used] and without; make two models of it"
    )


def test_values_come_from_the_models_own_section_of_the_recipe(tmp_path):
    sql = "select {{ var('gpu_hour_price') }} as n"
    project = Project(write(tmp_path / "a", {"marts/compute_cost": sql}))
    assert [reference.kind for reference in project.model("compute_cost").references] == ["var"]
    text = render(sql, "w", lambda r: r.relation, {"gpu_hour_price": 2.5})
    assert text == "select 2.5 as n" and render(sql, "w", lambda r: r.relation) == "select NULL as n"
    assert refused(write(tmp_path / "b", {"marts/compute_cost": sql.replace("gpu_hour", "gpu_ours")})) == (
        "marts/compute_cost.sql, line 1: the recipe has no field compute_cost.gpu_ours_price; did you mean 'gpu_hour_price'?"
    )
    assert "the recipe has no field m.x" in refused(write(tmp_path / "c", {"marts/m": "select {{ var('x') }} as n"}))


@pytest.mark.parametrize(
    ("value", "text"), [(None, "NULL"), (True, "TRUE"), (3, "3"), (0.25, "0.25"), ("it's", "'it''s'"), ("1; drop", "'1; drop'")]
)
def test_values_become_sql(value, text):
    assert scalar(value) == text
