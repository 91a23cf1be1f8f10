"""What must hold of a crawl before anything is built on it."""

import io
from pathlib import Path
from typing import Any

import polars as pl
from warcio.archiveiterator import ArchiveIterator
from warcio.exceptions import ArchiveLoadFailed

from llm_assets.core import expectations
from llm_assets.core.artefact import Inputs
from llm_assets.core.documents import payload_digest
from llm_assets.core.ledger import LEDGER_FILE, counts_add_up, ledger_counts
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.crawl.earlier import INDEX_FILE
from llm_assets.stages.crawl.warc import record_id

_FAILED = ("timeout", "connection", "protocol", "robots_unavailable", "host_failing", "host_busy")
_CUT = ("truncated", "too_large", "corrupt", "encoding")
_ARTICLE = r"/[a-z]{2}/wiki/[^/]+$"


def gates(inputs: Inputs, files: Path, config: RawCrawlConfig, report: Report) -> list[Gate]:
    """Six blocking gates over the files as they are, not as the report tells."""
    index = pl.read_parquet(files / INDEX_FILE)
    ledger = pl.read_parquet(files / LEDGER_FILE)
    return [
        _enough_pages(index, ledger, config, report),
        _counts(index, ledger, report),
        _few_truncated(ledger, config),
        _few_unread(ledger, config),
        _records_verified(index, files, config.verified_records),
        expectations.check("index_table", index, _rules(config)),
    ]


def _enough_pages(index: pl.DataFrame, ledger: pl.DataFrame, config: RawCrawlConfig, report: Report) -> Gate:
    """Enough pages; nearly all articles of the local site; not mostly failures of network or server."""
    pages = index.filter(pl.col("kind") == "page")
    shown = int(report.metrics.get("articles_shown", 0))
    articles = pages.filter(pl.col("canonical_url").str.contains(_ARTICLE)).height
    server_errors = (pl.col("rule") == "status") & (pl.col("value") >= 500)
    failed = ledger.filter(pl.col("rule").is_in(_FAILED) | server_errors).height
    failed_share = failed / max(1, failed + index.height)
    problems = []
    if pages.height < config.min_pages:
        problems.append(f"{pages.height:,} pages, at least {config.min_pages:,} wanted (raw_crawl.min_pages)")
    if articles < config.min_article_share * shown:
        problems.append(
            f"{articles:,} of the site's {shown:,} articles (raw_crawl.min_article_share {config.min_article_share:g})"
        )
    if failed_share > config.max_failed_share:
        problems.append(f"{failed_share:.1%} of requests failed, at most {config.max_failed_share:.1%} may; is the network up?")
    message = "; ".join(problems) or f"{pages.height:,} pages, {failed_share:.2%} of requests failed"
    figures = {"pages": pages.height, "articles": articles, "articles_shown": shown, "failed_share": round(failed_share, 4)}
    return Gate("enough_pages", not problems, message, figures)


def _counts(index: pl.DataFrame, ledger: pl.DataFrame, report: Report) -> Gate:
    """URLs met = kept + dropped by each rule; and what was kept is what the index holds."""
    counts = ledger_counts(ledger)
    kept = set(ledger.filter(pl.col("kept"))["doc_id"].to_list())
    same = kept == set(index["doc_id"].to_list()) and counts["kept"] == index.height
    told = all(report.counts.get(key) == n for key, n in counts.items())
    labelled = ledger.filter(pl.col("kept") != (pl.col("rule") == "kept")).height == 0
    message = (
        f"{counts['documents_in']:,} URLs met, {counts['kept']:,} kept, {index.height:,} in the index"
        + ("" if same else "; ledger and index name different documents")
        + ("" if told else "; the report tells other counts than the ledger")
        + ("" if labelled else "; the ledger has rows whose rule contradicts their fate")
    )
    figures = {"documents_in": counts["documents_in"], "kept": counts["kept"], "indexed": index.height}
    return Gate("counts_add_up", counts_add_up(counts) and same and told and labelled, message, figures)


def _few_truncated(ledger: pl.DataFrame, config: RawCrawlConfig) -> Gate:
    cut = ledger.filter(pl.col("rule").is_in(_CUT)).height
    share = cut / max(1, cut + ledger.filter(pl.col("kept")).height)
    message = f"{cut:,} captures cut off, oversized or corrupt: {share:.2%}, at most {config.max_truncated_share:.2%} allowed"
    passed = share <= config.max_truncated_share
    advice = "" if passed else " (raw_crawl.max_truncated_share); get whole files, or raise the limit if the loss is meant"
    return Gate("few_truncated", passed, message + advice, {"cut": cut, "share": round(share, 5)})


