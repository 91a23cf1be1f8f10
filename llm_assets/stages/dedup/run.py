"""``deduped_shards``: one crawl's survivors, compared among themselves and with what older crawls kept.

Texts are read and signed once, then judged in a fixed order (``order``), by the rules of ``judge``; repeated lines are looked
for among those that stay. What is written: survivors, the index of them, the ledger, which older pages they supersede, and how
much of each source went.
"""

from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import CLEANED
from llm_assets.core.ledger import write_ledger
from llm_assets.core.machine import available_cores
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.core.report import Report
from llm_assets.core.shards import shard_name, write_shard
from llm_assets.stages.dedup import lines, removal
from llm_assets.stages.dedup.compare_kernels import EXACT, KEPT, NEAR, SET_ASIDE
from llm_assets.stages.dedup.contamination import Suite, load_suite
from llm_assets.stages.dedup.fingerprints import EvalRuns, HashFunctions, fingerprint
from llm_assets.stages.dedup.index import IndexWriter, OlderIndex
from llm_assets.stages.dedup.judge import THIS_CRAWL, Verdicts, judge, related, superseded
from llm_assets.stages.dedup.order import judging_order
from llm_assets.stages.dedup.signing import Frames, Texts, heights, sign

Array = npt.NDArray[Any]
CONTAMINATED, EXACT_DUPLICATE, NEAR_DUPLICATE = "contaminated", "exact_duplicate", "near_duplicate"
RULES = {KEPT: "kept", EXACT: EXACT_DUPLICATE, NEAR: NEAR_DUPLICATE, SET_ASIDE: CONTAMINATED}


def run(inputs: Inputs, out: WorkDir, config: DedupedShardsConfig, progress: Progress) -> Report:
    """Judge one crawl. Raises ``InputError`` where an older crawl's index was made with other parameters."""
    frames = Frames(inputs.one("cleaned_corpus").shards())
    suite = load_suite(inputs.one("eval_suite"), config)
    older = [OlderIndex(artefact, config) for artefact in inputs.many("deduped_shards")]
    out.private.mkdir(parents=True, exist_ok=True)
    read, facts = sign(frames, config, suite.runs, out.private, progress)
    texts = read.ranked(judging_order(facts, inputs.maybe("extracted_pages"), config))
    del read, facts
    verdicts = judge(texts, older, suite, config, out.private)
    kept = np.flatnonzero(verdicts.fate == KEPT)
    repeated = None
    if config.repeated_lines.action != "keep":
        repeated = lines.find(frames.shards, texts, kept, older, config.repeated_lines, out.private)
    drawn = _plot(verdicts.best[verdicts.fate == NEAR], out.files)
    with ThreadPoolExecutor(1) as beside:  # the index is sorted while shards are compressed
        index = beside.submit(_write_index, out.files, texts, kept, repeated, config)
        changed, sources = _write_shards(frames, texts, kept, repeated, config, out.files)
        index.result()
    replaced = superseded(texts, kept, older, out.partition)
    replaced.write_parquet(out.files / "superseded.parquet", compression="zstd")
    ledger = _ledger(sources, texts, verdicts, replaced, changed, older, suite, config, out.partition)
    counts = write_ledger(out.files, ledger)
    shares = removal.count(pl.concat([sources, fates(ledger, out.partition).drop("doc_id")], how="horizontal"))
    shares.write_parquet(out.files / removal.TABLE, compression="zstd")
    report = _report(ledger, counts, shares, replaced, older, texts, drawn)
    _count_lines(report, changed, repeated)
    report.metrics |= _contamination_metrics(verdicts, config, older)
    return report


def load(config: DedupedShardsConfig) -> None:
    """Load the compiled loops that sign texts."""
    fingerprint(pl.Series(["a text of some few words"]), config, HashFunctions.of(config), EvalRuns())


def _write_index(files: Path, texts: Texts, kept: Array, repeated: lines.Repeated | None, config: DedupedShardsConfig) -> None:
    writer = IndexWriter(files)
    writer.save("doc_ids", texts.doc_ids[kept])
    writer.save("urls", texts.urls[kept, 0])
    writer.sorted_pairs("url_rows", texts.urls[kept])
    writer.sorted_pairs("exact", texts.exact[kept])
    writer.shingles(texts.shingles, texts.starts[kept], texts.ends[kept], texts.let_go)
    rows = np.flatnonzero(texts.ends[kept] > texts.starts[kept])  # texts without a shingle have no band
    writer.bands((texts.keys(band)[kept[rows]] for band in range(config.bands)), rows, config.bands)
    if repeated is not None:
        writer.save("lines", repeated.index)
    writer.finish(config, int(kept.size))


