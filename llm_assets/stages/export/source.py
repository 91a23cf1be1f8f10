"""Which model is exported. Apart from ``quantize``, so that asking what is stale loads no torch."""

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.recipe.release import QuantizedExportConfig


def used_only(artefact: Artefact, inputs: Inputs, config: QuantizedExportConfig) -> str:
    """Identity takes in the one model that the recipe exports; the others may change."""
    return artefact.manifest().digest if artefact.asset == config.model else "not exported"
