"""datatrove's filter classes, named in a recipe: their verdicts in the ledger, their edits in the text, mistakes named."""

import polars as pl
import pytest

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.clean.filters import datatrove
from llm_assets.stages.clean.run import clean
from tests.stages.clean.test_clean import pages

CASINO = {"name": "RegexFilter", "options": {"regex_exp": "mason 1[0-9]"}}


def cleaned(*filters):
    return clean(pages(), "crawl", CleanedCorpusConfig(datatrove_filters=list(filters)), Tombstones())


def test_what_they_drop_is_in_the_ledger_and_the_rest_is_as_before():
    before, _ = cleaned()
    kept, ledger = cleaned(CASINO)
    dropped = ledger.filter(pl.col("rule").str.starts_with("datatrove:"))
    assert dropped["rule"].unique().to_list() == ["datatrove:RegexFilter:dropped"]
    assert sorted(dropped["url"]) == sorted(f"http://site.example/{n}" for n in range(10, 20))
    assert kept.equals(before.filter(~pl.col("doc_id").is_in(dropped["doc_id"].to_list())))
    assert ledger["kept"].sum() == kept.height
    # What ours dropped before is not asked again: its verdict stays.
    assert ledger.filter(pl.col("rule") == "language").height == 2


def test_what_a_filter_changes_in_the_text_is_kept_and_counted():
    before, _ = cleaned()
    kept, _ = cleaned({"name": "C4QualityFilter", "options": {"min_num_sentences": -1, "min_words_per_line": 3}})
    assert kept.height == before.height
    with_line = pages().with_columns(text=pl.col("text") + "\nHome page")
    config = CleanedCorpusConfig(datatrove_filters=[{"name": "C4QualityFilter", "options": {"min_num_sentences": -1}}])
    edited, ledger = clean(with_line, "crawl", config, Tombstones())
    assert edited.height and not edited["text"].str.contains("Home page").any()
    assert (edited["n_words"] == edited["text"].str.split(" ").list.len() + edited["text"].str.count_matches("\n")).all()
    assert ledger["kept"].sum() == edited.height


def test_chance_is_the_same_again():
    entry = {"name": "SamplerFilter", "options": {"rate": 0.5}}
    one, two = cleaned(entry)[0], cleaned(entry)[0]
    assert one.equals(two) and 0 < one.height < cleaned()[0].height


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "RegexFiltr"}, "did you mean RegexFilter"),
        ({"name": "Nonsense"}, "there are .*RegexFilter"),
        ({"name": "LambdaFilter"}, "datatrove has no filter 'LambdaFilter'"),
        ({"name": "RegexFilter", "options": {"regex": "x"}}, "takes no option 'regex'; did you mean 'regex_exp'"),
        ({"name": "RegexFilter", "options": {"regex_exp": "("}}, "can't be made with"),
    ],
)
def test_mistakes_are_named(entry, message):
    with pytest.raises(RecipeError, match=message):
        cleaned(entry)


def test_a_package_that_a_filter_needs_when_it_is_asked_is_named(monkeypatch):
    def filter_(self, document):
        raise ImportError("Please install `spacy` to use English word tokenizer")

    monkeypatch.setattr(datatrove.classes()["RegexFilter"], "filter", filter_)
    with pytest.raises(RecipeError, match="RegexFilter can't judge: Please install `spacy`"):
        cleaned(CASINO)


def test_a_filter_sees_the_page_as_metadata(monkeypatch):
    seen = []
    monkeypatch.setattr(datatrove.classes()["RegexFilter"], "filter", lambda self, document: seen.append(document) or True)
    cleaned(CASINO)
    told = {document.metadata["url"]: document for document in seen}["http://site.example/101"]
    assert (told.metadata["language"], told.metadata["source_kind"]) == ("fr", "web")
    assert told.metadata["language_score"] > 0.5 and told.id == f"{101:032x}" and told.text.startswith("Le vieux pont")
    assert not any(key.startswith("_") for key in told.metadata)


def test_an_entry_without_a_name_is_refused_by_the_recipe():
    for entry in ({"options": {}}, {"name": "RegexFilter", "option": {}}, {"name": 3}):
        with pytest.raises(ValueError, match="each entry has a name"):
            CleanedCorpusConfig(datatrove_filters=[entry])
