"""From documents to what was made of them and back: both ways say the same."""

import polars as pl
import pytest

from llm_assets.core.errors import InputError
from llm_assets.stages.audit import selection, trace
from llm_assets.stages.audit.lookup import current_inputs
from tests.support.audited import FIRST, SECOND, STEPS, Audited, doc, url


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = Audited(tmp_path_factory.mktemp("traced"))
    rows = pl.DataFrame({"id": ["a", "b"], "doc_id": [doc(1), doc(17)], "task": ["topic", "describe"]})
    data = house.publish("instruction_dataset", "all", lambda files: rows.write_parquet(files / "train.parquet"))
    pairs = pl.DataFrame({"id": ["p"], "doc_id": [doc(1)], "kind": ["same_topic"], "rejected_doc_id": [doc(17)]})
    wrong = house.publish("preference_dataset", "all", lambda files: pairs.write_parquet(files / "train.parquet"))
    steps = pl.DataFrame({"step": [1, 1, 2], "id": ["a", "b", "a"], "doc_id": [doc(1), doc(17), doc(1)]})
    base = house.store.current("base_model")
    sft = house.publish(
        "sft_model", "all", lambda files: steps.write_parquet(files / "steps.parquet"), [base, data], metrics={"best_step": 1},
        identity="tuned",
    )  # fmt: skip
    judged = pl.DataFrame({"step": [1], "id": ["p"], "doc_id": [doc(1)], "rejected_doc_id": [doc(17)]})
    reward = house.publish(
        "reward_model", "all", lambda files: judged.write_parquet(files / "steps.parquet"), [sft, wrong], metrics={"steps": 1}
    )
    house.publish("eval_report", "all", lambda files: None, [base, sft, reward])
    return house


@pytest.fixture(scope="module")
def inputs(house):
    found = current_inputs(house.store)
    found.artefacts["eval_report"] = [house.store.current("eval_report")]
    return found


def captured(inputs, **asked):
    wanted = selection.asked((kind, value) for kind, value in asked.items())
    return selection.captures(inputs.many("raw_crawl"), selection.stones_of(wanted))


@pytest.mark.parametrize(
    ("kind", "value", "documents"),
    [
        ("url", url("kept") + "?utm_source=x#part", {1, 11}),
        ("url", url("new"), {17}),
        ("doc_id", doc(1), {1, 11}),  # the revisit has no content but this
        ("doc_id", doc(11), {11}),
        ("host", "SITE.example.", {1, 2, 3, 4, 5, 6, 8, 11, 14, 17}),
        ("host", "example", {1, 2, 3, 4, 5, 6, 8, 11, 14, 17}),
        ("host", "te.example", set()),
        ("sha256", "00" * 32, set()),
        ("url", url("kep"), set()),
    ],
)
def test_what_a_question_means(inputs, kind, value, documents):
    assert set(captured(inputs, **{kind: value})["doc_id"]) == {doc(number) for number in documents}


@pytest.mark.parametrize(
    ("kind", "value"), [("url", "no address"), ("doc_id", "12"), ("sha256", "zz"), ("host", "a b"), ("host", "")]
)
def test_a_value_that_nothing_could_have_is_refused(kind, value):
    with pytest.raises(InputError):
        selection.asked([(kind, value)])


def test_all_that_was_made_of_a_page(house, inputs):
    found = trace.forward(inputs, captured(inputs, url=url("kept")))
    assert [(held.ref.split("/")[0], held.documents) for held in found.shards] == [("cleaned_corpus", 1), ("deduped_shards", 1)]
    assert [(place.doc_id, place.start, place.length) for place in found.tokens] == [(doc(1), 0, 1)]
    assert {(pair.id, pair.kind) for pair in found.pairs} == {("a", "topic"), ("p", "same_topic")}
    steps = {(use.model.split("/")[0], use.data.split("/")[0], len(use.through)): use.steps for use in found.uses}
    assert steps["sft_model", "instruction_dataset", 0] == (1,)  # step 2 came after the weights that were kept
    assert steps["reward_model", "preference_dataset", 0] == (1,)
    assert steps["reward_model", "instruction_dataset", 1] == (1,)
    assert steps["base_model", "training_mix", 0]
    assert found.made["eval_report/all/" + house.store.current("eval_report").identity]


def test_the_page_of_a_wrong_answer_is_found_too(inputs):
    found = trace.forward(inputs, captured(inputs, doc_id=doc(17)))
    assert ("p", "same_topic, the wrong answer") in {(pair.id, pair.kind) for pair in found.pairs}
    assert any(use.model.startswith("reward_model") and use.steps == (1,) for use in found.uses if not use.through)


def test_both_ways_agree(house, inputs):
    model = trace.model_named(house.store, "base_model")
    pieces, note = trace.steps_of(inputs, model, 0, STEPS - 2)
    assert note == ""
    by_document = {}
    for piece in pieces:
        by_document.setdefault(piece.doc_id, set()).add(piece.step)
    for document, steps in by_document.items():
        uses = trace.forward(inputs, captured(inputs, doc_id=document)).uses
        mine = next(use for use in uses if use.model == model.ref and use.doc_id == document)
        assert {step for step in mine.steps if step < STEPS - 1} == steps
    for piece in pieces[:40]:
        found = trace.at_token(inputs, piece.ref.split("/")[1], piece.shard, piece.place)
        assert (found["doc_id"], found["token_of_document"], found["url"]) == (piece.doc_id, piece.start, piece.url)


def test_steps_of_later_trainings_and_what_left_no_trace(house, inputs):
    rows, note = trace.steps_of(inputs, trace.model_named(house.store, "sft_model"), 1, 2)
    assert [(row.step, row.id, row.url) for row in rows] == [(1, "a", url("kept")), (1, "b", url("new")), (2, "a", url("kept"))]
    assert "after step 1" in note
    rows, note = trace.steps_of(inputs, trace.model_named(house.store, "reward_model"), 1, 1)
    assert rows[0].rejected_doc_id == doc(17) and note == ""


@pytest.mark.parametrize(
    ("name", "first", "last", "said"),
    [
        ("base_model", 99, 99, "the steps 0 to 98"),
        ("base_model", 5, 4, "not 5-4"),
        ("sft_model", 0, 0, "the steps 1 to 2"),
        ("eval_report", 0, 0, "no model that is trained"),
        ("rlhf_model", 0, 0, "not in the store"),
        ("sft_model/all/sft_3l", 1, 1, "wrote no data order"),
    ],
)
def test_errors_say_what_there_is(house, inputs, name, first, last, said):
    with pytest.raises(InputError, match=said):
        trace.steps_of(inputs, trace.model_named(house.store, name), first, last)


def test_a_token_that_is_not_there(inputs):
    with pytest.raises(InputError, match=f"no tokenized_dataset of the crawl 'x'; there are: {FIRST}, {SECOND}"):
        trace.at_token(inputs, "x", 0, 0)
    with pytest.raises(InputError, match=r"its shards and tokens: 0 \(0 to 30\)"):
        trace.at_token(inputs, SECOND, 0, 31)
