"""The corpus group: from WARC to deduplicated text, and the images."""

from llm_assets.defs.skin import Skin

SKINS = (
    Skin(
        "extracted_pages",
        "corpus",
        "Main text and metadata of each new or changed page. A revisit is not extracted again.",
        frozenset({"parquet"}),
    ),
    Skin(
        "cleaned_corpus",
        "corpus",
        "Language, Gopher, C4 and FineWeb rules, personal data replaced; the ledger names rule, value and threshold.",
        frozenset({"polars"}),
    ),
    Skin(
        "deduped_shards",
        "corpus",
        "Exact and near duplicates removed within the crawl and against all earlier ones; decontaminated against eval_suite.",
        frozenset({"parquet"}),
        pool="dedup",
    ),
    Skin(
        "image_dataset",
        "corpus",
        "Images decoded, oriented, cropped, rotated and deduplicated, with captions and a contact sheet.",
        frozenset({"png"}),
    ),
)
