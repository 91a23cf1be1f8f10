"""The fate of a page, told from the ledgers, mixes and manifests of a small store."""

import shutil

import polars as pl
import pytest

from llm_assets.core.artefact import Inputs
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.core.ledger import LEDGER_FILE, Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.takedowns import Takedowns
from llm_assets.lm.data import TokenStream
from llm_assets.stages.audit.explain import explain, tell
from llm_assets.stages.audit.lookup import current_inputs, look_up, near_urls
from llm_assets.stages.audit.reading import training_rows
from tests.support.audited import FIRST, RECIPE, SECOND, Audited, doc, url


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    return Audited(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def inputs(house):
    return current_inputs(house.store)


def fates(house, query):
    """crawl → its sentence."""
    lines = explain(house.store.root, RECIPE, query).splitlines()
    return {line.split(": ")[0]: line.partition(": ")[2] for line in lines if line.startswith("wiki-")}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("new", {SECOND: "in the training mix"}),
        ("held", {FIRST: "held out for validation"}),
        ("short", {FIRST: "dropped at cleaned_corpus by the rule gopher_word_count (31 against 50)"}),
        (
            "copy",
            {
                FIRST: "dropped at deduped_shards by the rule near_duplicate (0.97 against 0.8); "
                f"the content lives on in {url('kept')} ({doc(1)})"
            },
        ),
        ("changed", {FIRST: "replaced by a newer capture", SECOND: "in the training mix"}),
        (
            "kept",
            {
                FIRST: "in the training mix",
                SECOND: f"unchanged since {url('kept')} ({doc(1)}), which holds the content",
            },
        ),
        ("private", dict.fromkeys((FIRST, SECOND), "dropped at raw_crawl by the rule robots")),
        ("flag.png", {FIRST: "kept by raw_crawl; no later stage has judged it"}),
    ],
)
def test_each_page_has_its_sentence_in_each_crawl(house, name, expected):
    assert fates(house, url(name)) == expected


def test_images_and_replaced_pages_before_a_mix_is_made(tmp_path):
    house = Audited(tmp_path)
    house.ledger("image_dataset", FIRST, {"flag.png": 8}, {}, "raw_crawl")
    shutil.rmtree(tmp_path / "training_mix")
    assert fates(house, url("flag.png")) == {FIRST: "kept as an image"}
    assert fates(house, url("changed")) == {
        FIRST: f"replaced by {url('changed')} ({doc(14)})",
        SECOND: "kept by tokenized_dataset; no later stage has judged it",
    }


def test_what_is_made_of_a_page_later_does_not_change_its_fate(tmp_path):
    """A page in the mix stays in the mix, whether or not questions are asked about it; the lines of both stand below."""
    house = Audited(tmp_path)
    rows = [
        ledger_row(FIRST, "instruction_dataset", doc(1), url("kept"), Verdict(True, detail="describe; train")),
        ledger_row(FIRST, "instruction_dataset", doc(6), url("held"), Verdict(False, "no_question")),
    ]
    house.publish("instruction_dataset", "all", lambda files: write_ledger(files, ledger_frame(rows)))
    assert fates(house, url("held")) == {FIRST: "held out for validation"}
    assert fates(house, url("kept"))[FIRST] == "in the training mix"
    assert "  instruction_dataset  kept; describe; train" in explain(house.store.root, RECIPE, url("kept"))
    assert "  instruction_dataset  dropped: no_question" in explain(house.store.root, RECIPE, url("held"))


def test_another_spelling_of_the_address_finds_the_page(house):
    assert fates(house, "HTTPS://site.example:443/kept?utm_source=x#top") == fates(house, url("kept"))


def test_a_document_id_finds_that_capture_only(house):
    assert list(fates(house, doc(14))) == [SECOND]
    assert "document " + doc(14) in explain(house.store.root, RECIPE, doc(14))


def test_the_first_digits_of_a_document_id_are_enough_unless_others_share_them(house):
    with pytest.raises(InputError, match=r"00000000 begins 10 document ids: .*; give more digits"):
        explain(house.store.root, RECIPE, "00000000")
    assert list(fates(house, doc(17)[:-1])) == [SECOND]


