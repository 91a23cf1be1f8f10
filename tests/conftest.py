"""Imports the package before any test module imports torch: the package says how OpenMP's waiting threads behave."""

from hypothesis import settings

import llm_assets  # noqa: F401

settings.register_profile("untimed", deadline=None)  # a busy machine must not fail a test
settings.load_profile("untimed")
