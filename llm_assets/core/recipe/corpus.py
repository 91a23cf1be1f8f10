"""Sections of the corpus group: extracted_pages, cleaned_corpus, deduped_shards, image_dataset."""

from typing import Literal

from pydantic import Field, field_validator

from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig as CleanedCorpusConfig
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.recipe.expected import ExpectedSurvivors
from llm_assets.core.recipe.images import ImageDatasetConfig as ImageDatasetConfig


class ExtractedPagesConfig(Section):
    """HTML → text: main content, metadata, opt-outs."""

    honour_optouts: list[Literal["robots_ai", "noai", "tdm", "ai_txt"]] = Field(
        ["robots_ai", "noai", "tdm", "ai_txt"], description="Signals that keep a page out; all are recorded by the crawl"
    )
    extractor: Literal["resiliparse", "trafilatura"] = Field(
        "resiliparse",
        description="Who finds the main text. resiliparse: its parser and our own choice of blocks; trafilatura: slower, needs "
        "the extra [trafilatura]. Metadata, limits and the parser process are the same",
    )
    max_html_bytes: int = Field(8_000_000, ge=1, description="A larger page is dropped before it is parsed")
    max_text_bytes: int = Field(
        2_000_000, ge=1, description="UTF-8. A longer text is dropped: it is no page, and one row must never stall the writer"
    )
    max_cpu_seconds: float = Field(2.0, gt=0, description="Processor time of one page; the usual page takes a thousandth of it")
    max_memory_mb: int = Field(2_048, ge=512, description="Address space of a parser process, MiB")
    shard_documents: int = Field(1_000, ge=1, description="Pages a shard at most")
    shard_bytes: int = Field(64_000_000, ge=1, description="Compressed bytes of the pages of a shard, about")
    min_extracted_share: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Gate: pages that gave text, of those that came whole and did not opt out (a refresh is rich in listings)",
    )
    max_crash_share: float = Field(
        0.01, ge=0, le=1, description="Gate: pages that ended the parser, by time, memory or a crash"
    )
    max_undecodable_share: float = Field(0.02, ge=0, le=1, description="Gate: pages that no charset decodes")
    workers: int = execution(0, ge=0, description="Shards at a time; 0: the cores there are, no limit on a cluster")
    executor: ExecutorConfig = execution(ExecutorConfig(), description="Where shards are made; see the section executor")
    stall_seconds: float = execution(60.0, gt=0, description="A parser process that says nothing for so long is ended")


class RepeatedLines(Section):
    """Lines that many pages share (menus, notices, calls to subscribe), after CCNet (Wenzek et al. 2020, section 3.1).

    A line stays in the first ``max_pages`` pages that have it, in judging order, and is repeated in all later ones; so a
    crawl that comes later changes nothing in an older one. Captures of one address count as one page.
    """

    action: Literal["keep", "flag", "remove"] = Field(
        "keep", description="keep: not looked for; flag: listed in repeated_lines.parquet; remove: taken out of the texts"
    )
    max_pages: int = Field(10, ge=1, le=1000, description="Pages in which a line may stand; in later ones it is repeated")
    scope: Literal["host", "all"] = Field("host", description="Pages are counted by host, or over all of them")
    min_words: int = Field(4, ge=1, description="Shorter lines (a heading, a bracket of code) are never repeated lines")
    min_words_left: int = Field(20, ge=0, description="A text that would keep fewer words stays whole")
    max_removed_share: float = Field(0.3, ge=0, le=1, description="Gate: share of the survivors' bytes that may go")


class DedupedShardsConfig(Section):
    """Exact and near duplicates, within a crawl and against earlier ones; repeated lines; decontamination."""

    against: list[str] = Field(
        ["*"],
        description="Earlier crawls to compare with: names or patterns (wiki-*). Crawls that come later are never among them; "
        "an empty list: the crawl by itself",
    )
    prefer: list[Literal["self_canonical", "longer"]] = Field(
        ["self_canonical"],
        description="Which of the copies within one crawl is kept, most important first: the page that names itself as "
        "canonical (rel=canonical) before one that names none, and that before one that names another; the longer text. "
        "Then the first fetched. Between crawls the older wins, whatever is preferred",
    )
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
    contamination: Literal["drop", "flag"] = Field(
        "drop", description="What happens to a text that an evaluation item is found in; flag: the ledger names the item"
    )
    contamination_words: int = Field(
        13,
        ge=1,
        le=64,
        description="A text is contaminated if it has this many words in a row in common with an evaluation item",
    )
    contamination_min_words: int = Field(
        8,
        ge=1,
        description="Items of fewer words than contamination_words, but of these at least, are looked for as a run of all "
        "their words; still shorter ones as a whole text",
    )
    repeated_lines: RepeatedLines = RepeatedLines()
    max_removal_share: float = Field(
        0.7,
        gt=0,
        le=1,
        description="Gate: share of the texts of one source (host, registered domain, language, source kind) that may go as "
        "duplicates (exact copies of older crawls apart)",
    )
    max_removal_rise: float = Field(
        0.3, gt=0, le=1, description="Gate: how far that share may be above the same source's in the older crawls"
    )
    min_source_documents: int = Field(50, ge=1, description="Gate: sources with fewer texts are not judged")
    removal_overrides: dict[str, str] = Field(
        {},
        description="Gate: sources that may lose any share, each with the reason, which is recorded: a host, domain, "
        "language or source kind by its name, or of one crawl only, as crawl/name",
    )
    max_cluster_share: float = Field(
        0.02, gt=0, le=1, description="Gate: share of the crawl's texts that may be near-duplicates of one kept text"
    )
    min_cluster_documents: int = Field(20, ge=1, description="Gate: clusters up to this size are never too large")
    min_kept_documents: int = Field(
        1, ge=0, description="Gate: texts that must be kept, of a crawl to which any came (an unchanged site brings none)"
    )
    expected: ExpectedSurvivors = ExpectedSurvivors()
    sampled_documents: int = Field(200, ge=1, description="Gate: pairs and texts checked again by other code")
    threads: int = execution(0, ge=0, description="Threads that hash texts; 0 = all cores")

    @field_validator("removal_overrides")
    @classmethod
    def _reasons(cls, overrides: dict[str, str]) -> dict[str, str]:
        for source, reason in overrides.items():
            if len(reason.split()) < 2:
                raise ValueError(f"{source} needs a reason in words, for whoever reads the manifest later")
        return overrides
