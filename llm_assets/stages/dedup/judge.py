"""Who stays: evaluation text, then copies of what older crawls kept, then copies within the crawl, in judging order.

A text is dropped if it equals, or resembles by measured Jaccard similarity, one that was kept before it; so a crawl added later
never changes what an older one kept, and crawl by crawl gives what all at once would have given in the same order. A page that
changed at its own URL is new, however much it resembles its older capture, which it then supersedes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import compare_kernels
from llm_assets.stages.dedup.compare_kernels import EXACT, KEPT, NEAR, SET_ASIDE
from llm_assets.stages.dedup.contamination import Suite
from llm_assets.stages.dedup.index import OlderIndex, doc_id_strings
from llm_assets.stages.dedup.join import Join
from llm_assets.stages.dedup.signing import Texts

Array = npt.NDArray[Any]
SUPERSEDED = pl.Schema({"doc_id": pl.String, "by_doc_id": pl.String, "crawl": pl.String})
THIS_CRAWL = -1


@dataclass
class Verdicts:
    """What was found of each of n texts."""

    fate: Array  # (n,) int8: KEPT, EXACT, NEAR, SET_ASIDE
    best: Array  # (n,) float64: the highest similarity to a kept text
    crawl: Array  # (n,) int32: number of the older crawl that holds that text, or THIS_CRAWL
    partner: Array  # (n,) int64: its row in that crawl's index, or its number in this crawl
    item: Array  # (n,) int32: the evaluation item that was found in the text, or -1
    overlap: Array  # (n,) int32: runs of words that they share; 0 where the whole text is the item's


def judge(texts: Texts, older: list[OlderIndex], suite: Suite, config: DedupedShardsConfig, private: Path) -> Verdicts:
    """``texts`` in judging order."""
    verdicts = Verdicts(
        np.full(texts.size, KEPT, np.int8),
        np.zeros(texts.size),
        np.full(texts.size, THIS_CRAWL, np.int32),
        np.full(texts.size, -1, np.int64),
        _found_items(texts, suite),
        texts.overlap,
    )
    if config.contamination == "drop":
        verdicts.fate[verdicts.item >= 0] = SET_ASIDE
    _equal_in_older(texts, older, verdicts)
    wanted = np.flatnonzero((texts.ends > texts.starts) & (verdicts.fate == KEPT))
    join = Join(texts, wanted, older, config, private)
    _similar_in_older(texts, older, join, verdicts, config)
    _within(texts, join, verdicts, config)
    texts.let_go()
    return verdicts


def _found_items(texts: Texts, suite: Suite) -> Array:
    item = texts.item.copy()
    highs = np.array([high for high, _ in suite.exact], np.uint64)
    for number in np.flatnonzero(np.isin(texts.exact[:, 0], highs) & (item < 0)):
        item[number] = suite.exact.get((int(texts.exact[number, 0]), int(texts.exact[number, 1])), -1)
    return item


def _equal_in_older(texts: Texts, older: list[OlderIndex], verdicts: Verdicts) -> None:
    by_hash = np.lexsort((texts.exact[:, 1], texts.exact[:, 0]))
    for number, index in enumerate(older):
        open_ones = by_hash[verdicts.fate[by_hash] == KEPT]
        first, last, rows = index.find("exact", texts.exact[open_ones])
        equal = np.flatnonzero(last > first)
        found = open_ones[equal]
        verdicts.fate[found], verdicts.best[found], verdicts.crawl[found] = EXACT, 1.0, number
        verdicts.partner[found] = rows[first[equal]]


def _similar_in_older(
    texts: Texts, older: list[OlderIndex], join: Join, verdicts: Verdicts, config: DedupedShardsConfig
) -> None:
    urls = texts.urls[:, 0].copy()
    for number, index in enumerate(older):
        hits = join.hits(number)
        if hits is None:
            continue
        partner = np.full(texts.size, -1, np.int64)
        compare_kernels.against_older(
            hits.texts,
            hits.first,
            hits.last,
            index.band_rows(),
            index.array("shingles"),
            index.array("shingle_ends"),
            index.array("urls"),
            texts.shingles,
            texts.starts,
            texts.ends,
            urls,
            config.jaccard,
            verdicts.best,
            partner,
        )
        found = np.flatnonzero(partner >= 0)
        verdicts.crawl[found], verdicts.partner[found] = number, partner[found]


def _within(texts: Texts, join: Join, verdicts: Verdicts, config: DedupedShardsConfig) -> None:
    partner = np.full(texts.size, -1, np.int64)
    compare_kernels.settle(
        join.buckets.offsets,
        join.buckets.buckets,
        join.buckets.begins,
        join.buckets.room,
        texts.shingles,
        texts.starts,
        texts.ends,
        texts.urls[:, 0].copy(),
        _twins(texts.exact),
        config.jaccard,
        verdicts.best,
        verdicts.fate,
        partner,
    )
    found = np.flatnonzero(partner >= 0)
    verdicts.crawl[found], verdicts.partner[found] = THIS_CRAWL, partner[found]


def _twins(exact: Array) -> Array:
    """A number for each exact text that two or more share, -1 for all others: (n,) int64."""
    by_hash = np.lexsort((exact[:, 1], exact[:, 0]))
    ordered = exact[by_hash]
    same = (ordered[1:] == ordered[:-1]).all(axis=1)
    group = np.concatenate([np.zeros(min(1, len(exact)), np.int64), np.cumsum(~same)])
    shared = np.concatenate([same, [False]])[: len(exact)] | np.concatenate([[False], same])[: len(exact)]
    numbers = np.full(len(exact), -1, np.int64)
    numbers[by_hash[shared]] = np.unique(group[shared], return_inverse=True)[1]
    return numbers


def related(texts: Texts, verdicts: Verdicts, older: list[OlderIndex]) -> list[str | None]:
    """The kept twin of each dropped duplicate, by doc_id, whichever crawl holds it; None for all others."""
    found: list[str | None] = [None] * texts.size
    dropped = (verdicts.fate == EXACT) | (verdicts.fate == NEAR)
    for number in [THIS_CRAWL, *range(len(older))]:
        mine = np.flatnonzero(dropped & (verdicts.crawl == number))
        if not mine.size:
            continue
        rows = verdicts.partner[mine]
        ids = doc_id_strings(texts.doc_ids[rows]) if number == THIS_CRAWL else older[number].doc_ids(rows)
        for text, twin in zip(mine.tolist(), ids, strict=True):
            found[text] = twin
    return found


def superseded(texts: Texts, kept: Array, older: list[OlderIndex], crawl: str) -> pl.DataFrame:
    """Older kept captures of the URLs of this crawl's survivors, each with the survivor of that URL that was fetched last."""
    order = kept[np.lexsort((kept, texts.fetched[kept], texts.urls[kept, 1], texts.urls[kept, 0]))]
    urls = texts.urls[order]
    last_of_url = np.concatenate([(urls[1:] != urls[:-1]).any(axis=1), np.ones(min(1, order.size), bool)])
    newest = order[last_of_url]
    frames = []
    for index in older:
        first, last, rows = index.find("url_rows", texts.urls[newest])
        sizes = last - first
        hit = np.flatnonzero(sizes)
        places = np.concatenate([np.arange(first[at], last[at]) for at in hit]) if hit.size else np.empty(0, np.int64)
        frames.append(_pairs(index.doc_ids(rows[places]), texts, np.repeat(newest, sizes), index.crawl))
    # a text among several of its URL is superseded by the last of them
    replaced = np.flatnonzero(~last_of_url)
    by = newest[np.searchsorted(np.flatnonzero(last_of_url), replaced)]
    frames.append(_pairs(doc_id_strings(texts.doc_ids[order[replaced]]), texts, by, crawl))
    return pl.concat(frames)


def _pairs(old: list[str], texts: Texts, by: Array, crawl: str) -> pl.DataFrame:
    """Rows in the order in which the newer texts were judged."""
    frame = pl.DataFrame({"doc_id": old, "by_doc_id": doc_id_strings(texts.doc_ids[by]), "rank": by})
    return frame.sort("rank", maintain_order=True).select("doc_id", "by_doc_id", crawl=pl.lit(crawl)).cast(SUPERSEDED)
