"""Sections of the evaluation group: eval_suite, eval_report."""

from llm_assets.core.recipe.base import Section


class EvalSuiteConfig(Section):
    """What is held out and asked."""


class EvalReportConfig(Section):
    """How models are compared."""
