"""The catalogue: what the UI says of assets; never part of an identity."""

import pytest

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.catalogue import CatalogueConfig, Presentation


def catalogue(**told):
    return load_recipe("demo", {"catalogue": told}).catalogue


def test_an_asset_goes_before_its_group_and_adds_to_its_tags():
    found = catalogue(
        groups={"corpus": {"owners": ["team:corpus"], "tags": {"a": "1", "b": "1"}, "kinds": ["s3"], "description": "Shared."}},
        assets={"cleaned_corpus": {"owners": ["ann@example.org"], "tags": {"b": "2"}, "kinds": ["s3", "text"]}},
    )
    assert found.of("cleaned_corpus", "corpus") == Presentation(
        owners=["ann@example.org"], tags={"a": "1", "b": "2"}, kinds=["s3", "text"], description="Shared."
    )
    assert found.of("extracted_pages", "corpus").owners == ["team:corpus"]
    assert found.of("base_model", "pretraining") == Presentation()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"owners": ["ann"]}, "neither an e-mail address nor team:NAME"),
        ({"owners": ["team:a b"]}, "neither an e-mail address"),
        ({"tags": {"dagster/x": "1"}}, "Dagster's own"),
        ({"tags": {"a": "has space"}}, "at most 63"),
        ({"tags": {"": "x"}}, "at most 63"),
        ({"kinds": [""]}, "at most 63"),
        ({"ownerss": []}, "did you mean|allowed|Extra inputs|no such field"),
    ],
)
def test_what_the_ui_would_refuse_is_refused_with_a_sentence(told, said):
    with pytest.raises(RecipeError, match=said):
        catalogue(assets={"base_model": told})


def test_it_is_empty_by_default():
    assert load_recipe("demo").catalogue == CatalogueConfig()