def _few_unread(ledger: pl.DataFrame, config: RawCrawlConfig) -> Gate:
    """Files and rows of one's own that gave no document, of all: a wrong mapping must not pass for a small crawl."""
    rejected = ledger.filter(pl.col("rule").str.contains("^(?:file|row)_") & (pl.col("rule") != "file_unreadable"))
    share = rejected.height / max(1, rejected.height + ledger.filter(pl.col("kept")).height)
    limit = config.local.max_rejected_share
    message = f"{rejected.height:,} files or rows gave no document: {share:.1%}, at most {limit:.1%} allowed"
    if share > limit:
        rule, n = rejected.group_by("rule").len().sort("len", "rule", descending=True).row(0)
        example = rejected.filter(rule=rule)["detail"][0]
        message += f" (raw_crawl.local.max_rejected_share); most often {rule} ({n:,}): {example}"
    return Gate("files_gave_documents", share <= limit, message, {"rejected": rejected.height, "share": round(share, 4)})


def _records_verified(index: pl.DataFrame, files: Path, sample: int) -> Gate:
    """Records read back by offset and length, with warcio's check of digests; and no byte of a file is unaccounted for."""
    problems = _unaccounted(index, files)
    step = max(1, index.height // sample)
    chosen = index.gather_every(step)
    for row in chosen.iter_rows(named=True):
        problem = _verify(row, files)
        if problem:
            problems.append(f"{row['doc_id']}: {problem}")
    message = f"{chosen.height:,} of {index.height:,} records read back, {len(problems)} problems"
    if problems:
        message += f": {'; '.join(problems[:3])}"
    return Gate("records_verified", not problems, message, {"verified": chosen.height, "problems": len(problems)})


def _unaccounted(index: pl.DataFrame, files: Path) -> list[str]:
    """The records of a file follow each other without a gap after its warcinfo, to its last byte."""
    problems = []
    for (name,), rows in index.sort("warc_file", "offset").group_by(["warc_file"], maintain_order=True):
        path = files / str(name)
        if not path.is_file():
            problems.append(f"{name} is missing")
            continue
        ends = rows["offset"] + rows["length"]
        gaps = int((rows["offset"][1:] != ends[:-1]).sum())
        if gaps or ends[-1] != path.stat().st_size or rows["offset"][0] <= 0:
            problems.append(f"{name}: {gaps} gaps between records, {path.stat().st_size - ends[-1]} bytes after the last")
    listed = set(index["warc_file"].unique().to_list())
    problems += [
        f"{path.name} is not in the index"
        for path in sorted((files / "warc").glob("*"))
        if index.height and f"warc/{path.name}" not in listed
    ]
    return problems


def _verify(row: dict[str, Any], files: Path) -> str:
    """What is wrong with one record; empty if nothing is."""
    try:
        with open(files / row["warc_file"], "rb") as handle:
            handle.seek(row["offset"])
            iterator = ArchiveIterator(io.BytesIO(handle.read(row["length"])), check_digests=True)
        record = next(iterator)
        payload = record.content_stream().read()
    except (OSError, ArchiveLoadFailed, StopIteration) as error:
        return f"unreadable ({type(error).__name__})"
    headers = record.rec_headers
    if headers.get_header("WARC-Record-ID") != record_id(row["doc_id"]):
        return "another record is there"
    if record.rec_type != row["record_type"] or headers.get_header("WARC-Payload-Digest") != row["payload_digest"]:
        return "type or digest differ from the index"
    if record.digest_checker.passed is False:
        return "; ".join(record.digest_checker.problems)
    if record.rec_type == "response" and payload_digest(payload) != row["payload_digest"]:
        return "the payload has another digest"
    if record.rec_type == "revisit" and headers.get_header("WARC-Refers-To") != record_id(row["revisit_of"]):
        return "it refers to another capture"
    return ""


def _rules(config: RawCrawlConfig) -> list[expectations.Rule]:
    required = (
        "doc_id",
        "url",
        "canonical_url",
        "fetched_at",
        "status",
        "kind",
        "payload_digest",
        "warc_file",
        "offset",
        "length",
    )
    rules: list[expectations.Rule] = [("expect_column_values_to_not_be_null", {"column": name}) for name in required]
    return [
        *rules,
        ("expect_column_values_to_be_unique", {"column": "doc_id"}),
        ("expect_column_values_to_match_regex", {"column": "doc_id", "regex": "^[0-9a-f]{32}$"}),
        ("expect_column_values_to_match_regex", {"column": "payload_digest", "regex": "^sha256:[0-9a-f]{64}$"}),
        ("expect_column_values_to_be_in_set", {"column": "status", "value_set": [200, 304]}),
        ("expect_column_values_to_be_in_set", {"column": "kind", "value_set": sorted(config.kinds)}),
        ("expect_column_values_to_be_in_set", {"column": "record_type", "value_set": ["response", "revisit"]}),
        ("expect_column_values_to_be_between", {"column": "length", "min_value": 1}),
    ]
