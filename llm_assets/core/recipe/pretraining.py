"""Section of the pretraining group: base_model."""

from llm_assets.core.recipe.base import Section


class BaseModelConfig(Section):
    """Decoder-only transformer from random weights."""