def _write_shards(
    frames: Frames,
    texts: Texts,
    kept: Array,
    repeated: lines.Repeated | None,
    config: DedupedShardsConfig,
    files: Path,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One shard of survivors for each shard that came in, rows in the order in which they came.

    Returns the rows of ``repeated_lines.parquet``, and the address and the sources of all documents that came in.
    """
    folder = files / "shards"
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("*.parquet"):
        stale.unlink()
    ranks = np.full(texts.size, -1, np.int64)
    ranks[texts.row[kept]] = kept
    starts = np.cumsum([0, *heights(frames.shards)])

    def one(number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        frame = frames.again(number)
        mine = ranks[starts[number] : starts[number + 1]]
        survivors = frame.filter(pl.Series(mine >= 0, dtype=pl.Boolean))
        rows = pl.DataFrame(schema=lines.SCHEMA)
        if repeated is not None:
            survivors, rows = lines.edit(survivors, mine[mine >= 0], repeated, config.repeated_lines)
        write_shard(folder / shard_name(number), survivors, CLEANED)
        return rows, _sources(frame)

    threads = 1 if repeated is not None else config.threads or available_cores()  # excerpts are those of the first page
    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(one, range(len(frames.shards))))
    changed = [pl.DataFrame(schema=lines.SCHEMA), *(rows for rows, _ in made)]
    sources = [_sources(pl.DataFrame(schema=CLEANED)), *(found for _, found in made)]
    if not frames.shards:
        write_shard(folder / shard_name(0), pl.DataFrame(schema=CLEANED), CLEANED)
    table = pl.concat(changed)
    if repeated is not None:
        table.write_parquet(files / lines.TABLE, compression="zstd")
    return table, pl.concat(sources)


def _sources(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("doc_id", "url", "host", "source_kind", language="lang")


def _ledger(
    documents: pl.DataFrame,
    texts: Texts,
    verdicts: Verdicts,
    replaced: pl.DataFrame,
    changed: pl.DataFrame,
    older: list[OlderIndex],
    suite: Suite,
    config: DedupedShardsConfig,
    crawl: str,
) -> pl.DataFrame:
    # a survivor may supersede several captures: the newest is named here, superseded.parquet has them all
    replaces = replaced.unique("by_doc_id", keep="last", maintain_order=True).select(doc_id="by_doc_id", replaces="doc_id")
    removed = changed.filter(pl.col("action") != lines.LEFT_WHOLE).select(
        "doc_id",
        note=pl.format(
            "{} repeated lines " + (lines.FLAGGED if config.repeated_lines.action == "flag" else "removed"), "lines"
        ),
    )
    names = {THIS_CRAWL: crawl, **{number: index.crawl for number, index in enumerate(older)}}
    place = np.argsort(texts.row)  # from judging order back to that of the shards
    item = verdicts.item[place]
    frame = documents.select("doc_id", "url").with_columns(
        pl.Series("fate", verdicts.fate[place]),
        pl.Series("best", verdicts.best[place]),
        pl.Series("twin", related(texts, verdicts, older), dtype=pl.String)[place],
        pl.Series("of", verdicts.crawl[place]).replace_strict(names, return_dtype=pl.String),
        pl.Series("item", [suite.ids[number] if number >= 0 else None for number in item.tolist()], dtype=pl.String),
        pl.Series("overlap", verdicts.overlap[place]),
    )
    frame = frame.join(replaces, on="doc_id", how="left", maintain_order="left")
    frame = frame.join(removed, on="doc_id", how="left", maintain_order="left")
    fate, kept = pl.col("fate"), pl.col("fate") == KEPT
    found = pl.when(pl.col("overlap") > 0).then(pl.format("{}: {} runs of words in common", "item", "overlap"))
    whole = found.when(pl.col("item").is_not_null()).then(pl.format("{}: its whole text", "item"))
    supersedes = pl.when(pl.col("replaces").is_not_null()).then(pl.lit("supersedes"))
    notes = pl.concat_str(supersedes, whole, "note", separator="; ", ignore_nulls=True)
    thresholds = {KEPT: None, EXACT: 1.0, NEAR: config.jaccard, SET_ASIDE: 1.0}
    return frame.select(
        "doc_id",
        "url",
        crawl=pl.lit(crawl),
        stage=pl.lit("deduped_shards"),
        kept=kept,
        rule=fate.replace_strict(RULES, return_dtype=pl.String),
        value=pl.when(fate == SET_ASIDE).then(pl.max_horizontal("overlap", 1).cast(pl.Float64)).when(~kept).then("best"),
        threshold=fate.replace_strict(thresholds, return_dtype=pl.Float64),
        related_doc=pl.when(kept).then("replaces").when(fate == SET_ASIDE).then("item").otherwise("twin"),
        detail=pl.when(kept)
        .then(pl.when(notes != "").then(notes))
        .when(fate == SET_ASIDE)
        .then(whole)
        .otherwise(pl.format("of {}", "of")),
    )


def fates(ledger: pl.DataFrame, crawl: str) -> pl.DataFrame:
    """What became of each document, as ``removal.count`` takes it."""
    exact = pl.col("rule") == EXACT_DUPLICATE
    own = (pl.col("detail") == f"of {crawl}").fill_null(False)
    return ledger.select(
        "doc_id",
        near=pl.col("rule") == NEAR_DUPLICATE,
        own_copies=exact & own,
        older_copies=exact & ~own,
        contaminated=pl.col("rule") == CONTAMINATED,
    )


def _contamination_metrics(verdicts: Verdicts, config: DedupedShardsConfig, older: list[OlderIndex]) -> dict[str, Any]:
    names = [index.crawl for index in older]
    patterns = [wanted for wanted in config.against if wanted != "*" and not any(fnmatchcase(name, wanted) for name in names)]
    return {"contaminated_documents": int((verdicts.item >= 0).sum()), "against_without_a_crawl": patterns}


def _count_lines(report: Report, changed: pl.DataFrame, repeated: lines.Repeated | None) -> None:
    if repeated is None:
        return
    by_action = {action: part for (action,), part in changed.group_by("action")}
    for action in (lines.REMOVED, lines.FLAGGED, lines.LEFT_WHOLE):
        part = by_action.get(action, changed.head(0))
        report.counts[f"lines_{action}"] = int(part["lines"].sum())
        report.counts[f"documents_with_lines_{action}"] = part.height
    report.metrics["repeated_lines_bytes"] = int(changed.filter(pl.col("action") != lines.LEFT_WHOLE)["bytes"].sum())
    report.tables["Lines repeated most"] = [
        {"repetitions": count, "line": repeated.excerpts.get(value, "")} for value, count in repeated.counts.items()
    ]


def _plot(similarities: Array, files: Path) -> dict[str, str]:
    """Draw how similar near-duplicates are; title and path, as a report has them."""
    if not similarities.size:
        return {}
    path = "plots/similarity.png"
    plots.histogram(files / path, similarities.tolist(), title="Near-duplicates", x="Jaccard similarity", bins=20)
    return {"Similarity of near-duplicates": path}


def _report(
    ledger: pl.DataFrame,
    counts: dict[str, int],
    shares: pl.DataFrame,
    replaced: pl.DataFrame,
    older: list[OlderIndex],
    texts: Texts,
    drawn: dict[str, str],
) -> Report:
    near = ledger.filter(pl.col("rule") == NEAR_DUPLICATE)
    largest = clusters(ledger).head(10)
    across = ledger.filter(pl.col("rule").is_in([EXACT_DUPLICATE, NEAR_DUPLICATE])).group_by("detail").len().sort("detail")
    return Report(
        counts={**counts, "superseded": replaced.height},
        metrics={
            "older_crawls": [index.crawl for index in older],
            "duplicates_by_crawl": {of.removeprefix("of "): int(n) for of, n in across.iter_rows()},
            "largest_cluster": int(largest["documents"].max() or 1),  # type: ignore[arg-type]
            "shingles": int(texts.shingles.size),
        },
        plots=drawn,
        tables={
            "Largest clusters": largest.to_dicts(),
            "Near-duplicates": near.select("url", "related_doc", pl.col("value").round(3)).head(8).to_dicts(),
            "Sources": shares.sort("documents", descending=True).head(12).to_dicts(),
        },
    )


def clusters(ledger: pl.DataFrame) -> pl.DataFrame:
    """Kept texts by how many near-duplicates were dropped for them, the kept one counted; largest first."""
    near = ledger.filter(pl.col("rule") == NEAR_DUPLICATE)
    return near.group_by("related_doc").agg(documents=pl.len() + 1).sort(["documents", "related_doc"], descending=[True, False])
