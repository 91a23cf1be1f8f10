"""What may stop a deduplicated crawl: counts, too much removed, pairs that don't hold when measured again, evaluation text."""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from llm_assets.core.artefact import Inputs
from llm_assets.core.expectations import check
from llm_assets.core.ledger import LEDGER_FILE, counts_add_up, ledger_counts
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.dedup.contamination import load_suite
from llm_assets.stages.dedup.fingerprints import normalise, word_hashes
from llm_assets.stages.dedup.index import FOLDER
from llm_assets.stages.dedup.run import EXACT_DUPLICATE, NEAR_DUPLICATE, clusters

Shingles = set[tuple[int, ...]]


def gates(inputs: Inputs, files: Path, config: DedupedShardsConfig, report: Report) -> list[Gate]:
    """All of ``gate_names``, in that order."""
    ledger = pl.read_parquet(files / LEDGER_FILE)
    crawl = ledger["crawl"][0] if ledger.height else ""
    kept = pl.concat([pl.read_parquet(shard, columns=["doc_id", "lang", "n_bytes", "text"]) for shard in _shards(files)])
    return [
        _counts(inputs, ledger, kept),
        _removal(inputs, ledger, crawl, config),
        _cluster(ledger, config),
        _pairs(inputs, ledger, kept, config),
        _decontaminated(inputs, kept, config),
        _index(files, kept),
        check(
            "documents_table",
            kept.select("doc_id", "lang", "n_bytes"),
            [
                ("expect_column_values_to_not_be_null", {"column": "doc_id"}),
                ("expect_column_values_to_be_unique", {"column": "doc_id"}),
                ("expect_column_values_to_match_regex", {"column": "doc_id", "regex": "^[0-9a-f]{32}$"}),
                ("expect_column_values_to_not_be_null", {"column": "lang"}),
                ("expect_column_values_to_not_be_null", {"column": "n_bytes"}),
                ("expect_column_values_to_be_between", {"column": "n_bytes", "min_value": 0}),
            ],
        ),
    ]


def _shards(files: Path) -> list[Path]:
    return sorted(files.glob("shards/*.parquet"))


def _counts(inputs: Inputs, ledger: pl.DataFrame, kept: pl.DataFrame) -> Gate:
    counts = ledger_counts(ledger)
    came = sum(pl.scan_parquet(shard).select(pl.len()).collect().item() for shard in inputs.one("cleaned_corpus").shards())
    same = set(ledger.filter(pl.col("kept"))["doc_id"]) == set(kept["doc_id"])
    passed = counts_add_up(counts) and counts["documents_in"] == came and counts["kept"] == kept.height and same
    message = (
        f"{came:,} documents came in, the ledger has {counts['documents_in']:,} and keeps {counts['kept']:,}, "
        f"the shards hold {kept.height:,}"
    )
    return Gate("counts_add_up", passed, message, counts)


def _removal(inputs: Inputs, ledger: pl.DataFrame, crawl: str, config: DedupedShardsConfig) -> Gate:
    """Per host (case B16). Exact copies of what an older crawl holds don't count: that is what a re-crawl mostly is."""
    hosts = pl.concat(
        [
            pl.DataFrame(schema={"doc_id": pl.String, "host": pl.String}),
            *(pl.read_parquet(shard, columns=["doc_id", "host"]) for shard in inputs.one("cleaned_corpus").shards()),
        ]
    )
    own_copy = (pl.col("rule") == EXACT_DUPLICATE) & (pl.col("detail") == f"of {crawl}")
    rates = (
        ledger.join(hosts, on="doc_id")
        .group_by("host")
        .agg(documents=pl.len(), removed=((pl.col("rule") == NEAR_DUPLICATE) | own_copy).sum())
        .filter(pl.col("documents") >= config.min_host_documents)
        .with_columns(share=pl.col("removed") / pl.col("documents"))
        .sort(["share", "host"], descending=[True, False])
    )
    worst = rates.row(0, named=True) if rates.height else None
    passed = worst is None or worst["share"] <= config.max_removal_share
    message = f"no host has {config.min_host_documents} documents or more"
    if worst:
        message = (
            f"{worst['removed']:,} of {worst['documents']:,} documents of {worst['host']} go as duplicates; "
            f"at most {config.max_removal_share:.0%} may (deduped_shards.max_removal_share)"
        )
    return Gate("removal_rate", passed, message, {"hosts": rates.head(10).to_dicts()})


def _cluster(ledger: pl.DataFrame, config: DedupedShardsConfig) -> Gate:
    largest = clusters(ledger).head(5)
    size = int(largest["documents"][0]) if largest.height else 1
    limit = max(config.min_cluster_documents, int(config.max_cluster_share * ledger.height))
    message = (
        f"the largest cluster of near-duplicates has {size:,} documents; at most {limit:,} may "
        "(deduped_shards.max_cluster_share, min_cluster_documents)"
    )
    return Gate("largest_cluster", size <= limit, message, {"largest": largest.to_dicts(), "limit": limit})


