"""Duplicates within a crawl and against all older ones, exact and near; and evaluation text that must not be trained on."""

from llm_assets.core import suites
from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="deduped_shards",
        entry="llm_assets.stages.dedup.run:run",
        gates="llm_assets.stages.dedup.gates:gates",
        gate_names=(
            "counts_add_up",
            "minimum_rows",
            "removal_rate",
            "largest_cluster",
            "pairs_verified",
            "decontaminated",
            "repeated_lines",
            "index_complete",
            *suites.names("deduped_shards"),
        ),
        inputs=(
            Input("cleaned_corpus", "same"),
            # only its canonical links, and only where the recipe prefers pages that name themselves
            Input("extracted_pages", "same", optional=True, fingerprint="llm_assets.stages.dedup.order:links_fingerprint"),
            # a take-down from an older crawl that does not concern this one changes nothing here
            Input("deduped_shards", "earlier", optional=True, fingerprint="llm_assets.core.takedowns:as_read"),
            Input("eval_suite"),
        ),
        code_version="4",
        code=("llm_assets.stages.dedup", "llm_assets.core.shards"),
        libraries=("polars", "tldextract"),
        partitioned=True,
        follows="cleaned_corpus",
        loads="llm_assets.stages.dedup.run:load",
        tags={"numbers_crawl": "yes"},  # a crawl gets its number when its index commits
    ),
)
