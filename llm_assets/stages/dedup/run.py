"""``deduped_shards``: one crawl's survivors, compared among themselves and with what all older crawls kept.

Texts are judged in a fixed order: older crawls first, within a crawl by fetch time, then URL. A text is dropped if it
equals, or resembles by measured Jaccard similarity, one that was kept before it; so a crawl added later never changes
what an older one kept, and crawl by crawl gives what all at once would have given. A page that changed at its own URL is
new, however much it resembles its older capture, which is then listed in ``superseded.parquet``.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import CLEANED
from llm_assets.core.ledger import write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.core.report import Report
from llm_assets.stages.dedup import kernels
from llm_assets.stages.dedup.contamination import Suite, load_suite
from llm_assets.stages.dedup.fingerprints import Fingerprints, HashFunctions, fingerprint
from llm_assets.stages.dedup.index import OlderIndex, url_hashes, write_index
from llm_assets.stages.dedup.kernels import EXACT, KEPT, NEAR, SET_ASIDE

Array = npt.NDArray[Any]

SUPERSEDED = pl.Schema({"doc_id": pl.String, "by_doc_id": pl.String, "crawl": pl.String})
CONTAMINATED, EXACT_DUPLICATE, NEAR_DUPLICATE = "contaminated", "exact_duplicate", "near_duplicate"
_META = ["doc_id", "url", "canonical_url", "host", "fetched_at"]
_GROUP_BYTES = 32 << 20  # text in one Parquet row group, so that readers and the writer stay small (case B51)


@dataclass
class Verdicts:
    """What was found of each of n texts, and of which kept text (by crawl and doc_id)."""

    fate: Array  # (n,) int8: KEPT, EXACT, NEAR, SET_ASIDE
    best: Array  # (n,) float64: the highest similarity to a kept text
    related: list[str | None]
    crawl: list[str | None] = field(default_factory=list)


def run(inputs: Inputs, out: WorkDir, config: DedupedShardsConfig, progress: Progress) -> Report:
    """Judge one crawl, write its survivors, the index of them, the ledger, and which older pages they supersede.

    Raises ``InputError`` where an older crawl's index was made with other parameters.
    """
    shards = inputs.one("cleaned_corpus").shards()
    suite = load_suite(inputs.one("eval_suite"), config.contamination_words)
    older = [OlderIndex(artefact, config) for artefact in inputs.many("deduped_shards")]
    documents, found = _read(shards, config, suite, progress)
    urls = url_hashes(documents["canonical_url"])
    order = _order(documents)
    verdicts = judge(documents, found, urls, order, older, suite, config, out.partition)
    kept = order[verdicts.fate[order] == KEPT]
    superseded = _superseded(documents, kept, older, out.partition)
    _write_shards(shards, documents, verdicts.fate == KEPT, out.files)
    write_index(out.files, found, urls, documents, kept, config)
    superseded.write_parquet(out.files / "superseded.parquet", compression="zstd")
    ledger = _ledger(documents, verdicts, superseded, config, out.partition)
    counts = write_ledger(out.files, ledger)
    return _report(ledger, counts, superseded, [index.crawl for index in older], found, out.files)


def _read(
    shards: list[Path], config: DedupedShardsConfig, suite: Suite, progress: Progress
) -> tuple[pl.DataFrame, Fingerprints]:
    """All texts of the crawl as fingerprints; one shard's text is in memory at a time."""
    functions = HashFunctions.of(config)
    frames, parts = [], []
    for number, shard in enumerate(shards):
        frame = pl.read_parquet(shard, columns=[*_META, "text"])
        parts.append(fingerprint(frame["text"], config, functions, suite.runs))
        frames.append(frame.drop("text"))
        progress.update(number + 1, len(shards), "shards")
    if not frames:
        empty = pl.Series(dtype=pl.String)
        return pl.DataFrame(schema={name: CLEANED[name] for name in _META}), fingerprint(empty, config, functions, suite.runs)
    return pl.concat(frames), Fingerprints.joined(parts)


def _order(documents: pl.DataFrame) -> Array:
    """Numbers of the documents in the order in which they are judged: no two runs differ in it."""
    ranked = documents.with_row_index("number").sort("fetched_at", "canonical_url", "doc_id")
    return ranked["number"].to_numpy().astype(np.int64)


