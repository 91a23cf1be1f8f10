"""A model that is incremental by crawl: only what is new is made, and the table is the one that a full build gives."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_assets.core.artefact import Artefact
from llm_assets.core.jsonio import digest
from llm_assets.core.manifest import Manifest
from llm_assets.sql import build as build_module
from llm_assets.sql import incremental
from llm_assets.sql.build import build
from llm_assets.sql.errors import SqlError
from llm_assets.sql.project import Project

SOURCES = """
partitioned: [pages]
sources:
  - assets: [pages]
    files: rows.parquet
    description: Rows
    columns: [{name: n, type: BIGINT, description: A number}, {name: crawl, type: VARCHAR, description: A crawl}]
  - assets: [whole]
    files: all.parquet
    description: Rows
    columns: [{name: n, type: BIGINT, description: A number}]
"""
ROWS = "select _partition as crawl, n, count(*) over () as of_crawl from {{ source('pages', 'rows.parquet') }}"
SUMS = "select crawl, sum(n)::bigint as total from {{ ref('rows') }} group by crawl"


def project_at(folder: Path, rows: str = ROWS, sums: str = SUMS, incremental_sums: str = "crawl") -> Project:
    (folder / "marts").mkdir(parents=True)
    (folder / "marts/rows.sql").write_text(rows)
    (folder / "marts/sums.sql").write_text(sums)
    (folder / "sources.yml").write_text(SOURCES)
    described = {"rows": ("crawl", ["crawl", "n", "of_crawl"]), "sums": (incremental_sums, ["crawl", "total"])}
    entries = [
        f"  - name: {name}\n    description: D\n    incremental: '{by}'\n    columns:\n"
        + "".join(f"      - {{name: {column}, description: The {column}}}\n" for column in columns)
        for name, (by, columns) in described.items()
    ]
    (folder / "schema.yml").write_text("models:\n" + "".join(entries))
    return Project(folder)


class House:
    """Crawls of ``pages`` and a store that keeps every table ever made."""

    def __init__(self, folder: Path, project: Project) -> None:
        self.folder, self.project = folder, project
        self.made = 0

    def sources(self, crawls: dict[str, list[int]]) -> dict[str, list[Artefact]]:
        found = []
        for crawl, numbers in crawls.items():
            identity = digest(numbers)[:16]
            files = self.folder / "store/pages" / crawl / identity
            if not files.exists():
                files.mkdir(parents=True)
                frame = pl.DataFrame(
                    {"n": numbers, "crawl": [crawl] * len(numbers)}, schema={"n": pl.Int64, "crawl": pl.String}
                )
                frame.write_parquet(files / "rows.parquet")
                Manifest(asset="pages", partition=crawl, identity=identity, digest=digest(numbers), code_version="1").save(
                    files
                )
            found.append(Artefact("pages", crawl, identity, files))
        return {"pages": found}

    def build(self, crawls: dict[str, list[int]], full: bool = False) -> dict[str, tuple[dict[str, bytes], frozenset[str]]]:
        """Name → the bytes of its files, and the crawls that were taken over."""
        sources, refs, found = self.sources(crawls), {}, {}
        self.made += 1
        for name, model in self.project.models.items():
            files = self.folder / "store" / name / "all" / f"{self.made:04}"
            now = incremental.marks(self.project, model, sources, refs)
            before = (
                incremental.Earlier() if full else incremental.earlier(self.folder / "store", model, f"{name}.parquet", now)
            )
            refs[name] = files / f"{name}.parquet"
            build(self.project, model, sources, refs, refs[name], {}, before.table, before.crawls)
            incremental.write_marks(files, now)
            Manifest(asset=name, partition="all", identity=files.name, digest="d", code_version="1").save(files)
            found[name] = ({path.name: path.read_bytes() for path in refs[name].iterdir()}, before.crawls)
        return found


@pytest.fixture
def house(tmp_path):
    return House(tmp_path, project_at(tmp_path / "project"))


CRAWLS = st.dictionaries(st.sampled_from(["a", "b", "c-1", "c'2"]), st.lists(st.integers(-3, 3), max_size=5), max_size=4)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CRAWLS, min_size=2, max_size=3))
def test_whatever_was_there_before_the_table_is_that_of_a_full_build(tmp_path_factory, histories):
    folder = tmp_path_factory.mktemp("house")
    house = House(folder, project_at(folder / "project"))
    for crawls in histories:
        stepwise = house.build(crawls)
        alone = House(folder / f"alone{house.made}", house.project).build(crawls, full=True)
        assert {name: table for name, (table, _) in stepwise.items()} == {name: table for name, (table, _) in alone.items()}


def test_only_what_is_new_is_made(house, monkeypatch):
    house.build({"a": [1, 2], "b": [3]})
    asked: list[str] = []
    views = build_module._views

    def watched(connection, project, model, sources, refs, crawl=None):
        asked.extend([f"{model.name}:{crawl}"] if crawl else [])
        views(connection, project, model, sources, refs, crawl)

    monkeypatch.setattr(build_module, "_views", watched)
    found = house.build({"a": [1, 2], "b": [3, 4], "c": []})
    assert sorted(asked) == ["rows:b", "rows:c", "sums:b", "sums:c"]
    assert {name: set(taken) for name, (_, taken) in found.items()} == {"rows": {"a"}, "sums": {"a"}}


def test_a_crawl_that_is_gone_leaves_no_rows(house):
    house.build({"a": [1], "b": [2]})
    found = house.build({"b": [2]})
    table = pl.read_parquet(house.folder / f"store/rows/all/{house.made:04}/rows.parquet")
    assert table.rows() == [("b", 2, 1)] and found["rows"][1] == {"b"}


def test_an_earlier_table_without_its_manifest_is_not_used(house):
    house.build({"a": [1]})
    (house.folder / "store/rows/all/0001/manifest.json").unlink()
    assert house.build({"a": [1]})["rows"][1] == frozenset()


def test_another_model_takes_nothing_over(house, tmp_path):
    house.build({"a": [1]})
    house.project = project_at(tmp_path / "changed", rows=ROWS.replace("n, count", "n + 1 as n, count"))
    found = house.build({"a": [1]})
    assert (found["rows"][1], found["sums"][1]) == (frozenset(), frozenset())
    assert pl.read_parquet(tmp_path / "store/sums/all/0002/sums.parquet").rows() == [("a", 2)]


def test_rows_of_another_crawl_are_refused(tmp_path):
    """By crawl means that a row is made of its own crawl's artefacts; what says otherwise would differ from a full build."""
    project = project_at(tmp_path / "project", rows=ROWS.replace("_partition as crawl", "crawl || '!' as crawl"))
    with pytest.raises(SqlError, match=r"marts/rows.sql: it is incremental by crawl, but .* of a say otherwise: 1 rows, 0 of"):
        House(tmp_path, project).build({"a": [1]})


def test_only_what_has_crawls_can_be_read(tmp_path):
    rows = "select 'x' as crawl, n, n as of_crawl from {{ source('whole', 'all.parquet') }}"
    with pytest.raises(SqlError, match="incremental by crawl but reads whole, which has no crawls"):
        project_at(tmp_path / "project", rows=rows)


def test_a_ref_must_be_incremental_too(tmp_path):
    folder = tmp_path / "project"
    project_at(folder)
    (folder / "schema.yml").write_text(
        (folder / "schema.yml").read_text().replace("incremental: 'crawl'", "incremental: ''", 1)
    )
    with pytest.raises(SqlError, match=r"marts/sums.sql: it is incremental by crawl but reads rows, which has no crawls"):
        Project(folder)


def test_the_crawl_comes_first(tmp_path):
    folder = tmp_path / "project"
    project_at(folder)
    text = (folder / "schema.yml").read_text()
    (folder / "schema.yml").write_text(text.replace("{name: crawl, description: The crawl}", "{name: at, description: At}", 1))
    with pytest.raises(SqlError, match="incremental by crawl has that as its first column"):
        Project(folder)
