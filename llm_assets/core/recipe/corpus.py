"""Sections of the corpus group: extracted_pages, cleaned_corpus, deduped_shards, image_dataset."""

from typing import Literal

from pydantic import Field

from llm_assets.core.recipe.base import Section, execution


class ExtractedPagesConfig(Section):
    """HTML → text."""


class CleanedCorpusConfig(Section):
    """Language, quality rules, personal data."""


class DedupedShardsConfig(Section):
    """Exact and near duplicates, within a crawl and against all earlier ones; decontamination."""

    shingle_words: int = Field(5, ge=1, le=32, description="Words a shingle; shorter texts are compared for equality only")
    jaccard: float = Field(
        0.8, gt=0, le=1, description="Two texts are near-duplicates if their shingle sets have this Jaccard similarity"
    )
    bands: int = Field(25, ge=1, le=256, description="Bands of the MinHash signature: a pair that shares one is compared")
    rows: int = Field(5, ge=1, le=32, description="Hashes a band: pairs at similarity s share one with 1 - (1 - s^rows)^bands")
    bucket_limit: int = Field(
        1000,
        ge=1,
        description="Kept texts looked at in one band, oldest first: bounds the work where boiler-plate fills a band",
    )
    seed: int = Field(1, ge=0, description="Chooses the hash functions; all crawls that are compared must share it")
    contamination_words: int = Field(
        13, ge=1, le=64, description="A text that has this many words in a row in common with an evaluation item is dropped"
    )
    max_removal_share: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Gate: share of one host's texts that may go as duplicates (exact copies of older crawls apart)",
    )
    min_host_documents: int = Field(50, ge=1, description="Gate: hosts with fewer texts are not judged")
    max_cluster_share: float = Field(
        0.02, gt=0, le=1, description="Gate: share of the crawl's texts that may be near-duplicates of one kept text"
    )
    min_cluster_documents: int = Field(20, ge=1, description="Gate: clusters up to this size are never too large")
    sampled_documents: int = Field(200, ge=1, description="Gate: pairs and texts checked again by other code")
    threads: int = execution(0, ge=0, description="Threads that hash texts; 0 = all cores")


class ImageDatasetConfig(Section):
    """Images: decode, orient, crop, rotate, without copies."""

    honour_optouts: list[Literal["robots_ai", "noai", "tdm"]] = Field(
        ["robots_ai", "noai", "tdm"], description="Signals that keep an image out"
    )
    max_pixels: int = Field(50_000_000, ge=1, description="Larger images are dropped before a pixel is decoded")
    min_side_pixels: int = Field(32, ge=1, description="The shorter side after cropping; below it are icons and counters")
    max_side_pixels: int = Field(1024, ge=32, description="Larger images are scaled down to this longer side")
    crop_borders: bool = Field(True, description="Cut off uniform borders")
    border_tolerance: int = Field(12, ge=0, le=255, description="How far a border's pixels may be from the corner's, a channel")
    rotations_degrees: list[Literal[0, 90, 180, 270]] = Field(
        [0, 90], min_length=1, description="Variants stored of each image, clockwise; 0 is the upright one"
    )
    max_hash_distance: int = Field(2, ge=0, le=64, description="Images whose 64-bit difference hashes differ less are copies")
    min_kept_share: float = Field(0.3, ge=0, le=1, description="Gate: share of images that must be kept")
