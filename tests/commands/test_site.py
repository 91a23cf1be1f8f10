"""The pages beside the UI: one index, each page by its entry, files that need no server, scripts for pages that have one only."""

from html.parser import HTMLParser

import pytest

from llm_assets.commands import site
from llm_assets.commands.data_docs import serving
from llm_assets.core import pages
from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.manifest import Manifest
from llm_assets.core.produce import produce
from llm_assets.core.recipe import load_recipe
from llm_assets.stages.audit.project import specs
from tests.commands.test_data_docs import get
from tests.support.audited import Audited


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A store with three tables and two reports."""
    house = Audited(tmp_path_factory.mktemp("store"))
    recipe = load_recipe("demo")
    for spec in specs():
        if spec.name in ("stg_crawl_ledger", "stg_ledger", "funnel"):
            produce(house.store, spec, recipe.section(spec.name))
    for ref, name in (("eval_report/all/0a", "report.html"), ("training_content_summary/all/0b", "sft_model.html")):
        files = house.store.root / ref
        files.mkdir(parents=True)
        (files / name).write_text("<p>told</p>")
        asset, partition, identity = ref.split("/")
        Manifest(asset=asset, partition=partition, identity=identity, digest="d", code_version="1").save(files)
        (files.parent / "CURRENT.demo").write_text(f"{files.name}\n")
    site.sql_docs(house.store.root)  # lineages that no table has yet are computed at the first look
    return house


@pytest.fixture(autouse=True)
def demo(monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "demo")


def links(page):
    found = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            found.extend(value for name, value in attrs if name == "href")

    Reader().feed(page)
    return found


def test_the_index_lists_pages_and_reports_and_each_link_is_answered(house):
    with serving(house.store.root, "127.0.0.1", 0) as server:
        status, body, headers = get(server.url, f"/{pages.INDEX}")
        assert status == 200 and "script-src" not in headers["Content-Security-Policy"]
        told = links(body)
        assert "sql.html" in told and "../eval_report/all/0a/report.html" in told
        assert "../training_content_summary/all/0b/sft_model.html" in told
        for link in set(told):
            path = f"/{link.removeprefix('../')}" if link.startswith("../") else f"/{site.FOLDER}/{link}"
            assert get(server.url, path)[0] == 200, link


def test_a_page_with_a_script_may_run_its_own_and_only_that(house):
    with serving(house.store.root, "127.0.0.1", 0) as server:
        status, body, headers = get(server.url, "/data_docs/sql.html")
        assert status == 200 and "funnel" in body
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe-eval" not in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2]
        status, script, headers = get(server.url, "/data_docs/sql.js")
        assert status == 200 and headers["Content-Type"].startswith("text/javascript") and "use strict" in script
        assert get(server.url, "/data_docs/other.js")[0] == 404


def test_a_page_is_one_entry(house, monkeypatch):
    page = site.Page("sizes.html", "Sizes", "how much there is", lambda root: f"<p>{root.name}</p>")
    monkeypatch.setattr(site, "PAGES", (*site.PAGES, page))
    with serving(house.store.root, "127.0.0.1", 0) as server:
        assert get(server.url, "/data_docs/sizes.html")[1] == f"<p>{house.store.root.name}</p>"
        assert ">Sizes</a>: how much there is" in get(server.url, f"/{pages.INDEX}")[1]


def test_a_page_that_can_not_be_made_says_why(house, monkeypatch):
    def fails(root):
        raise LlmAssetsError("no folder of SQL models at <x>")

    monkeypatch.setattr(site, "PAGES", (site.Page("bad.html", "Bad", "bad", fails),))
    with serving(house.store.root, "127.0.0.1", 0) as server:
        status, body, headers = get(server.url, "/data_docs/bad.html")
        assert (status, body) == (500, "no folder of SQL models at <x>")
        assert headers["Content-Type"].startswith("text/plain")


def test_the_files_need_no_server(house):
    written = site.write(house.store.root)
    folder = written.parent
    assert {path.name for path in folder.iterdir()} == {"index.html", "sql.html", "sql.js", "status.html"}
    for link in links(written.read_text()):
        assert (folder / link).resolve().is_file(), link


def test_the_page_says_what_the_tables_hold(house):
    page = site.sql_docs(house.store.root)
    funnel = page.partition('id="funnel"')[2].partition("</section>")[0]
    assert "12 rows, made" in funnel and "passes" in funnel and "BIGINT" in funnel
    assert "not built yet" in page.partition('id="document_fate"')[2].partition("</section>")[0]


def test_an_empty_store_has_pages_too(tmp_path):
    assert "0 tables built" in site.sql_docs(tmp_path)
    assert "No artefact has a page yet." in site.index(tmp_path) and "None yet" in site.index(tmp_path)


def test_assets_link_to_their_pages(house, monkeypatch):
    monkeypatch.setenv(pages.DOCS_URL, "http://docs.example")
    report = Artefact("eval_report", "all", "0a", house.store.root / "eval_report/all/0a")
    assert pages.addresses(report) == {"report": "http://docs.example/eval_report/all/0a/report.html"}
    content = Artefact("training_content_summary", "all", "0b", house.store.root / "training_content_summary/all/0b")
    assert list(pages.addresses(content)) == ["sft_model"]
    table = house.store.current("funnel")
    assert pages.addresses(table) == {"sql_docs": "http://docs.example/data_docs/sql.html#funnel"}


@pytest.mark.parametrize(
    "path",
    [
        "/eval_report/all/0a/report.json",
        "/eval_report/all/0a/../0a/report.html",
        "/eval_report/all/.hidden/report.html",
        "/funnel/all/0a/report.html",
        "/training_content_summary/all/0b/.html",
    ],
)
def test_nothing_else_of_these_assets_is_served(house, path):
    assert pages.served(house.store.root, path) is None
