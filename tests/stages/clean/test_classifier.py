"""A classifier of one's own labels: trained, measured on texts held out, saved, and asked by the filter."""

import hashlib
import json

import polars as pl
import pytest

from llm_assets.core import embedded
from llm_assets.core.errors import InputError, RecipeError
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.stages.clean import linear
from llm_assets.stages.clean.filters import classifier, measured
from llm_assets.stages.clean.filters.base import judge
from llm_assets.stages.clean.language import model_file


@pytest.fixture(scope="module")
def labels():
    """English introductions on two subjects."""
    articles = [article for article in embedded.articles() if article.lang == "en"]
    topics = sorted({article.topic for article in articles}, key=lambda t: -sum(a.topic == t for a in articles))[:2]
    rows = [(article.text, article.topic.replace(" ", "_")) for article in articles if article.topic in topics]
    return pl.DataFrame(rows[::4], schema={"text": pl.String, "label": pl.String}, orient="row").unique(
        "text", maintain_order=True
    )


@pytest.fixture(scope="module")
def trained(labels):
    return linear.train(labels, bits=16)


def judged(texts, **config):
    """(rules, values) of a recipe's classifier."""
    config = CleanedCorpusConfig(classifier={"enabled": True, **config})
    frame = measured(pl.DataFrame({"text": texts, "lang": ["en"] * len(texts)}), config)
    found = judge(frame, classifier.rules(config.classifier))
    return found["rule"].to_list(), found["value"].to_list()


def test_it_learns_and_says_how_well_on_texts_that_did_not_train(labels, trained):
    model, told = trained
    held = told["held_out"]
    assert 0.15 < held["texts"] / labels.height < 0.25
    assert held["accuracy"] > 0.85
    # The figures are those of a plain count over the held-out texts.
    frame = labels.filter(pl.Series([hashlib.blake2b(t.encode(), digest_size=4).digest()[0] % 5 == 0 for t in labels["text"]]))
    assert held["texts"] == frame.height
    chosen = [model.labels[place] for place in model.scores(frame["text"]).argmax(axis=1)]
    for label in model.labels:
        hits = sum(a == b == label for a, b in zip(chosen, frame["label"], strict=True))
        assert held[label]["recall"] == pytest.approx(hits / frame["label"].to_list().count(label), abs=1e-4)
        assert held[label]["precision"] == pytest.approx(hits / chosen.count(label), abs=1e-4)
    shuffled = labels.with_columns(label=labels["label"].sample(fraction=1, shuffle=True, seed=3))
    assert linear.train(shuffled, bits=16)[1]["held_out"]["accuracy"] < 0.65  # nothing leaks from the texts that train


def test_equal_labels_give_an_equal_file_and_it_reads_as_it_was(labels, trained, tmp_path):
    digests = [linear.train(labels, bits=16)[0].save(tmp_path / f"{n}.safetensors", trained[1]) for n in (1, 2)]
    assert digests[0] == digests[1] == hashlib.sha256((tmp_path / "1.safetensors").read_bytes()).hexdigest()
    again = linear.load(tmp_path / "1.safetensors")
    texts = labels["text"][:50]
    assert (again.scores(texts) == trained[0].scores(texts)).all()
    assert linear.train(labels, bits=16, seed=2)[0].save(tmp_path / "3.safetensors", {}) != digests[0]


def test_the_filter_holds_the_score_against_the_threshold(labels, trained, tmp_path):
    path = tmp_path / "mine.safetensors"
    digest = trained[0].save(path, trained[1])
    wanted = trained[0].labels[0]
    texts = labels["text"][:200].to_list()
    scores = trained[0].scores(pl.Series(texts))[:, 0]
    known = {"path": str(path), "sha256": digest, "label": wanted, "threshold": 0.6}
    rules, values = judged(texts, **known)
    assert rules == ["kept" if score >= 0.6 else f"classifier_{wanted}" for score in scores]
    assert {"kept", f"classifier_{wanted}"} == set(rules)
    assert all(value == pytest.approx(float(score)) for value, score in zip(values, scores, strict=True) if value is not None)
    assert judged(texts, **known, keep="at_most")[0] == ["kept" if s <= 0.6 else f"classifier_{wanted}" for s in scores]


def test_a_fasttext_model_can_stand_in_its_place():
    path = model_file()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    texts = ["The old bridge stands in the middle of the town.", "Le vieux pont se trouve au milieu de la ville.", ""]
    rules, _ = judged(texts, path=str(path), sha256=digest, label="en", threshold=0.5)
    assert rules == ["kept", "classifier_en", "classifier_en"]
    with pytest.raises(RecipeError, match="no label 'xx'"):
        judged(texts, path=str(path), sha256=digest, label="xx")


def test_another_file_or_label_is_refused(trained, tmp_path):
    path = tmp_path / "mine.safetensors"
    digest = trained[0].save(path, trained[1])
    with pytest.raises(RecipeError, match="has no label 'absent'"):
        judged(["x"], path=str(path), sha256=digest, label="absent")
    label = trained[0].labels[0]
    text = "The old bridge of the town was built of stone."
    before = judged([text], path=str(path), sha256=digest, label=label, threshold=1.0)[1]
    other = linear.Linear(trained[0].labels, -trained[0].weights, -trained[0].bias)  # another model under the same name
    turned = judged([text], path=str(path), sha256=other.save(path, {}), label=label, threshold=1.0)[1]
    assert turned[0] == pytest.approx(1 - before[0], abs=1e-5)
    with pytest.raises(RecipeError, match=r"classifier.sha256 is [0-9a-f]{64}, but .* has [0-9a-f]{64}"):
        judged(["x"], path=str(path), sha256=digest, label=label)
    with pytest.raises(ValueError, match="needs path, sha256 and label"):
        CleanedCorpusConfig(classifier={"enabled": True})
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"no tensors")
    with pytest.raises(InputError, match="is no safetensors file"):
        linear.load(other)


def test_labels_are_read_in_both_forms_and_mistakes_are_named(tmp_path):
    path = tmp_path / "labels"

    def read(*lines):
        path.write_text("\n".join(lines), "utf-8")
        return linear.read_labels(path).rows()

    row = json.dumps({"text": "a page\u2028of two lines", "label": "good"}, ensure_ascii=False)
    assert read(row, "", "__label__bad buy now", row) == [("a page\u2028of two lines", "good"), ("buy now", "bad")]
    for line, message in {
        "{": "line 2: neither JSON",
        '{"text": "x"}': 'line 2: {"text": …, "label": …} is needed',
        "[1]": "line 2: ",
        "__label__good": "line 2: one label and a text",
        "__label__a __label__b text": "line 2: one label and a text",
        row.replace("good", "bad"): "1 texts have two labels",
    }.items():
        with pytest.raises(InputError, match=message.replace("{", r"\{")):
            read(row, line)
    with pytest.raises(InputError, match="is no file"):
        linear.read_labels(tmp_path / "absent")
    with pytest.raises(InputError, match="at least two labels with 10 distinct texts"):
        linear.train(pl.DataFrame({"text": ["a", "b"], "label": ["x", "y"]}))
