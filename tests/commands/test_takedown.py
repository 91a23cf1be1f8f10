"""``llm-assets takedown`` as it is typed: plans in words and JSON, absent things, receipts, a text to look for."""

import json

import pytest
from typer.testing import CliRunner

from llm_assets.cli import app
from llm_assets.core.takedowns import Request, Takedowns
from llm_assets.stages.audit import receipts
from tests.support.audited import FIRST, RECIPE, SECOND, Audited, doc, url


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", RECIPE)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return Audited(tmp_path / "store")


def said(*arguments):
    done = CliRunner().invoke(app, ["takedown", *arguments, "--recipe", RECIPE])
    return done.exit_code, done.stdout, done.stderr


def files(house):
    return {path: path.stat().st_mtime_ns for path in house.store.root.rglob("*")}


def test_a_plan_in_words_and_as_json_writes_nothing(house):
    before = files(house)
    code, words, _ = said("plan", "--url", url("kept"))
    assert code == 0
    assert words.startswith(f"2 documents: 1 in {FIRST}, 1 in {SECOND}\n")
    assert "files of your own" not in words
    for line in (
        f"  {FIRST}: holds documents that are taken down",
        f"  {SECOND}: holds revisits of them",
        "1 tokens:",
        f"come back, since they were dropped as duplicates of these (name them too, or --sha256):\n  {FIRST}  {url('copy')}",
        "models that read them: their weights stay, and are named as affected:\n  base_model/all/",
        "made anew:\n",
        "versions that go with the next 'llm-assets gc':\n",
    ):
        assert line in words
    code, text, _ = said("plan", "--url", url("kept"), "--json")
    plan = json.loads(text)
    assert code == 0 and set(plan["documents"]) == {doc(1), doc(11)}
    assert list(plan["crawls"]) == [FIRST, SECOND] and plan["rebuilt"]["certain"]
    assert files(house) == before


def test_a_content_takes_its_copies_along(house):
    plan = json.loads(said("plan", "--sha256", "00" * 32, "--json")[1])
    assert plan["documents"] == {}
    plan = json.loads(said("plan", "--domain", "site.example", "--json")[1])
    assert len(plan["documents"]) == 10 and plan["returning"] == plan["copies"] == []


def test_one_capture_is_told_to_be_one(house):
    _, words, _ = said("plan", "--doc-id", doc(17))
    assert "--doc-id names one capture: a later crawl may fetch its address again" in words
    assert "the same content stays at:" in words


def test_nothing_matches_and_nothing_is_asked(house):
    code, out, err = said("plan", "--domain", "other.example")
    assert (code, out) == (1, "")
    assert f"no crawl holds a document of host other.example; looked through {FIRST}, {SECOND}" in err
    assert said("plan")[0] != 0 and said("apply", "--url", "no address")[0] != 0
    assert said("apply", "--url", url("kept"))[0] != 0  # nobody asks
    assert not (house.store.root / "takedowns").exists()


def receipt(house):
    request = Request(
        "20261101T000000Z-1", RECIPE, "me", "2026-11-01", "", {"url": [url("kept")]}, affected={"base_model/all/x": {}}
    )
    Takedowns(house.store.root).begin(request)
    told = {"id": request.id, "asked": request.asked, "documents": {doc(1): {}}, "must_go": [house.of("cleaned_corpus")[0].ref]}
    signed = receipts.sign({**told, "affected_models": {}}, receipts.private_key(house.store.root))
    path = house.store.root / "takedowns" / request.id / "receipt.json"
    path.write_text(json.dumps(signed))
    return path


def test_a_receipt_that_the_store_does_not_bear_out(house, tmp_path):
    path = receipt(house)
    for named in (str(path), path.parent.name):
        code, text, _ = said("verify", named, "--json")
        found = {row["what"]: row["holds"] for row in json.loads(text)}
        assert code == 1 and found == {
            "signature": True, "tombstones": False, "crawls": False, "data": False, "superseded versions": False, "models": True
        }  # fmt: skip
    other = tmp_path / "other"
    receipts.private_key(other)
    code, text, _ = said("verify", str(path), "--public-key", str(other / "takedowns" / "public_key.pem"))
    assert code == 1 and text.startswith("NO   signature")
    assert said("verify", "nothing")[0] != 0


@pytest.mark.parametrize("bad", ["no key", ""])
def test_a_key_that_is_none(house, tmp_path, monkeypatch, bad):
    (tmp_path / "key.pem").write_text(bad)
    monkeypatch.setenv(receipts.VARIABLE, str(tmp_path / "key.pem"))
    with pytest.raises(ValueError, match="LLM_ASSETS_SIGNING_KEY: no signing key can be read there"):
        receipts.private_key(house.store.root)


def test_a_text_is_looked_for(house, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("a sentence of eight words that nobody had written before")
    assert said("search", str(text))[:2] == (0, "nothing in the store holds it\n")
    (house.store.root / "notes.log").write_text("INFO: A sentence of eight words that nobody had written, before.")
    code, out, _ = said("search", str(text), "--json")
    assert code == 1 and [row["file"] for row in json.loads(out)] == ["notes.log"]
    text.write_text("four words are few")
    assert said("search", str(text))[0] != 0
