"""Extraction: from WARC records to main text and metadata, by a parser that may crash without harm."""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="extracted_pages",
        entry="llm_assets.stages.extract.run:run",
        code_version="8",
        gates="llm_assets.stages.extract.gates:gates",
        gate_names=(
            "pages_gave_text",
            "parser_survives",
            "charsets_known",
            "ledger_matches_shards",
            "optouts_honoured",
            "pages_table",
            "counts_add_up",
        ),
        inputs=(Input("raw_crawl", "same"),),
        code=(
            "llm_assets.stages.extract",
            "llm_assets.core.decoding",
            "llm_assets.core.optouts",
            "llm_assets.core.warcs",
            "llm_assets.core.shards",
        ),
        libraries=("fastwarc", "resiliparse", "trafilatura"),
        partitioned=True,
        follows="raw_crawl",
        loads="llm_assets.stages.extract.run:load",
    ),
)
