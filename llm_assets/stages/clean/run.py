"""``cleaned_corpus``: each extracted shard standardised, judged, and stripped of personal data; the ledger says why not.

Runs as shard steps. A shard's texts and its part of the ledger are written together, and the totals are read from those files.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.documents import CLEANED
from llm_assets.core.ledger import KEPT, LEDGER, write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.corpus import CleanedCorpusConfig
from llm_assets.core.report import Report
from llm_assets.core.shards import shard_name, write_shard
from llm_assets.core.shardsteps import run_shard_steps
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.clean import pii
from llm_assets.stages.clean.filters import c4, rules_of
from llm_assets.stages.clean.filters.base import N_SYMBOL_FREE, judge, prepare
from llm_assets.stages.clean.filters.repetition import add_repetition
from llm_assets.stages.clean.language import identify
from llm_assets.stages.clean.standardise import standardise

CAPTURES_FILE = "captures.parquet"  # of extracted_pages
_VERDICT = {"kept": pl.Boolean, "rule": pl.String, "value": pl.Float64, "threshold": pl.Float64, "detail": pl.String}


def run(inputs: Inputs, out: WorkDir, config: CleanedCorpusConfig, progress: Progress) -> Report:
    """The stage's entry: see the module."""
    source = inputs.one("extracted_pages")
    shards = source.shards()
    (out.files / "shards").mkdir(exist_ok=True)
    (out.private / "ledger").mkdir(exist_ok=True)
    tombstones = inputs.maybe("tombstones")
    run_shard_steps(
        "llm_assets.stages.clean.run:shard",
        {
            "sources": [str(path) for path in shards],
            "files": str(out.files),
            "private": str(out.private),
            "crawl": out.partition,
            "config": config.model_dump(mode="json"),
            "tombstones": str(tombstones.files) if tombstones else "",
            "captures": str(source.files / CAPTURES_FILE),
        },
        len(shards),
        out.private / "steps",
        progress,
        workers=config.workers,
    )
    return _report(out, config)


def shard(arguments: Mapping[str, Any], rank: int) -> None:
    """One shard, in whatever process the executor chose."""
    config = CleanedCorpusConfig.model_validate(arguments["config"])
    folder = arguments["tombstones"]
    stones = Tombstones.load(Artefact("tombstones", "all", "", Path(folder)) if folder else None)
    pages = pl.read_parquet(arguments["sources"][rank])
    if stones:
        pages = with_digests(pages, Path(arguments["captures"]))
    kept, ledger = clean(pages, arguments["crawl"], config, stones)
    write_shard(Path(arguments["private"]) / "ledger" / shard_name(rank), ledger, LEDGER)
    write_shard(Path(arguments["files"]) / "shards" / shard_name(rank), kept, CLEANED)


def with_digests(pages: pl.DataFrame, captures: Path) -> pl.DataFrame:
    """Extracted pages with the ``payload_digest`` of their capture, by which tombstones name a content."""
    return pages.join(
        pl.read_parquet(captures, columns=["doc_id", "payload_digest"]), on="doc_id", how="left", maintain_order="left"
    )


