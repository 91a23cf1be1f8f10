"""Column lineage through what SQL has: renames, joins, CTEs, unions, windows, stars, subqueries, recursion."""

import pytest

from llm_assets.sql.lineage import Origin, by_asset, column_lineage, origins
from llm_assets.sql.project import Project

SOURCES = """
partitioned: [pages]
sources:
  - assets: [pages, books]
    files: rows.parquet
    description: Rows
    columns:
      - {name: id, type: BIGINT, description: An id}
      - {name: name, type: VARCHAR, description: A name}
      - {name: size, type: BIGINT, description: A size}
"""
PAGES = "{{ source('pages', 'rows.parquet') }}"
BOOKS = "{{ source('books', 'rows.parquet') }}"


def project_of(folder, **models):
    """name → (columns, SQL)."""
    (folder / "marts").mkdir(parents=True)
    entries = ""
    for name, (columns, sql) in models.items():
        (folder / f"marts/{name}.sql").write_text(sql)
        listed = "".join(f"      - {{name: {column}, description: The {column}}}\n" for column in columns)
        entries += f"  - name: {name}\n    description: D\n    columns:\n{listed}"
    (folder / "schema.yml").write_text(f"models:\n{entries}")
    (folder / "sources.yml").write_text(SOURCES)
    return Project(folder)


def told(found):
    """As ``p.id`` for pages, ``b.id`` for books, ``m.x`` for the model m."""
    short = {"pages/rows.parquet": "p", "books/rows.parquet": "b"}
    return {column: {f"{short.get(o.relation, o.relation)}.{o.column}" for o in above} for column, above in found.items()}


CASES = {
    "rename and expression": (
        f"select id as a, size * 2 + length(name) as b, 'x' as c from {PAGES}",
        {"a": {"p.id"}, "b": {"p.size", "p.name"}, "c": set()},
    ),
    "join": (
        f"select p.id as a, b.name as b from {PAGES} as p left join {BOOKS} as b using (id)",
        {"a": {"p.id"}, "b": {"b.name"}},
    ),
    "chain of CTEs": (
        f"with one as (select id, size as s from {PAGES}), two as (select id, s + 1 as s from one) select id as a, s as b from two",
        {"a": {"p.id"}, "b": {"p.size"}},
    ),
    "union": (
        f"select id as a, name as b from {PAGES} union all select id, name from {BOOKS}",
        {"a": {"p.id", "b.id"}, "b": {"p.name", "b.name"}},
    ),
    "union in a CTE, by name": (
        f"with u as (select id, name from {PAGES} union all by name select name, id from {BOOKS}) select id as a, name as b from u",
        {"a": {"p.id", "b.id"}, "b": {"p.name", "b.name"}},
    ),
    "unions in a union, some columns on one side only": (
        f"""select id as a, name as b from {PAGES}
        union all by name (select name as c, size as b from {BOOKS} union all by name select id as b from {PAGES})""",
        {"a": {"p.id"}, "b": {"p.name", "b.size", "p.id"}, "c": {"b.name"}},
    ),
    "window": (
        f"select id as a, row_number() over (partition by name order by size) as b from {PAGES}",
        {"a": {"p.id"}, "b": {"p.name", "p.size"}},
    ),
    "star": (f"select * from {PAGES}", {"id": {"p.id"}, "name": {"p.name"}, "size": {"p.size"}}),
    "star of a CTE with more": (
        f"with one as (select id, name from {PAGES}) select *, id + 1 as c from one",
        {"id": {"p.id"}, "name": {"p.name"}, "c": {"p.id"}},
    ),
    "star that leaves out": (f"select * exclude (size) from {PAGES}", {"id": {"p.id"}, "name": {"p.name"}}),
    "aggregate with a filter": (
        f"select name as a, sum(size) filter (where id > 1) as b, count(*) as c from {PAGES} group by all",
        {"a": {"p.name"}, "b": {"p.size", "p.id"}, "c": set()},
    ),
    "case": (
        f"select case when size > 1 then name else id::varchar end as a from {PAGES}",
        {"a": {"p.size", "p.name", "p.id"}},
    ),
    "subquery in from": (
        f"select s.total as a from (select sum(size) as total from {PAGES}) as s",
        {"a": {"p.size"}},
    ),
    "recursion": (
        f"""with recursive line as (
            select id, name, 1 as depth from {PAGES}
            union
            select b.id, line.name, line.depth + 1 from line inner join {BOOKS} as b on b.id = line.id
        ) select id as a, name as b from line""",
        {"a": {"p.id", "b.id"}, "b": {"p.name"}},
    ),
    "what filters is no origin": (f"select id as a from {PAGES} where size > 1 qualify true", {"a": {"p.id"}}),
    "origin of the row": (
        f"select _partition as a, _identity as b from {PAGES}",
        {"a": {"p._partition"}, "b": {"p._identity"}},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_known_lineages(tmp_path, case):
    sql, expected = CASES[case]
    project = project_of(tmp_path / "p", m=(list(expected), sql))
    assert told(column_lineage(project, "m")) == expected


def test_through_models_down_to_the_files(tmp_path):
    project = project_of(
        tmp_path / "p",
        low=(["id", "size"], f"select id, size from {PAGES}"),
        high=(["total", "n"], "select sum(size) as total, max(id) as n from {{ ref('low') }}"),
    )
    assert told(column_lineage(project, "high")) == {"total": {"low.size"}, "n": {"low.id"}}
    assert origins(project, "high", "total") == [Origin("pages/rows.parquet", "size")]
    assert by_asset(project, "high") == {"total": [("low", "size")], "n": [("low", "id")]}
    assert by_asset(project, "low")["id"] == [("pages", "rows.parquet.id")]


def test_a_group_of_sources_means_each_of_its_assets(tmp_path):
    everything = "{{ source('*', 'rows.parquet') }}"
    crawled, whole = everything.replace("'*'", "'*[crawl]'"), everything.replace("'*'", "'*[all]'")
    project = project_of(
        tmp_path / "p",
        m=(["id"], f"select id from {everything}"),
        c=(["id"], f"select id from {crawled}"),
        w=(["id"], f"select id from {whole}"),
    )
    assert by_asset(project, "m")["id"] == [("pages", "rows.parquet.id"), ("books", "rows.parquet.id")]
    assert by_asset(project, "c")["id"] == [("pages", "rows.parquet.id")]
    assert by_asset(project, "w")["id"] == [("books", "rows.parquet.id")]
