"""Gates of ``extracted_pages``, computed again from its files and from the index that it was made of."""

from pathlib import Path

import polars as pl

from llm_assets.core import expectations
from llm_assets.core.artefact import Inputs
from llm_assets.core.ledger import LEDGER_FILE, counts_add_up, ledger_counts
from llm_assets.core.recipe.corpus import ExtractedPagesConfig
from llm_assets.core.report import Gate, Report

# Drops that are the page's own fate, not the extractor's.
_NOT_OURS = ("optout_robots_ai", "optout_noai", "optout_tdm", "optout_ai_txt", "truncated", "http_status", "extract_media_type")
_DEATHS = ("extract_crash", "extract_timeout", "extract_memory")


def gates(inputs: Inputs, files: Path, config: ExtractedPagesConfig, report: Report) -> list[Gate]:
    """Enough pages gave text, few ended the parser, charsets are known, ledger and shards agree, opt-outs are honoured."""
    ledger = pl.read_parquet(files / LEDGER_FILE)
    columns = ["doc_id", "url", "host", "text"]
    parts = [pl.read_parquet(path, columns=columns) for path in sorted((files / "shards").glob("*.parquet"))]
    texts = pl.concat(parts) if parts else pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    index = pl.read_parquet(inputs.one("raw_crawl").file("index.parquet")).filter(
        (pl.col("kind") == "page") & (pl.col("record_type") == "response")
    )
    return [
        _gave_text(ledger, config),
        _share_gate("parser_survives", ledger, _DEATHS, config.max_crash_share, "ended the parser"),
        _share_gate("charsets_known", ledger, ("extract_undecodable",), config.max_undecodable_share, "could not be decoded"),
        _ledger_fits(ledger, texts, index),
        _optouts(texts, index, config),
        expectations.check(
            "pages_table",
            texts.with_columns(text_bytes=pl.col("text").str.len_bytes()),
            [
                ("expect_column_values_to_not_be_null", {"column": "doc_id"}),
                ("expect_column_values_to_be_unique", {"column": "doc_id"}),
                ("expect_column_values_to_match_regex", {"column": "doc_id", "regex": "^[0-9a-f]{32}$"}),
                ("expect_column_values_to_not_be_null", {"column": "url"}),
                ("expect_column_values_to_not_be_null", {"column": "text_bytes"}),
                (
                    "expect_column_values_to_be_between",
                    {"column": "text_bytes", "min_value": 1, "max_value": config.max_text_bytes},
                ),
            ],
        ),
        _counts(ledger, texts),
    ]


def _gave_text(ledger: pl.DataFrame, config: ExtractedPagesConfig) -> Gate:
    ours = ledger.filter(~pl.col("rule").is_in(_NOT_OURS))
    kept = int(ours["kept"].sum())
    share = kept / ours.height if ours.height else 1.0
    message = (
        f"{kept:,} of {ours.height:,} whole pages gave text ({share:.1%}); at least {config.min_extracted_share:.1%} wanted "
        "(extracted_pages.min_extracted_share)"
    )
    return Gate("pages_gave_text", share >= config.min_extracted_share, message, {"share": share})


def _share_gate(name: str, ledger: pl.DataFrame, rules: tuple[str, ...], limit: float, said: str) -> Gate:
    count = ledger.filter(pl.col("rule").is_in(rules)).height
    share = count / ledger.height if ledger.height else 0.0
    message = f"{count:,} of {ledger.height:,} pages {said} ({share:.2%}); at most {limit:.2%} allowed"
    return Gate(name, share <= limit, message, {"share": share, "pages": count})


def _ledger_fits(ledger: pl.DataFrame, texts: pl.DataFrame, index: pl.DataFrame) -> Gate:
    """Each page response of the index has one row in the ledger, and each kept row one text."""
    missing = index.join(ledger, on="doc_id", how="anti").height
    unknown = ledger.join(index, on="doc_id", how="anti").height
    kept = ledger.filter("kept")
    lost = kept.join(texts, on="doc_id", how="anti").height
    surplus = texts.join(kept, on="doc_id", how="anti").height
    twice = ledger.height - ledger["doc_id"].n_unique()
    message = (
        f"{missing} pages of the index have no fate, {unknown} fates no page, {twice} pages two fates; "
        f"{lost} kept pages have no text, {surplus} texts are not kept"
    )
    return Gate("ledger_matches_shards", not (missing or unknown or twice or lost or surplus), message)


def _optouts(texts: pl.DataFrame, index: pl.DataFrame, config: ExtractedPagesConfig) -> Gate:
    asked = {f"optout_{signal}" for signal in config.honour_optouts}
    flags = [pl.col(name) for name in index.columns if name in asked]
    reserved = index.filter(pl.any_horizontal(flags)) if flags else index.clear()
    found = texts.join(reserved, on="doc_id", how="semi")
    message = f"{found.height} texts are of pages that opted out ({', '.join(config.honour_optouts) or 'no signal'} honoured)"
    return Gate("optouts_honoured", found.is_empty(), message, {"reserved": reserved.height})


def _counts(ledger: pl.DataFrame, texts: pl.DataFrame) -> Gate:
    counts = ledger_counts(ledger)
    passed = counts_add_up(counts) and counts["kept"] == texts.height
    message = f"{counts['documents_in']:,} pages came in, {counts['kept']:,} are kept, {texts.height:,} texts are in the shards"
    return Gate("counts_add_up", passed, message, counts)
