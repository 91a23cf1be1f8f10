"""Imports the package before any test module imports torch: the package says how OpenMP's waiting threads behave."""

import llm_assets  # noqa: F401
