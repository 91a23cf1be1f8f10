"""What may stop a deduplicated crawl: counts, too few rows, too much removed, pairs that don't hold, evaluation text, lost
lines.
"""

import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from llm_assets.core import suites
from llm_assets.core.artefact import Inputs
from llm_assets.core.documents import CLEANED
from llm_assets.core.ledger import LEDGER_FILE, counts_add_up, ledger_counts
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.core.report import Gate, Report
from llm_assets.core.shards import rows_of
from llm_assets.stages.dedup import lines, removal
from llm_assets.stages.dedup.contamination import load_suite
from llm_assets.stages.dedup.fingerprints import word_hashes
from llm_assets.stages.dedup.index import FOLDER, doc_id_strings
from llm_assets.stages.dedup.plain import normalise
from llm_assets.stages.dedup.run import CONTAMINATED, EXACT_DUPLICATE, NEAR_DUPLICATE, clusters, fates

Shingles = set[tuple[int, ...]]
_COLUMNS = ["doc_id", "url", "lang", "lang_score", "n_words", "n_bytes", "text"]


def gates(inputs: Inputs, files: Path, config: DedupedShardsConfig, report: Report) -> list[Gate]:
    """All of ``gate_names``, in that order."""
    ledger = pl.read_parquet(files / LEDGER_FILE)
    crawl = ledger["crawl"][0] if ledger.height else ""
    kept = pl.concat([pl.read_parquet(shard, columns=_COLUMNS) for shard in _shards(files)])
    return [
        _counts(inputs, ledger, kept),
        _rows(ledger, config),
        _removal(inputs, files, ledger, crawl, config),
        _cluster(ledger, config),
        _pairs(inputs, ledger, config),
        _decontaminated(inputs, ledger, kept, config),
        _lines(inputs, files, kept, config),
        _index(files, kept),
        *suites.check("deduped_shards", files, suites.measured(kept, pl.col("n_words")), config, CLEANED, _shards(files)),
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


def _rows(ledger: pl.DataFrame, config: DedupedShardsConfig) -> Gate:
    kept = int(ledger["kept"].sum())
    message = (
        f"{kept:,} of {ledger.height:,} documents are kept; at least {config.min_kept_documents:,} must be, "
        "where any came (deduped_shards.min_kept_documents)"
    )
    return Gate("minimum_rows", not ledger.height or kept >= config.min_kept_documents, message, {"kept": kept})


def _removal(inputs: Inputs, files: Path, ledger: pl.DataFrame, crawl: str, config: DedupedShardsConfig) -> Gate:
    """By host, registered domain, language and source kind, in itself and against older crawls (case B16).

    The shares are counted again, from the ledger and the sources that came in: a table that was written wrongly is refused too.
    """
    columns = ["doc_id", "host", "lang", "source_kind"]
    came = [pl.read_parquet(shard, columns=columns) for shard in inputs.one("cleaned_corpus").shards()]
    sources = pl.concat([pl.DataFrame(schema=removal.SOURCES), *(part.rename({"lang": "language"}) for part in came)])
    now = removal.count(sources.join(fates(ledger, crawl), on="doc_id"))
    if not now.equals(pl.read_parquet(files / removal.TABLE)):
        return Gate("removal_rate", False, f"{removal.TABLE} does not say what the ledger says; build this crawl again")
    found = removal.losses(now, removal.earlier(inputs.many("deduped_shards")), crawl, config)
    message = f"no source of {config.min_source_documents} documents or more loses an abnormal share as duplicates"
    if found.refused:
        message = (
            f"{'; '.join(found.refused[:3])} go as duplicates; at most {config.max_removal_share:.0%} may, and "
            f"{config.max_removal_rise:.0%} more than in older crawls. If that is right, say why in deduped_shards."
            "removal_overrides; if not, look at the ledger (deduped_shards.max_removal_share, max_removal_rise)"
        )
    elif found.excused:
        message = "; ".join(found.excused[:3])
    metadata = {
        "sources": found.judged.head(10).to_dicts(),
        "refused": found.refused,
        "overridden": found.excused,
        "unused_overrides": found.unused,
    }
    return Gate("removal_rate", not found.refused, message, metadata)


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


def sharing_runs(texts: list[str], items: list[str], width: int) -> list[bool]:
    """Whether each text has a run of ``width`` words that one of the items has, compared word by word as ``word_runs`` does.

    A run is put together only where each of its words stands at that place of a run of an item.
    """
    wanted: Shingles = set().union(*word_runs(items, width))
    hashes, ends = word_hashes(normalise(pl.Series(texts, dtype=pl.String)).to_list())
    begins = np.arange(max(0, hashes.size - width + 1))
    owner = np.searchsorted(ends, begins, side="right")
    begins = begins[begins + width <= ends[owner]]  # runs within one text
    for place, words in enumerate(zip(*wanted, strict=True)):
        begins = begins[np.isin(hashes[begins + place], np.array(words, np.uint64))]
    found = [False] * len(texts)
    for text, at in zip(np.searchsorted(ends, begins, side="right").tolist(), begins.tolist(), strict=True):
        found[text] = found[text] or tuple(hashes[at : at + width].tolist()) in wanted
    return found


def _pairs(inputs: Inputs, ledger: pl.DataFrame, config: DedupedShardsConfig) -> Gate:
    """A sample of dropped documents against the texts that they were dropped for, as they came from cleaning.

    Twins of older crawls are read from their survivors; those that lost repeated lines there are no longer the text that was
    compared, and are left out.
    """
    rules = [EXACT_DUPLICATE, NEAR_DUPLICATE]
    sample = ledger.filter(pl.col("rule").is_in(rules)).sort("doc_id").head(config.sampled_documents)
    wanted = sample["related_doc"].drop_nulls().unique().to_list()
    came = _texts(inputs.one("cleaned_corpus").shards(), [*sample["doc_id"], *wanted])
    own = set(ledger.filter(pl.col("kept"))["doc_id"])
    twins = {doc: came[doc] for doc in wanted if doc in came and doc in own}
    changed: set[str] = set()
    for older in inputs.many("deduped_shards"):
        twins |= _texts(older.shards(), wanted)
        changed |= _changed(older.files)
    wrong = []
    for row in sample.filter(~pl.col("related_doc").is_in(list(changed))).iter_rows(named=True):
        one, other = came.get(row["doc_id"]), twins.get(row["related_doc"])
        if one is None or other is None or not _holds(row["rule"], row["value"], one, other, config):
            wrong.append(row["doc_id"])
    message = f"{len(wrong)} of {sample.height} sampled pairs do not hold when measured again" + (
        f", the first is {wrong[0]}" if wrong else ""
    )
    left_out = int(sample["related_doc"].is_in(list(changed)).sum())
    return Gate("pairs_verified", not wrong, message, {"sampled": sample.height, "left_out": left_out, "wrong": wrong[:20]})


def _changed(files: Path) -> set[str]:
    """Documents of a crawl whose texts lost lines."""
    if not (files / lines.TABLE).is_file():
        return set()
    return set(pl.read_parquet(files / lines.TABLE).filter(pl.col("action") == lines.REMOVED)["doc_id"])


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
        found.update(dict(rows_of(shard, ids, ["doc_id", "text"]).iter_rows()))
    return found


def _decontaminated(inputs: Inputs, ledger: pl.DataFrame, kept: pl.DataFrame, config: DedupedShardsConfig) -> Gate:
    """A sample of survivors against all evaluation items that are looked for by runs of words, and all against whole texts.

    Where contaminated texts are only flagged, those that the ledger names are no surprise.
    """
    suite = load_suite(inputs.one("eval_suite"), config)
    named = ledger.filter(pl.col("kept") & pl.col("detail").str.contains(": (its whole text|[0-9]+ runs of words in common)"))
    judged = kept if config.contamination == "drop" else kept.join(named.select("doc_id"), on="doc_id", how="anti")
    sample = judged.sort("doc_id").head(config.sampled_documents)
    dirty: list[str] = []
    for width, texts in suite.by_width().items():
        sharing = sharing_runs(sample["text"].to_list(), texts, width)
        dirty += [doc for doc, found in zip(sample["doc_id"], sharing, strict=True) if found and doc not in dirty]
    whole = set(normalise(pl.Series(suite.texts, dtype=pl.String)).to_list())
    same = judged.select("doc_id", text=normalise(judged["text"])).filter(pl.col("text").is_in(list(whole)))["doc_id"].to_list()
    message = (
        f"{len(dirty)} of {sample.height} sampled survivors share {config.contamination_words} words in a row (or all "
        f"words of a short item) with an evaluation item, {len(same)} of all {judged.height:,} equal one; rebuild eval_suite "
        "and this crawl together"
    )
    items_hit = ledger.filter(pl.col("rule") == CONTAMINATED)["related_doc"].n_unique()
    metadata = {
        "sampled": sample.height,
        "documents": (dirty + same)[:20],
        "dropped": int((ledger["rule"] == CONTAMINATED).sum()),
        "flagged": named.height if config.contamination == "flag" else 0,
        "items_met": items_hit,
    }
    return Gate("decontaminated", not dirty and not same, message, metadata)


def _lines(inputs: Inputs, files: Path, kept: pl.DataFrame, config: DedupedShardsConfig) -> Gate:
    """How much of the texts went as repeated lines, measured on the texts that came in and those that stay."""
    came = 0
    if config.repeated_lines.action != "remove":
        return Gate(
            "repeated_lines", True, f"repeated lines are not removed (repeated_lines.action: {config.repeated_lines.action})"
        )
    for shard in inputs.one("cleaned_corpus").shards():
        sizes = pl.scan_parquet(shard).select("doc_id", size=pl.col("text").str.len_bytes()).collect()
        came += int(sizes.join(kept.select("doc_id"), on="doc_id", how="semi")["size"].sum())
    left = int(kept["text"].str.len_bytes().sum())
    share = 1 - left / max(1, came)
    limit = config.repeated_lines.max_removed_share
    told = pl.read_parquet(files / lines.TABLE).filter(pl.col("action") == lines.REMOVED)["bytes"].sum()
    right = came - left == told and bool((kept["n_bytes"] == kept["text"].str.len_bytes()).all())
    message = (
        f"{share:.1%} of the survivors' bytes went as repeated lines; at most {limit:.0%} may "
        "(deduped_shards.repeated_lines.max_removed_share)"
    )
    if not right:
        message = f"{lines.TABLE} names {told:,} bytes, the texts are {came - left:,} shorter; build this crawl again"
    return Gate("repeated_lines", right and share <= limit, message, {"removed_bytes": came - left, "share": share})


def _index(files: Path, kept: pl.DataFrame) -> Gate:
    """The index names exactly the survivors, and what later crawls search is sorted."""
    folder = files / FOLDER
    named = doc_id_strings(np.load(folder / "doc_ids.npy"))
    keys = np.load(folder / "band_keys.npy", mmap_mode="r")
    sorted_pairs = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("exact", "url_rows")]
    ends = np.load(folder / "shingle_ends.npy", mmap_mode="r")
    problems = []
    if sorted(named) != sorted(kept["doc_id"]):
        problems.append(f"it names {len(named):,} documents, the shards hold {kept.height:,}")
    if any((band[1:] < band[:-1]).any() for band in keys) or any((pair[0, 1:] < pair[0, :-1]).any() for pair in sorted_pairs):
        problems.append("its keys are not sorted")
    if len({len(named), ends.size, *(pair.shape[1] for pair in sorted_pairs)}) > 1:
        problems.append("its files differ in length")
    message = "the index " + ("; ".join(problems) or f"names the {len(named):,} survivors and is sorted")
    return Gate("index_complete", not problems, message)
