import pytest
from pydantic import ValidationError

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.pretraining import BaseModelConfig, ModelShape


@pytest.mark.parametrize(("field", "value"), [("hidden_size", 100), ("head_dim", 48), ("ffn_size", 172)])
def test_widths_that_quantised_rows_can_not_have_are_refused_when_the_recipe_is_read(field, value):
    """Case B42."""
    with pytest.raises(RecipeError, match=rf"{field} is {value}.*multiple of 32"):
        load_recipe("demo", {"base_model": {"model": {field: value}}})


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"train_tokens": 100}, "less than one step"),
        ({"sequence_length": 1024}, r"above model\.context_length"),
        ({"model": {"n_heads": 3, "n_kv_heads": 2}}, "must be a multiple of n_kv_heads"),
    ],
)
def test_a_budget_or_shape_that_does_not_fit_is_refused(over, message):
    with pytest.raises(ValidationError, match=message):
        BaseModelConfig.model_validate(over)


def test_steps_are_what_the_token_budget_buys():
    config = BaseModelConfig(model=ModelShape(context_length=64), train_tokens=1000, sequence_length=32, batch_rows=4)
    assert config.steps == 7
