"""Sections of the tokens group: tokenizer, tokenized_dataset, training_mix."""

from llm_assets.core.recipe.base import Section


class TokenizerConfig(Section):
    """Byte-level BPE."""

    vocab_size: int = 4096
    crawls: list[str] = []


class TokenizedDatasetConfig(Section):
    """Token shards."""


class TrainingMixConfig(Section):
    """Which crawls, in what proportions."""
