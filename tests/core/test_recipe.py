"""Recipes: near misses are named, extends merges, identities leave execution out."""

import pytest

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe import Recipe, load_recipe, recipes_folder
from llm_assets.core.recipe.base import Section, identity_values
from tests.support.toy import TotalConfig


def test_every_shipped_recipe_loads():
    names = sorted(path.stem for path in recipes_folder().glob("*.yaml"))
    assert {"demo", "smoke", "laptop", "gpu-node"} <= set(names)
    for name in names:
        assert load_recipe(name).name == name


def test_a_typo_names_the_field_and_the_near_miss(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: demo\ntokenizer:\n  vocab_sise: 4096\n")
    with pytest.raises(RecipeError, match=r"tokenizer\.vocab_sise: no such field; did you mean 'vocab_size'\?"):
        load_recipe(str(path))


def test_an_unknown_section_names_the_near_miss():
    with pytest.raises(RecipeError, match="did you mean 'base_model'"):
        load_recipe("demo", {"base_modle": {}})


def test_a_wrong_value_is_shown():
    with pytest.raises(RecipeError, match=r"vocab_size.*'many'"):
        load_recipe("demo", {"tokenizer": {"vocab_size": "many"}})


def test_shapes_that_cannot_be_quantised_are_refused_when_the_recipe_is_read():
    """Case B42: rows that are no multiple of 32 can't be stored in blocks of 32."""
    with pytest.raises(RecipeError, match="multiple of 32"):
        load_recipe("demo", {"tokenizer": {"vocab_size": 1001}})


def test_an_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(RecipeError, match=r"no recipe at 'dmeo'.*demo"):
        load_recipe("dmeo")


def test_yaml_mistakes_name_the_file(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1")
    with pytest.raises(RecipeError, match="not valid YAML"):
        load_recipe(str(path))
    path.write_text("- 1\n")
    with pytest.raises(RecipeError, match="a recipe is a mapping"):
        load_recipe(str(path))


def test_extends_in_a_circle_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b\n")
    (tmp_path / "b.yaml").write_text("extends: a\n")
    with pytest.raises(RecipeError, match="circle"):
        load_recipe(str(tmp_path / "a.yaml"))


def test_the_environment_selects_the_recipe(monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "smoke")
    assert load_recipe().name == "smoke"


def test_sections_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("demo").tokenizer.vocab_size = 1


def test_identity_values_leave_execution_fields_out_at_any_depth():
    class Outer(Section):
        inner: TotalConfig = TotalConfig()
        name: str = "n"

    assert identity_values(Outer()) == {"inner": {"factor": 1, "limit": 1000, "fail": ""}, "name": "n"}


def test_an_asset_without_knobs_has_an_empty_section():
    assert identity_values(load_recipe("demo").section("nothing")) == {}
    assert Recipe.section_class("tokenizer").__name__ == "TokenizerConfig"
    assert Recipe.section_class("name") is Section
