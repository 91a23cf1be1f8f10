"""The page of a project: everything in its HTML, escaped; the script gets the same graph."""

import json
import re
from html.parser import HTMLParser

import pytest

from llm_assets.core.report import Gate
from llm_assets.sql.docs import SCRIPT, Built, Described, render
from tests.sql.test_lineage import PAGES, project_of

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def project(tmp_path):
    return project_of(
        tmp_path / "p",
        low=(["id", "size"], f"select id, size from {PAGES} -- {EVIL}"),
        high=(["total", "n", "one"], "select sum(size) as total, max(id) as n, 1 as one from {{ ref('low') }}"),
    )


class Reader(HTMLParser):
    """Tags with their attributes, ids, and texts of the page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.ids, self.texts = [], set(), []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids |= {value for name, value in attrs if name == "id"}

    def handle_data(self, data):
        self.texts.append(data)


def graph(page):
    (text,) = re.findall(r'<script type="application/json" id="lineage">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def test_the_graph_has_assets_models_and_edges_between_columns(project):
    found = graph(render(project, {}))
    assert [(node["name"], node["kind"], node["reads"]) for node in found["nodes"]] == [
        ("pages", "asset", []),
        ("low", "marts", ["pages"]),
        ("high", "marts", ["low"]),
    ]
    assert sorted(found["edges"]) == [
        ["low", "id", "high", "n"],
        ["low", "size", "high", "total"],
        ["pages", "rows.parquet.id", "low", "id"],
        ["pages", "rows.parquet.size", "low", "size"],
    ]
    assert found["nodes"][0]["columns"] == ["rows.parquet.id", "rows.parquet.size"]


def test_without_a_script_every_column_names_what_is_above_and_below_and_links_lead_somewhere(project):
    page = Reader(render(project, {}))
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert {"#low.size", "#high.total", "#low", "#high"} <= set(links)
    assert {link[1:] for link in links} <= page.ids
    assert "pages.rows.parquet.size" in page.texts and "nothing: a constant or a count" in page.texts


def test_results_of_tests_and_what_was_not_built_are_told(project, tmp_path):
    folder = tmp_path / "p"
    text = (folder / "schema.yml").read_text()
    (folder / "schema.yml").write_text(
        text.replace(
            "name: high\n    description: D",
            "name: high\n    description: D\n    tests: [not_empty, {unique_combination: {columns: [n], severity: warn}}]",
        )
    )
    from llm_assets.sql.project import Project

    project = Project(folder)
    gates = [Gate("not_empty", True, "1 rows"), Gate("n_unique", False, f"n is unique: `{EVIL}`", blocking=False)]
    built = {"high": Built(1234, "2026-11-01", gates, {"total": "HUGEINT"})}
    page = render(project, built)
    told = "".join(Reader(page).texts)
    assert "1,234 rows, made 2026-11-01" in told and "not built yet" in told and "HUGEINT" in told
    assert "✓ passes" in told and "! warns" in told and "1 failing" in told and "only warns" in told
    assert {node["name"]: node["failing"] for node in graph(page)["nodes"]} == {"pages": 0, "low": 0, "high": 1}
    assert "not run yet" in "".join(Reader(render(project, {})).texts)


def test_nothing_of_a_row_or_of_sql_becomes_markup_and_nothing_is_loaded_from_elsewhere(project):
    built = {"low": Built(1, "x", [Gate("a", False, EVIL)])}
    page = Reader(render(project, built))
    scripts = [attributes for tag, attributes in page.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "lineage"}, {"src": "sql.js"}]
    loads = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "action")]
    assert all(value == "sql.js" or value.startswith("#") for value in loads)
    assert not any(name.startswith("on") or name == "style" for _, attributes in page.tags for name in attributes)
    script = SCRIPT.read_text("utf-8")
    assert (
        "fetch(" not in script and "innerHTML" not in script and "http" not in script.replace("http://www.w3.org/2000/svg", "")
    )


def test_it_can_be_used_by_keyboard_and_read_aloud(project):
    page = Reader(render(project, {}))
    labels = {attributes["for"] for tag, attributes in page.tags if tag == "label"}
    assert {attributes["id"] for tag, attributes in page.tags if tag == "input"} <= labels
    assert all(attributes.get("scope") for tag, attributes in page.tags if tag == "th")
    named = [attributes["aria-labelledby"] for tag, attributes in page.tags if tag == "section"]
    assert set(named) <= page.ids and len(named) == len(set(named))
    script = SCRIPT.read_text("utf-8")
    assert all(word in script for word in ('role: "button"', "tabindex", '"Enter"', '"Escape"', "aria-pressed"))


def test_a_lineage_that_the_table_has_is_not_computed_again(project, monkeypatch):
    from llm_assets.sql import docs

    def refused(*_):
        raise AssertionError("computed")

    monkeypatch.setattr(docs, "by_asset", refused)
    known = {
        "low": Built(1, "x", lineage={"id": [("pages", "rows.parquet.id")], "size": []}),
        "high": Built(1, "x", lineage={}),
    }
    assert Described(project, known).feeds == {("pages", "rows.parquet.id"): [("low", "id")]}
