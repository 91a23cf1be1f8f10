"""Sections of the tokens group: tokenizer, tokenized_dataset, training_mix."""

from typing import Literal, Self

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.recipe.expected import ExpectedTokens
from llm_assets.core.recipe.sources import SOURCE_KINDS


class TokenizerConfig(Section):
    """Byte-level BPE, trained on the crawls named here, so that a refresh does not make every token id stale."""

    vocab_size: int = Field(4096, ge=288, description="Ids in all, the four control tokens and 256 bytes included")
    crawls: list[str] = Field([], description="Crawls whose survivors it is trained on; empty: the first crawl")
    languages: dict[str, float] = Field(
        {"en": 1.0, "fr": 0.1}, min_length=1, description="Language → share of its documents that is read, 0 to 1"
    )
    max_train_bytes: int = Field(400_000_000, ge=1, description="UTF-8 bytes read at most; shares shrink to fit")
    max_token_chars: int = Field(24, ge=2, description="Longest token, so that boiler-plate can't become single ids")
    min_pair_count: int = Field(2, ge=1, description="A merge must have been seen this often")
    engine: Literal["auto", "numba", "tokenizers"] = execution(
        "auto", description="Who finds the merges; all give the same file. auto: numba from 20 MB of text, where compiling pays"
    )
    threads: int = execution(0, ge=0, description="Threads that split texts for numba; 0: the cores there are")


class TokenizedDatasetConfig(Section):
    """Token shards."""

    shard_tokens: int = Field(16_777_216, ge=1, description="Tokens a shard holds at most (one longer document is never split)")
    min_bytes_per_token: float = Field(1.5, gt=0, description="Gate: UTF-8 bytes per token over the whole crawl")
    sampled_documents: int = Field(200, ge=1, description="Gate: documents decoded and compared with their text")
    expected: ExpectedTokens = ExpectedTokens()
    batch_documents: int = execution(1_000, ge=1, description="Documents encoded at a time; all cores work on a batch")
    engine: Literal["auto", "fastokens", "tokenizers"] = execution(
        "auto", description="Who encodes; the ids are the same. auto: fastokens if it is installed (the extra 'fast')"
    )
    workers: int = execution(0, ge=0, description="Shards at a time on a cluster; 0: no limit")
    executor: ExecutorConfig = execution(ExecutorConfig(), description="Where shards are encoded; see the section executor")


class TrainingMixConfig(Section):
    """Which crawls, in what proportions."""

    languages: dict[str, float] = Field(
        {"en": 1.0, "fr": 0.1},
        min_length=1,
        description="Language → epochs: 0.1 takes a tenth of its documents, 2 each twice; languages not named are left out",
    )
    source_kinds: dict[str, float] = Field(
        {}, description="Source kind (book, forum, own …) → factor on the epochs; 1 where not named, 0 leaves it out"
    )
    validation_fraction: float = Field(0.02, gt=0, lt=0.5, description="Share of URLs held out, by a hash of the URL")
    min_train_tokens: int = Field(1_000_000, ge=1, description="Gate: training tokens, repeats counted")
    share_tolerance: float = Field(
        0.15, gt=0, description="Gate: how far the tokens of a sampled language may be from what was asked, as a ratio"
    )
    min_tokens_judged: int = Field(100_000, ge=0, description="Gate: a language with fewer tokens is not judged by its share")
    seed: int = Field(0, description="Salts the hashes that sample and split")
    minimum_new_tokens: int = execution(
        0,
        ge=0,
        description="New crawls wait until they hold so many tokens together; models stay fresh meanwhile. 0: none waits",
    )
    minimum_age_hours: float = execution(
        0.0, ge=0, description="New crawls wait until the mix is so old. A crawl of the mix that changed is followed at once"
    )

    @model_validator(mode="after")
    def _possible(self) -> Self:
        unknown = sorted(set(self.source_kinds) - set(SOURCE_KINDS))
        if unknown:
            raise ValueError(f"source_kinds: {unknown[0]!r} is none of {', '.join(SOURCE_KINDS)}")
        negative = [kind for kind, times in self.source_kinds.items() if times < 0]
        if negative:
            raise ValueError(f"source_kinds: {negative[0]} is below 0; 0 leaves it out")
        return self