def judge(
    documents: pl.DataFrame,
    found: Fingerprints,
    urls: Array,
    order: Array,
    older: list[OlderIndex],
    suite: Suite,
    config: DedupedShardsConfig,
    crawl: str,
) -> Verdicts:
    """Contamination, then copies in older crawls, then copies in this one."""
    count = documents.height
    verdicts = Verdicts(np.full(count, KEPT, np.int8), np.zeros(count), [None] * count, [None] * count)
    _contamination(found, suite, verdicts)
    long_enough = np.diff(found.ends, prepend=0) > 0
    used = np.zeros(found.keys.shape, np.int32)
    for index in older:
        _older(index, found, urls, long_enough, used, verdicts, config)
    _this_crawl(documents["doc_id"], found, urls, order, long_enough, used, verdicts, config, crawl)
    return verdicts


def _contamination(found: Fingerprints, suite: Suite, verdicts: Verdicts) -> None:
    verdicts.best[:] = np.where(found.overlap > 0, found.overlap, 0.0)
    for number in np.flatnonzero(found.overlap > 0):
        verdicts.fate[number], verdicts.related[number] = SET_ASIDE, suite.ids[found.item[number]]
    if not suite.exact:
        return
    for text, (high, low) in enumerate(found.exact.tolist()):
        item = suite.exact.get((high, low))
        if item is not None and verdicts.fate[text] == KEPT:
            verdicts.fate[text], verdicts.related[text], verdicts.best[text] = SET_ASIDE, suite.ids[item], 1.0


def _older(
    index: OlderIndex,
    found: Fingerprints,
    urls: Array,
    long_enough: Array,
    used: Array,
    verdicts: Verdicts,
    config: DedupedShardsConfig,
) -> None:
    twins = index.find_exact(found.exact)
    equal = np.flatnonzero((twins >= 0) & (verdicts.fate == KEPT))
    verdicts.fate[equal] = EXACT
    verdicts.best[equal] = 1.0
    first, last = index.find_bands(found.keys)
    skip = ~(long_enough & (verdicts.fate == KEPT))
    last[skip] = first[skip]
    partner = np.full(urls.size, -1, np.int64)
    kernels.against_older(
        found.shingles,
        found.ends,
        urls,
        first,
        last,
        index.band_rows,
        index.shingles,
        index.ends,
        index.urls,
        config.jaccard,
        config.bucket_limit,
        used,
        verdicts.best,
        partner,
    )
    partner[equal] = twins[equal]
    ids = index.documents["doc_id"]
    for number in np.flatnonzero(partner >= 0):
        verdicts.related[number], verdicts.crawl[number] = ids[int(partner[number])], index.crawl


def _this_crawl(
    ids: pl.Series,
    found: Fingerprints,
    urls: Array,
    order: Array,
    long_enough: Array,
    used: Array,
    verdicts: Verdicts,
    config: DedupedShardsConfig,
    crawl: str,
) -> None:
    buckets, n_buckets = _buckets(found.keys, long_enough & np.isin(verdicts.fate, (KEPT,)))
    # both halves of the exact hash decide; equal halves get equal numbers
    _, twins = np.unique(found.exact, axis=0, return_inverse=True)
    partner = np.full(ids.len(), -1, np.int64)
    kernels.settle(
        order,
        found.shingles,
        found.ends,
        urls,
        buckets,
        n_buckets,
        twins.ravel().astype(np.int64),
        int(twins.max(initial=-1)) + 1,
        config.jaccard,
        config.bucket_limit,
        used,
        verdicts.best,
        verdicts.fate,
        partner,
    )
    for number in np.flatnonzero(partner >= 0):
        verdicts.related[number], verdicts.crawl[number] = ids[int(partner[number])], crawl


def _buckets(keys: Array, wanted: Array) -> tuple[Array, int]:
    """Number the band keys that two or more wanted texts share; -1 for all others. (n, bands) int64, and how many there are."""
    buckets = np.full(keys.shape, -1, np.int64)
    values, inverse, counts = np.unique(keys[wanted].ravel(), return_inverse=True, return_counts=True)
    shared = counts > 1
    numbers = np.where(shared, np.cumsum(shared) - 1, -1)
    buckets[wanted] = numbers[inverse].reshape(-1, keys.shape[1])
    return buckets, int(shared.sum()) if values.size else 0


def _superseded(documents: pl.DataFrame, kept: Array, older: list[OlderIndex], crawl: str) -> pl.DataFrame:
    """Older kept captures of the URLs of this crawl's survivors, each with the newest survivor of that URL."""
    mine = documents.select("doc_id", "canonical_url")[kept]
    newest = mine.unique("canonical_url", keep="last", maintain_order=True).rename({"doc_id": "by_doc_id"})
    known = [index.documents.with_columns(crawl=pl.lit(index.crawl)) for index in older]
    known.append(mine.with_columns(crawl=pl.lit(crawl)))
    pairs = pl.concat(known).join(newest, on="canonical_url", maintain_order="left")
    return pairs.filter(pl.col("doc_id") != pl.col("by_doc_id")).select(SUPERSEDED.names()).cast(SUPERSEDED)


