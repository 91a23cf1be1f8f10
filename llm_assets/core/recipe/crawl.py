"""Sections of the crawl group: raw_crawl, tombstones."""

from llm_assets.core.recipe.base import Section


class RawCrawlConfig(Section):
    """How a crawl is fetched."""


class TombstonesConfig(Section):
    """Documents that must be gone."""
