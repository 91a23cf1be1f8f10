"""``cleaned_corpus``: each extracted shard standardised, judged, and stripped of personal data; the ledger says why not.

Runs as shard steps. A shard's texts and its part of the ledger are written together, and the totals are read from those files.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core import plots, suites
from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.documents import CLEANED, EXTRACTED
from llm_assets.core.ledger import LEDGER, write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.core.report import Report
from llm_assets.core.shards import shard_name, write_shard
from llm_assets.core.shardsteps import run_shard_steps
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.clean import pii
from llm_assets.stages.clean.filters import datatrove, measured, rules_of
from llm_assets.stages.clean.filters.base import Rule, count, judge, prepare
from llm_assets.stages.clean.language import LIKELY, expect, identify_all
from llm_assets.stages.clean.standardise import standardise_all

_NONSENSE = "Mixa lorem texto che oder with the und. " * 8
CAPTURES_FILE = "captures.parquet"  # of extracted_pages


def run(inputs: Inputs, out: WorkDir, config: CleanedCorpusConfig, progress: Progress) -> Report:
    """The stage's entry: see the module."""
    source = inputs.one("extracted_pages")
    shards = source.shards()
    (out.files / "shards").mkdir(exist_ok=True)
    (out.private / "ledger").mkdir(exist_ok=True)
    tombstones = inputs.maybe("tombstones")
    datatrove.build(config.datatrove_filters)  # so that a wrong name is told now, and not by every shard
    run_shard_steps(
        "llm_assets.stages.clean.run:shard",
        {"crawl": out.partition},
        len(shards),
        out.private / "steps",
        progress,
        places={
            "sources": [str(path) for path in shards],
            "files": str(out.files),
            "private": str(out.private),
            "tombstones": str(tombstones.files) if tombstones else "",
            "captures": str(source.files / CAPTURES_FILE),
        },
        config=config,
        inputs=[source, *([tombstones] if tombstones else [])],
        executor=config.executor,
        workers=config.workers,
        threaded=not config.datatrove_filters,  # which are written in Python, and hold the interpreter's lock
    )
    return _report(out, config)


def load(config: CleanedCorpusConfig) -> None:
    """Read both language models, load the compiled loops, which a text in no language calls all, and what checks them."""
    expect(LIKELY, config.language)
    row = {name: "" for name, kind in EXTRACTED.items() if kind == pl.String} | {"text": _NONSENSE}
    clean(pl.DataFrame([row], schema=EXTRACTED, orient="row"), "", config, Tombstones.load(None))
    suites.load()


def shard(arguments: Mapping[str, Any], rank: int) -> list[Path]:
    """One shard, in whatever process the executor chose; returns the files it wrote."""
    config = CleanedCorpusConfig.model_validate(arguments["config"])
    folder = arguments["tombstones"]
    stones = Tombstones.load(Artefact("tombstones", "all", "", Path(folder)) if folder else None)
    pages = pl.read_parquet(arguments["sources"][rank])
    if stones:
        pages = with_digests(pages, Path(arguments["captures"]))
    kept, ledger = clean(pages, arguments["crawl"], config, stones)
    return [
        write_shard(Path(arguments["private"]) / "ledger" / shard_name(rank), ledger, LEDGER),
        write_shard(Path(arguments["files"]) / "shards" / shard_name(rank), kept, CLEANED),
    ]


def with_digests(pages: pl.DataFrame, captures: Path) -> pl.DataFrame:
    """Extracted pages with the ``payload_digest`` of their capture, by which tombstones name a content."""
    return pages.join(
        pl.read_parquet(captures, columns=["doc_id", "payload_digest"]), on="doc_id", how="left", maintain_order="left"
    )


