"""``llm-assets explain`` as it is typed: URLs, ids, files of both kinds, redirects, copies of an earlier crawl, JSON."""

import json
import shutil

import polars as pl
import pytest

from llm_assets.cli import main
from llm_assets.commands.explain import queries_in, run_explain
from llm_assets.core import rowindex
from llm_assets.core.documents import RAW_INDEX
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import KEEP, Verdict, ledger_frame, ledger_row, write_ledger
from tests.support.audited import FIRST, RECIPE, START, Audited, doc, url

THIRD, OWN = "wiki-2027-01", "my-docs"
COPY, BOOK, ROWS = 40, 50, 60


def crawl(house, name, rows, indexed):
    """A raw crawl of ledger rows (doc or None, url, verdict), with a row index as ``produce`` writes it."""

    def write(files):
        write_ledger(files, ledger_frame([ledger_row(name, "raw_crawl", *row) for row in rows]))
        base = dict.fromkeys(RAW_INDEX.names()) | {"fetched_at": START, "kind": "page", "record_type": "response"}
        index = [base | {"doc_id": d, "url": u, "canonical_url": u} for d, u, v in rows if v.kept]
        pl.DataFrame(index, schema=RAW_INDEX).write_parquet(files / "index.parquet")
        if indexed:
            rowindex.write(files)

    house.publish("raw_crawl", name, write, identity=f"raw-{name}")


@pytest.fixture(scope="module", params=[True, False], ids=["indexed", "scanned"])
def house(request, tmp_path_factory):
    """The audited store, a third crawl with redirects and a copy of the first crawl's page, and a crawl of own files."""
    root = tmp_path_factory.mktemp("explained") / "store"
    house = Audited(root)

    def moved(to, status=301):
        return Verdict(False, "redirect", status, detail=to)

    rows = [
        (None, url("old"), moved("/older?x=1")),
        (None, url("older?x=1"), moved(url("copied"), 308)),
        (doc(COPY), url("copied"), KEEP),
        (None, url("ring?n=1"), moved("?n=2", 302)),
        (None, url("ring?n=2"), moved("?n=1", 302)),
        (None, url("away"), moved("https://elsewhere.example/page")),
        (None, url("odd"), moved("mailto:someone")),
    ]
    crawl(house, THIRD, rows, request.param)
    house.ledger("extracted_pages", THIRD, {"copied": COPY}, {}, "raw_crawl")
    house.ledger("cleaned_corpus", THIRD, {"copied": COPY}, {}, "extracted_pages")
    twin = Verdict(False, "near_duplicate", 0.91, 0.8, related_doc=doc(1))
    house.ledger("deduped_shards", THIRD, {"copied": COPY}, {"copied": twin}, "cleaned_corpus")
    base = f"https://{OWN}.invalid"
    own = [
        (doc(BOOK), f"{base}/deep/a%20book.txt", KEEP),
        *((doc(ROWS + n), f"{base}/rows.jsonl?row={n}", KEEP) for n in range(1, 4)),
        *((doc(1000 + n), f"{base}/many.jsonl?row={n}", KEEP) for n in range(1, 60)),
        (None, f"{base}/empty.pdf", Verdict(False, "file_empty", detail="0 bytes")),
    ]
    crawl(house, OWN, own, request.param)
    for name in ("deep/a book.txt", "rows.jsonl", "many.jsonl", "empty.pdf", "never.txt"):
        path = root.parent / "inbox" / OWN / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text")
    return house


@pytest.fixture(autouse=True)
def settled(house, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(house.store.root))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", RECIPE)


def test_a_copy_of_an_earlier_crawl_names_the_kept_page_by_its_address_and_figures():
    said = run_explain(url("copied"))
    assert (
        f"{THIRD}: dropped at deduped_shards by the rule near_duplicate (0.91 against 0.8); "
        f"the content lives on in {url('kept')} ({doc(1)})"
    ) in said
    found = json.loads(run_explain(url("copied"), as_json=True))
    (story,) = found["captures"]
    assert (story["crawl"], story["doc_id"], story["related_url"]) == (THIRD, doc(COPY), url("kept"))
    last = story["stages"][-1]
    assert [last[name] for name in ("stage", "kept", "rule", "value", "threshold", "related_doc")] == [
        "deduped_shards",
        False,
        "near_duplicate",
        0.91,
        0.8,
        doc(1),
    ]
    assert [stage["stage"] for stage in story["stages"]] == ["raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards"]


