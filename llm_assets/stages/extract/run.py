"""``extracted_pages``: the page responses of one crawl as text and metadata, in shards; the ledger says why a page gave none.

Pages are cut into shards by the index alone. Each shard is one step under datatrove's executor
(``llm_assets.core.shardsteps``), which drives one parser process. A shard's rows and its part of the ledger are written whole;
totals are read from these files.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from llm_assets.core import optouts, plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import EXTRACTED, replace_surrogates
from llm_assets.core.ledger import KEEP, LEDGER, Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.corpus import ExtractedPagesConfig
from llm_assets.core.report import Report
from llm_assets.core.shards import level, shard_name, write_shard
from llm_assets.core.shardsteps import MOST_THREADS, run_shard_steps, threads_here
from llm_assets.stages.extract.html import Page, check_extractor
from llm_assets.stages.extract.supervisor import end_kept, kept_supervisor, prepare

# captures.parquet: what is known of each extracted capture besides its text. Tombstones by content are matched here.
CAPTURES_FILE = "captures.parquet"
CAPTURES = pl.Schema(
    {
        "doc_id": pl.String,
        "payload_digest": pl.String,
        "charset": pl.String,  # that decoded it
        "charset_source": pl.String,  # bom | http | meta | utf-8 | detector
        "rel_canonical": pl.String,  # the address that the page gives as its own; "" where none
        "surrogates": pl.Int32,  # lone surrogates replaced
    }
)
_PLANNED = "pages.parquet"
# What the parser says of a page; the rest is known from the index.
_FOUND = (*(field.name for field in fields(Page)), "charset", "charset_source")
_FILLED = ("title", "description", "section", "license", "license_id", "html_lang", "published", "rel_canonical")
_OK_STATUS = 299
_LEAST_BYTES = 1 << 20  # compressed: a fifth of a second's work, below which a shard is not cut for the workers' sake
_LIMITS = ("max_cpu_seconds", "max_memory_mb", "max_html_bytes", "max_text_bytes", "extractor")


def run(inputs: Inputs, out: WorkDir, config: ExtractedPagesConfig, progress: Progress) -> Report:
    """The stage's entry: see the module."""
    check_extractor(config.extractor)
    raw = inputs.one("raw_crawl")
    pages = (
        pl.read_parquet(raw.file("index.parquet"))
        .filter((pl.col("kind") == "page") & (pl.col("record_type") == "response"))
        .sort("warc_file", "offset")
    )
    pages.write_parquet(out.private / _PLANNED)
    shards = level(pages["length"].to_list(), config.shard_documents, config.shard_bytes, _LEAST_BYTES)
    try:
        threads = threads_here(len(shards), config.workers, config.executor)
        prepare(threads, _limits(config), config.stall_seconds, out.private / "parsers.log")
        run_shard_steps(
            "llm_assets.stages.extract.run:shard",
            {"crawl": out.partition, "shards": shards},
            len(shards),
            out.private / "steps",
            progress,
            places={"raw": str(raw.files), "files": str(out.files), "private": str(out.private)},
            config=config,
            inputs=[raw],
            executor=config.executor,
            workers=config.workers,
            threaded=True,
        )
    finally:
        end_kept()
    return _collect(out)


def load(config: ExtractedPagesConfig) -> None:
    """Start parsers for a crawl of any size."""
    prepare(threads_here(MOST_THREADS, config.workers, config.executor), _limits(config), config.stall_seconds)


def shard(arguments: Mapping[str, Any], rank: int) -> list[Path]:
    """Make one shard, in whatever process the executor chose; returns the files it wrote."""
    config = ExtractedPagesConfig.model_validate(arguments["config"])
    private = Path(arguments["private"])
    first, end = arguments["shards"][rank]
    pages = pl.read_parquet(private / _PLANNED).slice(first, end - first)
    texts, captures, ledger = extract(pages, Path(arguments["raw"]), arguments["crawl"], config, private / f"parser-{rank}.log")
    return [
        write_shard(private / "captures" / shard_name(rank), captures, CAPTURES),
        write_shard(private / "ledger" / shard_name(rank), ledger, LEDGER),
        write_shard(Path(arguments["files"]) / "shards" / shard_name(rank), texts, EXTRACTED),
    ]


