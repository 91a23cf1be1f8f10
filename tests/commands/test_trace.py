"""``llm-assets trace`` as it is typed."""

import json

import pytest

from llm_assets.cli import main
from llm_assets.commands.trace import run_trace
from llm_assets.core.errors import InputError
from tests.support.audited import FIRST, RECIPE, Audited, doc, url


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return Audited(tmp_path_factory.mktemp("typed") / "store")


@pytest.fixture(autouse=True)
def environment(house, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(house.store.root))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", RECIPE)


def ask(what="", model="", step="", shard="", token=-1, as_json=False):
    return run_trace(what, model, step, shard, token, as_json)


def test_a_page_as_text_and_as_json():
    text = ask(url("kept"))
    assert f"{FIRST}  {doc(1)}  response  {url('kept')}" in text
    assert "tokens in:\n  tokenized_dataset/wiki-2026-11" in text
    assert "read by:\n  base_model/all/" in text
    found = json.loads(ask(url("kept"), as_json=True))
    assert found["captures"][0]["doc_id"] == doc(1)
    assert {use["doc_id"] for use in found["uses"]} == {doc(1)}


def test_a_host_and_the_first_digits_of_an_id():
    assert ask("site.example").startswith("10 documents:")
    assert ask(doc(17)[:31] + "1").startswith("1 documents:")


def test_back_from_a_step_and_from_a_token():
    assert "pieces of" in ask(model="base_model", step="0-3")
    found = json.loads(ask(model="base_model", step="2", as_json=True))
    assert {piece["step"] for piece in found["read"]} == {2}
    assert ask(shard=f"{FIRST}/0", token=0).startswith(f"{url('kept')}\n  document {doc(1)}, token 0 of its 1")
    assert json.loads(ask(shard=f"{FIRST}/0", token=0, as_json=True))["doc_id"] == doc(1)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "ask one thing"),
        ({"what": url("kept"), "model": "base_model"}, "ask one thing"),
        ({"model": "base_model", "step": "last"}, "give a number"),
        ({"shard": "0", "token": 1}, "--shard is CRAWL/NUMBER"),
        ({"shard": f"{FIRST}/0"}, "--shard is CRAWL/NUMBER"),
        ({"what": "other.example"}, f"no crawl holds a document of the host other.example; looked through {FIRST}"),
        ({"what": "ab" * 32}, "of the sha256"),
        ({"what": url("private")}, "nothing of .* is stored"),
        ({"what": url("kapt")}, "the nearest"),
    ],
)
def test_errors_say_what_to_ask(asked, said):
    with pytest.raises(InputError, match=said):
        ask(**asked)


def test_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["llm-assets", "trace", url("kept"), "--recipe", RECIPE])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert doc(1) in capsys.readouterr().out
