"""Sections of the corpus group: extracted_pages, cleaned_corpus, deduped_shards, image_dataset."""

from llm_assets.core.recipe.base import Section


class ExtractedPagesConfig(Section):
    """HTML → text."""


class CleanedCorpusConfig(Section):
    """Language, quality rules, personal data."""


class DedupedShardsConfig(Section):
    """Exact and near duplicates, decontamination."""


class ImageDatasetConfig(Section):
    """Images: decode, orient, crop, rotate."""
