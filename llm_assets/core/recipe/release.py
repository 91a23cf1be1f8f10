"""Sections of the release group: quantized_export, deployment."""

from llm_assets.core.recipe.base import Section


class QuantizedExportConfig(Section):
    """GGUF files."""


class DeploymentConfig(Section):
    """What is served, and how."""