def extract(
    pages: pl.DataFrame, raw: Path, crawl: str, config: ExtractedPagesConfig, log: Path
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(rows of EXTRACTED, rows of CAPTURES, ledger) for rows of a raw crawl's index, all page responses."""
    verdicts: dict[str, Verdict] = {}
    wanted = []
    for page in pages.iter_rows(named=True):
        early = _early(page, config)
        if early is None:
            wanted.append(page)
        else:
            verdicts[page["doc_id"]] = early
    found, replaced = list[dict[str, str]](), list[int]()
    with kept_supervisor(_limits(config), config.stall_seconds, log) as supervisor:
        answers = supervisor.answers([_job(page, raw) for page in wanted])
        for page, answer in zip(wanted, answers, strict=True):
            if "rule" in answer:
                verdict = Verdict(False, answer["rule"], answer["value"], answer["threshold"], detail=answer["detail"] or None)
                verdicts[page["doc_id"]] = verdict
            else:
                clean, surrogates = _without_surrogates(answer)
                found.append(clean)
                replaced.append(surrogates)
    ledger = [
        ledger_row(crawl, "extracted_pages", doc, url, verdicts.get(doc, KEEP))
        for doc, url in pages["doc_id", "url"].iter_rows()
    ]
    kept = pages.filter(pl.Series([doc not in verdicts for doc in pages["doc_id"]], dtype=pl.Boolean)).with_columns(
        *(pl.Series(name, [row[name] for row in found], pl.String) for name in _FOUND),
        pl.Series("host", map(_host, (page["canonical_url"] for page in wanted if page["doc_id"] not in verdicts)), pl.String),
        pl.Series("surrogates", replaced, pl.Int32),
    )
    return _frame(kept, EXTRACTED), _frame(kept, CAPTURES), ledger_frame(ledger)


def _frame(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    return rows.select(schema.names()).cast(schema)


def _host(canonical: str) -> str:
    return _hostname("/".join(canonical.split("/", 3)[:3]))


@lru_cache(4_096)
def _hostname(origin: str) -> str:
    return urlsplit(origin).hostname or ""


def _limits(config: ExtractedPagesConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in _LIMITS}


def _without_surrogates(found: dict[str, str]) -> tuple[dict[str, str], int]:
    """The fields with lone surrogates replaced, and how many there were (case B14)."""
    pairs = {name: replace_surrogates(value) for name, value in found.items()}
    return {name: value for name, (value, _) in pairs.items()}, sum(count for _, count in pairs.values())


def _early(page: dict[str, Any], config: ExtractedPagesConfig) -> Verdict | None:
    """What the index alone decides."""
    if opted_out := optouts.refused(page, config.honour_optouts):
        return opted_out
    if page["truncated"]:
        return Verdict(False, "truncated", detail="the record ends early")
    if page["status"] is not None and not 200 <= page["status"] <= _OK_STATUS:
        return Verdict(False, "http_status", float(page["status"]), float(_OK_STATUS))
    return None


def _job(page: dict[str, Any], raw: Path) -> dict[str, Any]:
    return {
        "path": f"{raw}/{page['warc_file']}",
        **{name: page[name] for name in ("offset", "length", "url", "content_type")},
        "fetched_at": page["fetched_at"].isoformat() if page["fetched_at"] else "",
    }


def _collect(out: WorkDir) -> Report:
    """Join the parts, and count from what they hold."""
    ledger = _parts(out.private / "ledger", LEDGER)
    captures = _parts(out.private / "captures", CAPTURES)
    captures.write_parquet(out.files / CAPTURES_FILE, compression="zstd")
    counts = write_ledger(out.files, ledger)
    columns = ["doc_id", *_FILLED, "text"]
    texts = _parts(out.files / "shards", EXTRACTED, columns)
    chars = texts["text"].str.len_chars()
    sizes = texts["text"].str.len_bytes()
    (out.files / "plots").mkdir(exist_ok=True)
    plots.histogram(out.files / "plots/lengths.png", chars.clip(0, 5_000).to_list(), title="Text a page", x="characters")
    shown = {"Text a page": "plots/lengths.png"}
    dropped = {key.removeprefix("dropped:"): count for key, count in counts.items() if key.startswith("dropped:")}
    if dropped:
        ordered = sorted(dropped.items(), key=lambda item: (-item[1], item[0]))
        path = out.files / "plots/dropped.png"
        plots.bars(path, [rule for rule, _ in ordered], [n for _, n in ordered], title="Pages without text, by rule", x="pages")
        shown["Pages without text"] = "plots/dropped.png"
    filled = texts.select((pl.col(name) != "").mean().fill_null(0.0).round(4).name.prefix("share_with_") for name in _FILLED)
    licenses = texts.filter(pl.col("license") != "").group_by("license_id").len("pages")
    charsets = captures.group_by("charset", "charset_source").len("pages")
    sampled = texts.bottom_k(3, by="doc_id").sort("doc_id")
    return Report(
        counts=counts,
        metrics={
            "text_bytes": int(sizes.sum()),
            "median_chars": texts.select(pl.col("text").str.len_chars().median().fill_null(0.0)).item(),
            "surrogates_replaced": int(captures["surrogates"].sum()),
            "shards": sum(1 for _ in (out.files / "shards").glob("*.parquet")),
            **filled.row(0, named=True),
        },
        plots=shown,
        tables={
            "Charsets": charsets.sort("pages", "charset", descending=[True, False]).to_dicts(),
            "Licences": licenses.sort("pages", "license_id", descending=[True, False]).head(20).to_dicts(),
        },
        samples={row["title"] or row["doc_id"]: row["text"][:500] for row in sampled.iter_rows(named=True)},
    )


def _parts(folder: Path, schema: pl.Schema, columns: list[str] | None = None) -> pl.DataFrame:
    parts = [pl.read_parquet(path, columns=columns) for path in sorted(folder.glob("*.parquet"))]
    wanted = pl.Schema({name: schema[name] for name in columns or schema.names()})
    return pl.concat(parts) if parts else pl.DataFrame(schema=wanted)