def clean(
    pages: pl.DataFrame, crawl: str, config: CleanedCorpusConfig, stones: Tombstones
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(kept documents with the CLEANED columns, ledger rows of all of them) for a frame of extracted pages."""
    texts = [standardise(text) for text in pages["text"]]
    languages = [identify(text, config.language) for text in texts]
    if config.c4.enabled:
        texts = [c4.clean_lines(text, config.c4) for text in texts]
    frame = pages.with_columns(
        pl.Series("text", texts, pl.String),
        pl.Series("lang", [lang for lang, _ in languages], pl.String),
        pl.Series("lang_score", [score for _, score in languages], pl.Float32),
    )
    early = pl.DataFrame([_early(row, config, stones) for row in frame.iter_rows(named=True)], schema=_VERDICT, orient="row")
    measured = add_repetition(prepare(frame))
    late = judge(measured, rules_of(config)).with_columns(detail=pl.lit(None, pl.String))
    verdicts = _first_dropped(early, late)
    ledger = pl.concat([frame.select("doc_id", "url"), verdicts], how="horizontal").select(
        crawl=pl.lit(crawl),
        stage=pl.lit("cleaned_corpus"),
        doc_id="doc_id",
        url="url",
        kept="kept",
        rule="rule",
        value="value",
        threshold="threshold",
        related_doc=pl.lit(None, pl.String),
        detail="detail",
    )
    survivors = measured.filter(verdicts["kept"])
    return _without_personal_data(survivors, config), ledger.cast(LEDGER)


def _early(row: dict[str, Any], config: CleanedCorpusConfig, stones: Tombstones) -> dict[str, Any]:
    """What needs no measures: tombstones, size, language."""
    stone = stones.match(url=row["url"], doc_id=row["doc_id"], sha256=row.get("payload_digest") or "")
    if stone is not None:
        return {"kept": False, "rule": "tombstone", "value": None, "threshold": None, "detail": stone}
    size = len(row["text"].encode())
    if size > config.max_text_bytes:
        return {"kept": False, "rule": "too_large", "value": size, "threshold": config.max_text_bytes, "detail": None}
    if row["lang"] not in config.language.languages:
        return {
            "kept": False,
            "rule": "language",
            "value": row["lang_score"],
            "threshold": config.language.min_score,
            "detail": row["lang"],
        }
    return {"kept": True, "rule": KEPT, "value": None, "threshold": None, "detail": None}


def _first_dropped(early: pl.DataFrame, late: pl.DataFrame) -> pl.DataFrame:
    choose = early["kept"]
    return pl.DataFrame({name: late[name].zip_with(choose, early[name]) for name in _VERDICT})


def _without_personal_data(frame: pl.DataFrame, config: CleanedCorpusConfig) -> pl.DataFrame:
    kinds = config.personal_data.kinds if config.personal_data.enabled else []
    n_pii = [0] * frame.height
    for column in ("text", "title", "description"):
        replaced = [pii.replace(text or "", kinds) for text in frame[column]]
        frame = frame.with_columns(pl.Series(column, [text for text, _ in replaced], pl.String))
        n_pii = [count + len(found) for count, (_, found) in zip(n_pii, replaced, strict=True)]
    return (
        frame.with_columns(
            n_words=pl.col(N_SYMBOL_FREE),
            n_bytes=pl.col("text").str.len_bytes(),
            n_pii=pl.Series(n_pii, dtype=pl.Int32),
        )
        .select(CLEANED.names())
        .cast(CLEANED)
    )


def _report(out: WorkDir, config: CleanedCorpusConfig) -> Report:
    parts = sorted((out.private / "ledger").glob("*.parquet"))
    ledger = pl.concat([pl.read_parquet(path) for path in parts]) if parts else pl.DataFrame(schema=LEDGER)
    counts = write_ledger(out.files, ledger)
    shards = sorted((out.files / "shards").glob("*.parquet"))
    columns = ["doc_id", "lang", "n_words", "n_bytes", "n_pii", "title", "text"]
    kept = pl.concat([pl.read_parquet(path, columns=columns) for path in shards]) if shards else pl.DataFrame(schema=CLEANED)
    languages = Counter(dict(kept.group_by("lang").len().iter_rows()))
    dropped = {key.removeprefix("dropped:"): count for key, count in counts.items() if key.startswith("dropped:")}
    ordered = sorted(dropped.items(), key=lambda item: -item[1])
    figures: dict[str, Any] = {
        "bytes": int(kept["n_bytes"].sum()),
        "words": int(kept["n_words"].sum()),
        "personal_data_replaced": int(kept["n_pii"].sum()),
        "documents_by_language": dict(languages.most_common()),
        "shards": len(shards),
    }
    charts: dict[str, str] = {}
    if ordered:
        plots.bars(
            out.files / "dropped.png", [r for r, _ in ordered], [n for _, n in ordered], title="Dropped, by rule", x="pages"
        )
        charts["dropped by rule"] = "dropped.png"
    if kept.height:
        plots.histogram(out.files / "words.png", kept["n_words"].clip(0, 1000).to_list(), title="Words a document", x="words")
        charts["words a document"] = "words.png"
    sampled = kept.sort("doc_id").head(3).iter_rows(named=True)
    samples = {row["title"] or row["doc_id"]: row["text"][:500] for row in sampled}
    return Report(counts=counts, metrics=figures, plots=charts, samples=samples)