def clean(
    pages: pl.DataFrame, crawl: str, config: CleanedCorpusConfig, stones: Tombstones
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(kept documents with the CLEANED columns, ledger rows of all of them) for a frame of extracted pages.

    What the first rules drop for certain is not measured for the others: of a crawl of the web, most.
    """
    expect(pages.height, config.language)
    texts = standardise_all(pages["text"])
    frame = pages.with_columns(texts.alias("text"), raw=pl.col("text")).hstack(identify_all(texts, config.language))
    frame = _with_tombstones(frame, stones).with_row_index("_place")
    settled = frame.select(_settled(config)).to_series()
    out, left = frame.filter(settled), measured(frame.filter(~settled), config).drop("raw")
    first = _first_rules(config)
    verdicts = judge(left, [*first, *rules_of(config)])
    left, verdicts = _by_datatrove(left, verdicts, config)
    ledger = pl.concat([_ledger(out, judge(out, first), crawl), _ledger(left, verdicts, crawl)]).sort("_place").drop("_place")
    return _without_personal_data(left.filter(verdicts["kept"]), config), ledger.cast(LEDGER)


def _ledger(frame: pl.DataFrame, verdicts: pl.DataFrame, crawl: str) -> pl.DataFrame:
    """Rows of the ledger, and the ``_place`` of each."""
    return pl.concat([frame.select("_place", "doc_id", "url"), verdicts], how="horizontal").select(
        "_place",
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


def _with_tombstones(frame: pl.DataFrame, stones: Tombstones) -> pl.DataFrame:
    """Add ``_stone``: what names a document as taken down, or null."""
    if not stones:
        return frame.with_columns(_stone=pl.lit(None, pl.String))
    digests = frame["payload_digest"] if "payload_digest" in frame.columns else [""] * frame.height
    rows = zip(frame["url"], frame["doc_id"], digests, strict=True)
    found = [stones.match(url=url, doc_id=doc_id, sha256=digest or "") for url, doc_id, digest in rows]
    return frame.with_columns(pl.Series("_stone", found, pl.String))


def _first_rules(config: CleanedCorpusConfig) -> list[Rule]:
    """Tombstones, size and language: asked before any filter."""
    limits = config.language
    foreign = pl.when(~pl.col("lang").is_in(limits.languages)).then(pl.col("lang_score"))
    return [
        Rule("tombstone", pl.col("_stone").is_not_null().cast(pl.Int8), "at_most", 0, pl.col("_stone")),
        Rule("too_large", pl.col("text").str.len_bytes(), "at_most", config.max_text_bytes),
        # A language that isn't kept is dropped whatever its score; the score and its floor are told.
        Rule("language", foreign, "none", limits.min_score, pl.col("lang")),
    ]


def _settled(config: CleanedCorpusConfig) -> pl.Expr:
    """Whether the first rules drop a document whatever else is measured of it.

    Size is asked before the language, and of the text that C4's rules leave: one in another language that is too large as it
    came may be small enough by then.
    """
    foreign = ~pl.col("lang").is_in(config.language.languages)
    return pl.col("_stone").is_not_null() | (foreign & (pl.col("text").str.len_bytes() <= config.max_text_bytes))


def _by_datatrove(
    frame: pl.DataFrame, verdicts: pl.DataFrame, config: CleanedCorpusConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Frame and verdicts after datatrove's own filters looked at what is kept so far."""
    if not config.datatrove_filters:
        return frame, verdicts
    both = pl.concat([frame.with_row_index("_row"), verdicts.select(_kept="kept")], how="horizontal")
    asked = both.filter("_kept")
    rules, texts = datatrove.judge(asked, datatrove.build(config.datatrove_filters))
    rows = asked["_row"]
    if rows.len() and not texts.equals(asked["text"]):  # such as C4QualityFilter, which takes lines out
        frame = prepare(frame.with_columns(frame["text"].clone().scatter(rows, texts)), config)
    dropped = pl.DataFrame({"_row": rows, "_theirs": rules})
    theirs = frame.with_row_index("_row").select("_row").join(dropped, on="_row", how="left", maintain_order="left")["_theirs"]
    return frame, verdicts.with_columns(
        kept=pl.col("kept") & theirs.is_null(), rule=pl.when(theirs.is_not_null()).then(theirs).otherwise(pl.col("rule"))
    )


def _without_personal_data(frame: pl.DataFrame, config: CleanedCorpusConfig) -> pl.DataFrame:
    kinds = config.personal_data.kinds if config.personal_data.enabled else []
    n_pii = pl.Series([0] * frame.height, dtype=pl.Int32)
    for column in ("text", "title", "description"):
        texts, found = pii.replace_all(frame[column].fill_null(""), kinds)
        frame = frame.with_columns(texts.alias(column))
        n_pii = n_pii + found
    return (
        frame.with_columns(n_words=count("plain_words"), n_bytes=pl.col("text").str.len_bytes(), n_pii=n_pii)
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
    sampled = kept.bottom_k(3, by="doc_id").sort("doc_id").iter_rows(named=True)
    samples = {row["title"] or row["doc_id"]: row["text"][:500] for row in sampled}
    return Report(counts=counts, metrics=figures, plots=charts, samples=samples)