def test_a_redirect_is_followed_to_the_page_it_led_to():
    said = run_explain(url("old"))
    assert f"{THIRD}: redirected (301) to {url('older?x=1')}" in said
    assert f"{THIRD}: redirected (308) to {url('copied')}" in said
    assert said.index("redirected (301)") < said.index("redirected (308)") < said.index("dropped at deduped_shards")
    assert said.count("It led to:") == 2
    found = json.loads(run_explain(url("old"), as_json=True))
    assert found["led_to"][0]["led_to"][0]["captures"][0]["doc_id"] == doc(COPY)


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("ring?n=1", (url("ring?n=1"), "told above")),
        ("away", ("https://elsewhere.example/page", "no crawl met 'https://elsewhere.example/page'; ")),
        ("odd", ("mailto:someone", "no crawl met 'mailto:someone'; ")),
    ],
)
def test_redirects_that_lead_round_or_away(name, end):
    said = run_explain(url(name))
    assert said.splitlines()[-3:-1] == ["It led to:", end[0]]
    assert said.splitlines()[-1].startswith(f"  {end[1]}")
    assert "No model" not in said  # nothing was stored that a model could have read
    assert json.loads(run_explain(url(name), as_json=True))["led_to"]


def test_each_line_of_a_file_is_a_row_of_a_table(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text(f"# of the auditor\n{url('short')}\n\n  {doc(14)}\n{url('old')}\nhttps://nowhere.example/x\n")
    lines = run_explain(str(path)).splitlines()
    assert lines[0].split() == ["query", "crawl", "fate"]
    assert [line.split()[:2] for line in lines[1:4]] == [[url("short"), FIRST], [doc(14), "wiki-2026-12"], [url("old"), THIRD]]
    assert lines[1].endswith("dropped at cleaned_corpus by the rule gopher_word_count (31 against 50)")
    assert lines[3].endswith(f"redirected (301) to {url('older?x=1')}")
    assert lines[4].split("  ")[0] == "https://nowhere.example/x" and "no crawl met" in lines[4]
    answers = json.loads(run_explain(str(path), as_json=True))
    assert [answer["query"] for answer in answers] == [url("short"), doc(14), url("old"), "https://nowhere.example/x"]
    assert answers[3]["error"].startswith("no crawl met") and "captures" not in answers[3]


def test_an_unknown_address_is_a_sentence_and_exit_code_2(capsys, monkeypatch):
    for more in ([], ["--json"]):
        monkeypatch.setattr("sys.argv", ["llm-assets", "explain", url("kepd"), *more])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert said.err.startswith(f"llm-assets: no crawl met '{url('kepd')}'; the nearest: {url('kept')}, ") and said.out == ""


def test_an_address_longer_than_any_file_name_is_no_crash():
    with pytest.raises(InputError, match="no crawl met"):
        run_explain("https://site.example/" + "x" * 5_000)


def test_capitals_in_a_document_id_do_not_matter():
    assert run_explain(doc(14).upper()) == run_explain(doc(14))


def test_a_file_of_ones_own_is_told_by_its_place_in_the_crawls_folder(house):
    inbox = house.store.root.parent / "inbox" / OWN
    said = run_explain(str(inbox / "deep/a book.txt"))
    assert said.startswith(f"https://{OWN}.invalid/deep/a%20book.txt\n") and f"document {doc(BOOK)}" in said
    assert f"{OWN}: dropped at raw_crawl by the rule file_empty\n" in run_explain(str(inbox / "empty.pdf"))
    with pytest.raises(InputError, match=f"no crawl met 'https://{OWN}.invalid/never.txt'"):
        run_explain(str(inbox / "never.txt"))


def test_a_file_of_rows_tells_of_each_unless_they_are_many(house):
    inbox = house.store.root.parent / "inbox" / OWN
    found = json.loads(run_explain(str(inbox / "rows.jsonl"), as_json=True))
    assert [story["doc_id"] for story in found["captures"]] == [doc(ROWS + n) for n in range(1, 4)]
    with pytest.raises(InputError, match=r"many.jsonl gave 59 documents; ask for one of them: .*\?row=1, "):
        run_explain(str(inbox / "many.jsonl"))
    assert f"document {doc(1007)}" in run_explain(f"https://{OWN}.invalid/many.jsonl?row=7")


def test_a_document_id_is_found_when_its_raw_crawl_is_gone(tmp_path, monkeypatch):
    house = Audited(tmp_path / "store")
    shutil.rmtree(house.store.root / "raw_crawl" / FIRST)
    monkeypatch.setenv("LLM_ASSETS_STORE", str(house.store.root))
    assert f"{FIRST}: dropped at cleaned_corpus by the rule gopher_word_count (31 against 50)" in run_explain(doc(2))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\x00", "is no UTF-8 text"), (b"# nothing\n\n", "holds 0 URLs"), (b"a\n" * 100_001, "holds 100,001 URLs")],
)
def test_a_file_that_is_no_list_is_a_sentence(tmp_path, content, said):
    path = tmp_path / "list"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        queries_in(path)
