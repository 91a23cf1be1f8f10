"""Duplicates within a crawl and against all older ones, exact and near; and evaluation text that must not be trained on."""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="deduped_shards",
        entry="llm_assets.stages.dedup.run:run",
        gates="llm_assets.stages.dedup.gates:gates",
        gate_names=(
            "counts_add_up",
            "removal_rate",
            "largest_cluster",
            "pairs_verified",
            "decontaminated",
            "index_complete",
            "documents_table",
        ),
        inputs=(
            Input("cleaned_corpus", "same"),
            Input("deduped_shards", "earlier", optional=True),
            Input("eval_suite"),
        ),
        code=tuple(f"llm_assets.stages.dedup.{name}" for name in ("contamination", "fingerprints", "index", "kernels")),
        libraries=("polars",),
        partitioned=True,
        follows="cleaned_corpus",
        tags={"numbers_crawl": "yes"},  # a crawl gets its number when its index commits
    ),
)