def word_runs(texts: Iterable[str], width: int) -> list[Shingles]:
    """The set of runs of ``width`` words of each text, as tuples of word hashes: slow, and free of what the kernels shorten."""
    normalised = normalise(pl.Series(list(texts), dtype=pl.String)).to_list()
    hashes, ends = word_hashes(normalised)
    listed = hashes.tolist()
    starts = [0, *ends.tolist()]
    return [{tuple(listed[at : at + width]) for at in range(start, end - width + 1)} for start, end in pairwise(starts)]


def _pairs(inputs: Inputs, ledger: pl.DataFrame, kept: pl.DataFrame, config: DedupedShardsConfig) -> Gate:
    """A sample of dropped documents against the texts that they were dropped for."""
    rules = [EXACT_DUPLICATE, NEAR_DUPLICATE]
    sample = ledger.filter(pl.col("rule").is_in(rules)).sort("doc_id").head(config.sampled_documents)
    dropped = _texts(inputs.one("cleaned_corpus").shards(), sample["doc_id"].to_list())
    wanted = sample["related_doc"].drop_nulls().unique().to_list()
    twins = dict(kept.filter(pl.col("doc_id").is_in(wanted)).select("doc_id", "text").iter_rows())
    for older in inputs.many("deduped_shards"):
        twins |= _texts(older.shards(), wanted)
    wrong = []
    for row in sample.iter_rows(named=True):
        one, other = dropped.get(row["doc_id"]), twins.get(row["related_doc"])
        if one is None or other is None or not _holds(row["rule"], row["value"], one, other, config):
            wrong.append(row["doc_id"])
    message = f"{len(wrong)} of {sample.height} sampled pairs do not hold when measured again" + (
        f", the first is {wrong[0]}" if wrong else ""
    )
    return Gate("pairs_verified", not wrong, message, {"sampled": sample.height, "wrong": wrong[:20]})


def _holds(rule: str, value: float, one: str, other: str, config: DedupedShardsConfig) -> bool:
    if rule == EXACT_DUPLICATE:
        fold = re.compile(r"\s+")
        first, second = normalise(pl.Series([one, other])).to_list()
        return fold.sub("", first) == fold.sub("", second)
    mine, theirs = word_runs([one, other], config.shingle_words)
    measured = len(mine & theirs) / max(1, len(mine | theirs))
    return measured >= config.jaccard - 0.005 and abs(measured - value) <= 0.005  # 32-bit shingles may collide


def _texts(shards: list[Path], ids: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for shard in shards:
        rows = pl.scan_parquet(shard).filter(pl.col("doc_id").is_in(ids)).select("doc_id", "text").collect()
        found.update(dict(rows.iter_rows()))
    return found


def _decontaminated(inputs: Inputs, kept: pl.DataFrame, config: DedupedShardsConfig) -> Gate:
    """A sample of survivors against all evaluation items that are looked for by overlap."""
    suite = load_suite(inputs.one("eval_suite"), config.contamination_words)
    items: Shingles = set().union(*word_runs(suite.by_overlap(), config.contamination_words))
    sample = kept.sort("doc_id").head(config.sampled_documents)
    runs = word_runs(sample["text"].to_list(), config.contamination_words)
    dirty = [doc for doc, found in zip(sample["doc_id"], runs, strict=True) if found & items]
    whole = set(normalise(pl.Series(suite.texts, dtype=pl.String)).to_list())
    same = kept.select("doc_id", text=normalise(kept["text"])).filter(pl.col("text").is_in(list(whole)))["doc_id"].to_list()
    message = (
        f"{len(dirty)} of {sample.height} sampled survivors share {config.contamination_words} words in a row with an "
        f"evaluation item, {len(same)} of all {kept.height:,} equal one; rebuild eval_suite and this crawl together"
    )
    return Gate("decontaminated", not dirty and not same, message, {"sampled": sample.height, "documents": (dirty + same)[:20]})


def _index(files: Path, kept: pl.DataFrame) -> Gate:
    """The index names exactly the survivors, and what later crawls search is sorted."""
    folder = files / FOLDER
    named = pl.read_parquet(folder / "documents.parquet")["doc_id"]
    keys = np.load(folder / "band_keys.npy", mmap_mode="r")
    exact = np.load(folder / "exact.npy", mmap_mode="r")
    ends = np.load(folder / "shingle_ends.npy", mmap_mode="r")
    problems = []
    if sorted(named) != sorted(kept["doc_id"]):
        problems.append(f"it names {named.len():,} documents, the shards hold {kept.height:,}")
    if (keys[1:] < keys[:-1]).any() or (exact[0, 1:] < exact[0, :-1]).any():
        problems.append("its keys are not sorted")
    if not named.len() == exact.shape[1] == ends.size:
        problems.append("its files differ in length")
    message = "the index " + ("; ".join(problems) or f"names the {named.len():,} survivors and is sorted")
    return Gate("index_complete", not problems, message)