def _write_shards(shards: list[Path], documents: pl.DataFrame, kept: Array, files: Path) -> None:
    """One shard of survivors for each shard that came in, rows in the order in which they came."""
    folder = files / "shards"
    folder.mkdir(exist_ok=True)
    for stale in folder.glob("*.parquet"):
        stale.unlink()
    start = 0
    for number, shard in enumerate(shards):
        frame = pl.read_parquet(shard).select(CLEANED.names()).cast(CLEANED)
        mine = frame.filter(pl.Series(kept[start : start + frame.height], dtype=pl.Boolean))
        start += frame.height
        mean = max(1, int(mine["n_bytes"].mean() or 1))  # type: ignore[arg-type]
        size = max(1, min(100_000, _GROUP_BYTES // mean))
        mine.write_parquet(folder / f"{number:05d}.parquet", compression="zstd", row_group_size=size)
    if not shards:
        pl.DataFrame(schema=CLEANED).write_parquet(folder / "00000.parquet")


def _ledger(
    documents: pl.DataFrame, verdicts: Verdicts, superseded: pl.DataFrame, config: DedupedShardsConfig, crawl: str
) -> pl.DataFrame:
    # a survivor may supersede several captures: the newest is named here, superseded.parquet has them all
    replaced = superseded.unique("by_doc_id", keep="last").select(doc_id="by_doc_id", replaces="doc_id")
    frame = documents.select("doc_id", "url").with_columns(
        pl.Series("fate", verdicts.fate),
        pl.Series("best", verdicts.best),
        pl.Series("related", verdicts.related, dtype=pl.String),
        pl.Series("of", verdicts.crawl, dtype=pl.String),
    )
    frame = frame.join(replaced, on="doc_id", how="left", maintain_order="left")
    fate, kept = pl.col("fate"), pl.col("fate") == KEPT
    rules = {KEPT: "kept", EXACT: EXACT_DUPLICATE, NEAR: NEAR_DUPLICATE, SET_ASIDE: CONTAMINATED}
    thresholds = {KEPT: None, EXACT: 1.0, NEAR: config.jaccard, SET_ASIDE: 1.0}
    return frame.select(
        "doc_id",
        "url",
        crawl=pl.lit(crawl),
        stage=pl.lit("deduped_shards"),
        kept=kept,
        rule=fate.replace_strict(rules, return_dtype=pl.String),
        value=pl.when(~kept).then("best"),
        threshold=fate.replace_strict(thresholds, return_dtype=pl.Float64),
        related_doc=pl.when(kept).then("replaces").otherwise("related"),
        detail=pl.when(kept & pl.col("replaces").is_not_null())
        .then(pl.lit("supersedes"))
        .when(fate.is_in([EXACT, NEAR]))
        .then(pl.format("of {}", "of"))
        .when(fate == SET_ASIDE)
        .then(pl.lit(f"runs of {config.contamination_words} words in common, or the whole text")),
    )


def _report(
    ledger: pl.DataFrame, counts: dict[str, int], superseded: pl.DataFrame, older: list[str], found: Fingerprints, files: Path
) -> Report:
    near = ledger.filter(pl.col("rule") == NEAR_DUPLICATE)
    drawn = {}
    if near.height:
        (files / "plots").mkdir(exist_ok=True)
        plots.histogram(
            files / "plots/similarity.png", near["value"].to_list(), title="Near-duplicates", x="Jaccard similarity", bins=20
        )
        drawn = {"Similarity of near-duplicates": "plots/similarity.png"}
    largest = clusters(ledger).head(10)
    across = ledger.filter(pl.col("rule").is_in([EXACT_DUPLICATE, NEAR_DUPLICATE])).group_by("detail").len().sort("detail")
    return Report(
        counts={**counts, "superseded": superseded.height},
        metrics={
            "older_crawls": older,
            "duplicates_by_crawl": {of.removeprefix("of "): int(n) for of, n in across.iter_rows()},
            "largest_cluster": int(largest["documents"].max() or 1),  # type: ignore[arg-type]
            "shingles": int(found.shingles.size),
        },
        plots=drawn,
        tables={
            "Largest clusters": largest.to_dicts(),
            "Near-duplicates": near.select("url", "related_doc", pl.col("value").round(3)).head(8).to_dicts(),
        },
    )


def clusters(ledger: pl.DataFrame) -> pl.DataFrame:
    """Kept texts by how many near-duplicates were dropped for them, the kept one counted; largest first."""
    near = ledger.filter(pl.col("rule") == NEAR_DUPLICATE)
    return near.group_by("related_doc").agg(documents=pl.len() + 1).sort(["documents", "related_doc"], descending=[True, False])
