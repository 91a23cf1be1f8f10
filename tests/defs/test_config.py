"""Config classes follow the recipe's sections, with the recipe's values as defaults."""

import pytest
from pydantic import Field

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.base import Section
from llm_assets.defs.config import config_class, section_from
from llm_assets.stages import all_specs


class Inner(Section):
    depth: int = Field(2, ge=1, description="layers")


class Outer(Section):
    inner: Inner = Inner()
    weights: dict[str, float] = {"en": 1.0}
    names: list[str] = ["a"]


def test_defaults_are_the_recipes_values_and_nesting_survives():
    section = Outer(inner=Inner(depth=5))
    kind = config_class("x", section)
    made, force = section_from(kind(), section)
    assert made == section
    assert force is False
    assert section_from(kind(force_rebuild=True), section) == (section, True)


def test_a_value_out_of_range_is_explained():
    section = Outer()
    kind = config_class("x", section)
    config = kind.model_validate({"inner": {"depth": 0}})
    with pytest.raises(RecipeError, match=r"inner\.depth.*greater than or equal to 1"):
        section_from(config, section)


@pytest.mark.parametrize("name", ["demo", "smoke", "laptop", "gpu-node"])
def test_every_section_of_every_recipe_becomes_a_dagster_config(name):
    recipe = load_recipe(name)
    for asset in all_specs():
        value = recipe.section(asset)
        kind = config_class(asset, value)
        kind.to_config_schema()
        assert section_from(kind(), value)[0] == value
