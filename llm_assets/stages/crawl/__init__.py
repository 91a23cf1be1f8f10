"""The crawl: what was fetched, from the local site, the web or the inbox; and the tombstones of what must be gone."""

from llm_assets.core.spec import AssetSpec, Input

_CODE = ("llm_assets.stages.crawl", "llm_assets.core.tombstones")

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="tombstones",
        entry="llm_assets.stages.crawl.tombstones:run",
        gates="llm_assets.stages.crawl.tombstones:gates",
        gate_names=("tombstones_valid",),
        code=("llm_assets.core.tombstones",),
        source=True,
        tags={"read_again": "yes"},  # a list that grows: each run reads it, and equal content changes nothing
    ),
    AssetSpec(
        name="raw_crawl",
        entry="llm_assets.stages.crawl.run:run",
        code_version="4",
        gates="llm_assets.stages.crawl.gates:gates",
        gate_names=(
            "enough_pages",
            "counts_add_up",
            "few_truncated",
            "files_gave_documents",
            "records_verified",
            "index_table",
        ),
        inputs=(Input("tombstones", optional=True), Input("raw_crawl", "earlier", optional=True)),
        code=_CODE,
        libraries=("protego", "warcio", "fastwarc", "brotli", "pypdfium2", "lxml", "pyarrow"),
        partitioned=True,
        source=True,
    ),
)