def test_the_stages_stand_in_order_with_the_tokens(house):
    lines = explain(house.store.root, RECIPE, url("changed")).splitlines()
    stages = [line.split()[0] for line in lines if line.startswith("  ") and ("kept" in line or "dropped" in line)]
    line = ["raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "tokenized_dataset", "training_mix"]
    assert stages == 2 * line
    assert "  tokens 1 to 4 (4) of tokens-00000.npy in tokenized_dataset/wiki-2026-11/toke121" in lines
    assert any(f"dropped: superseded; see {url('changed')} ({doc(14)})" in line for line in lines)


def test_the_models_that_read_it(house, inputs):
    found = look_up(inputs, url("kept"))
    (use,) = found.uses
    mix, base = house.store.current("training_mix").ref, house.store.current("base_model").ref
    assert (use.model, use.doc_id, use.data, use.rows, use.readings) == (base, doc(1), mix, 1, 2)
    assert f"Models trained on it:\n  {base}: 1 row of {mix}, 2 readings a pass, read in steps " in tell(found)
    assert f" and {len(use.steps) - 10} more (counted from 0)" in tell(found)


@pytest.mark.parametrize("steps", [1, 2, 3, 9])
def test_the_steps_are_those_whose_batches_hold_the_document(tmp_path, steps):
    """Against the batches themselves, each way: no step too many, none too few, none after the weights that were kept."""
    house = Audited(tmp_path)
    base = house.base(steps=steps, identity="short")
    order = read_json(base.files / "data_order.json")
    mix = house.store.current("training_mix")
    stream = TokenStream(mix, house.inputs(), "train", order["sequence_length"], order["batch_rows"], order["seed"])
    held = [{span.doc_id for span in stream.documents(step)} for step in range(steps)]
    for number, name in ((1, "kept"), (14, "changed"), (17, "new")):
        (use,) = [use for use in look_up(current_inputs(house.store), url(name)).uses if use.doc_id == doc(number)]
        assert use.steps == tuple(step for step in range(steps) if doc(number) in held[step])
        assert use.read == any(doc(number) in docs for docs in held)


def test_a_document_that_the_training_never_came_to_was_not_trained_on(tmp_path):
    house = Audited(tmp_path)
    house.base(steps=1, identity="one", length=1, rows=1)  # its one window of two tokens holds two documents at most
    inputs = current_inputs(house.store)
    read = {name: any(use.read for use in look_up(inputs, url(name)).uses) for name in ("kept", "changed", "new")}
    unread = [name for name, was_read in read.items() if not was_read]
    assert unread
    text = explain(house.store.root, RECIPE, url(unread[0]))
    assert "\nNo model was trained on it.\nIn the data, but the training ended before it came to it:\n  base_model" in text


@pytest.mark.parametrize("gone", ["order", "mix"])
def test_steps_that_can_no_longer_be_told(tmp_path, gone):
    house = Audited(tmp_path)
    if gone == "order":
        (house.store.current("base_model").files / "data_order.json").unlink()
    else:
        mix = house.store.current("training_mix")
        table = training_rows(mix.files, mix.ref)
        house.publish("training_mix", "all", lambda files: house.copy("training_mix", "all", files), identity="other")
        Takedowns(tmp_path).remember("first", mix.ref, table)
        shutil.rmtree(mix.files)
    text = explain(house.store.root, RECIPE, url("kept"))
    assert "Models trained on it:\n  base_model" in text
    assert "2 readings a pass" in text
    assert "steps unknown: the model wrote no order down, or its mix is not in the store" in text


def test_steps_are_told_without_the_token_shards(tmp_path):
    """Shards hold text, which may have been taken down; the order of the data does not."""
    house = Audited(tmp_path)
    before = explain(house.store.root, RECIPE, url("kept"))
    house.publish("tokenized_dataset", FIRST, lambda files: house.copy("tokenized_dataset", FIRST, files), identity="other")
    shutil.rmtree(tmp_path / "tokenized_dataset" / FIRST / "toke121")
    after = explain(house.store.root, RECIPE, url("kept"))
    assert [line for line in before.splitlines() if "read in step" in line] == [
        line for line in after.splitlines() if "read in step" in line
    ]


@pytest.mark.parametrize("name", ["held", "short", "copy", "french", "private"])
def test_what_was_held_out_or_dropped_was_not_trained_on(house, name):
    assert explain(house.store.root, RECIPE, url(name)).endswith("\nNo model was trained on it.")


def test_a_page_that_was_taken_down_is_not_said_to_be_read_by_none(tmp_path):
    house = Audited(tmp_path)
    row = ledger_row(FIRST, "raw_crawl", None, url("gone"), Verdict(False, "tombstone", detail=f"url: {url('gone')}"))
    empty = pl.read_parquet(house.store.current("raw_crawl", FIRST).file("index.parquet")).head(0)

    def write(files):
        write_ledger(files, ledger_frame([row]))
        empty.write_parquet(files / "index.parquet")

    house.publish("raw_crawl", FIRST, write, identity="rewritten")
    text = explain(house.store.root, RECIPE, url("gone"))
    assert "dropped at raw_crawl by the rule tombstone" in text
    assert text.endswith("\nWhich models had read what was taken down is in its receipt.")


def test_models_reach_the_document_through_others_even_when_those_are_no_longer_current(tmp_path):
    house = Audited(tmp_path)
    mix, first = house.store.current("training_mix"), house.store.current("base_model")
    rows = pl.DataFrame({"id": ["1", "2", "3"], "doc_id": [doc(1), doc(1), doc(17)]})
    data = house.publish("instruction_dataset", "all", lambda files: rows.write_parquet(files / "train.parquet"))
    sft = house.publish("sft_model", "all", lambda files: None, [first, data], identity="tuned")
    house.publish("rlhf_model", "all", lambda files: None, [sft], identity="aligned")
    house.publish("base_model", "all", lambda files: None, [], identity="newer")
    uses = {(u.model, u.data): u for u in look_up(current_inputs(house.store), url("kept")).uses}
    assert set(uses) == {
        ("sft_model/all/tuned", data.ref),
        ("sft_model/all/tuned", mix.ref),
        ("rlhf_model/all/aligned", data.ref),
        ("rlhf_model/all/aligned", mix.ref),
    }
    assert uses["sft_model/all/tuned", data.ref].rows == 2
    assert uses["rlhf_model/all/aligned", mix.ref].through == (sft.ref, first.ref)
    text = explain(house.store.root, RECIPE, url("kept"))
    assert f"rlhf_model/all/aligned: 1 row of {mix.ref}, 2 readings a pass, read in steps " in text
    assert f"(counted from 0), through {sft.ref} and {first.ref}" in text


@pytest.mark.parametrize(
    "query", ["http://site.example/Kept/", "https://www.site.example/kept/index.html", "kept", "site.example/kepd"]
)
def test_an_unknown_address_names_the_nearest(house, query):
    with pytest.raises(InputError, match=rf"no crawl met '{query}'; the nearest: {url('kept')}"):
        explain(house.store.root, RECIPE, query)


def test_an_address_like_no_other(house):
    with pytest.raises(InputError, match="no crawl met 'ftp://elsewhere/'; 9 other URLs are known"):
        explain(house.store.root, RECIPE, "ftp://elsewhere/")


def test_without_a_crawl(tmp_path):
    with pytest.raises(InputError, match="materialise raw_crawl first"):
        explain(tmp_path, RECIPE, "https://site.example/")


def test_near_urls_prefer_the_same_page_then_the_words_they_share():
    urls = [f"https://a.example/en/page-{n}" for n in range(3000)] + [
        "https://b.example/fr/the-great-wall",
        "https://b.example/",
    ]
    urls = pl.Series(urls)
    assert near_urls("http://b.example", urls)[0] == "https://b.example/"
    assert near_urls("https://a.example/fr/great-wall", urls)[0] == "https://b.example/fr/the-great-wall"
    assert near_urls("page-2999", urls) == ["https://a.example/en/page-2999"]


def test_what_servers_say_cannot_move_the_cursor(tmp_path):
    files = tmp_path / FIRST
    files.mkdir()
    hostile = "https://site.example/\x1b[2J\r\nwiki: kept"
    verdict = Verdict(False, "redirect", 302, detail="\x1b]0;title\x07" + "x" * 1000)
    ledger_frame([ledger_row(FIRST, "raw_crawl", None, hostile, verdict)]).write_parquet(files / LEDGER_FILE)
    house = Audited(tmp_path / "other")
    (house.store.current("raw_crawl", FIRST).files / "index.parquet").rename(files / "index.parquet")
    text = tell(look_up(Inputs.of({"raw_crawl": [files]}), hostile))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert max(len(line) for line in text.splitlines()) < 400
    assert text.splitlines()[0] == "https://site.example/ [2J wiki: kept"
