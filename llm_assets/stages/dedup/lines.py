"""Lines that many pages share: found among the survivors, and taken out of their texts or only listed, as the recipe says.

A line stays in the first ``max_pages`` pages that have it (all crawls counted, in judging order) and is repeated in every
later one; ``max_pages: 1`` is what CCNet does with paragraphs (Wenzek et al. 2020, section 3.1). So what an older crawl keeps
never depends on a later one, and crawl by crawl gives what all at once would have given. Two captures of one address are one
page: a page that changes every day does not lose its own paragraphs. Lines are equal if their words are; those inside a fenced
block of code are left alone.

Similarity is judged before, on whole texts. Occurrences are spilled to disk by ranges of their hash and judged range by range.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.recipe.corpus import RepeatedLines
from llm_assets.stages.dedup import kernels, line_kernels
from llm_assets.stages.dedup.fingerprints import word_hashes
from llm_assets.stages.dedup.index import OlderIndex, url_hashes
from llm_assets.stages.dedup.plain import normalise
from llm_assets.stages.dedup.signing import Texts

Array = npt.NDArray[Any]
TABLE = "repeated_lines.parquet"
SCHEMA = pl.Schema({"doc_id": pl.String, "lines": pl.Int32, "bytes": pl.Int64, "action": pl.String})
REMOVED, LEFT_WHOLE, FLAGGED = "removed", "left_whole", "flagged"
_PARTS_LOG2 = 4  # 16 ranges of the hash: a sixteenth of the occurrences in memory at a time
_WORD = r"\S*[\p{L}\p{N}]\S*"
_SHOWN = 8


@dataclass
class Repeated:
    """Repeated lines of the survivors: text ``texts[i]`` has the line with the hash ``lines[i]``."""

    texts: Array  # (m,) int64, sorted
    lines: Array  # (m,) uint64
    index: Array  # (2, k) uint64: for ``index/lines.npy``
    excerpts: dict[int, str] = field(default_factory=dict)  # of the lines that are repeated most, once they were met
    counts: dict[int, int] = field(default_factory=dict)  # repetitions of these


def split(texts: pl.Series, hosts: pl.Series, config: RepeatedLines) -> pl.DataFrame:
    """All lines: ``text`` (number of the text), ``line``, ``hash``, ``eligible`` (long enough, and no code)."""
    frame = pl.DataFrame({"text": np.arange(len(texts)), "host": hosts, "line": texts.str.split("\n")}).explode(
        "line", empty_as_null=False
    )
    fence = pl.col("line").str.starts_with("```")
    frame = frame.with_columns(code=fence | (fence.cast(pl.Int32).cum_sum().over("text") % 2 == 1))
    words, ends = word_hashes(normalise(frame["line"]).to_list())
    scopes = np.zeros(frame.height, np.uint64)
    if config.scope == "host":
        names = frame["host"].unique().sort()
        scopes = url_hashes(names)[:, 0][names.search_sorted(frame["host"]).to_numpy()].copy()
    return frame.select(
        "text",
        "line",
        hash=pl.Series(line_kernels.line_hashes(words, ends, scopes)),
        eligible=pl.Series(np.diff(ends, prepend=0) >= config.min_words) & ~pl.col("code"),
    )


def find(
    shards: list[Path], texts: Texts, kept: Array, older: list[OlderIndex], config: RepeatedLines, private: Path
) -> Repeated:
    """Repeated lines of the kept texts (numbers in judging order) of this crawl."""
    _spill(shards, _ranks(texts, kept), config, private)
    found, pairs = [], []
    for part in range(1 << _PARTS_LOG2):
        rows = np.fromfile(_part(private, part), np.uint64).reshape(-1, 2)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        lines, owners = rows[:, 0].copy(), rows[:, 1].astype(np.int64)
        distinct, numbers = np.unique(lines, return_inverse=True)
        known, known_ends = _known(distinct, older, config.max_pages)
        pages = texts.urls[:, 0].copy()
        flagged, fresh = line_kernels.repeats(numbers, owners, pages, known, known_ends, config.max_pages)
        found.append(np.stack([owners[flagged].astype(np.uint64), lines[flagged]]))
        mine = np.stack([lines[fresh], pages[owners[fresh]]])
        pairs.append(mine[:, np.lexsort((mine[1], mine[0]))])
    owners_and_lines = np.concatenate(found, axis=1)
    owners_and_lines = owners_and_lines[:, np.argsort(owners_and_lines[0], kind="stable")]
    repeated = Repeated(owners_and_lines[0].astype(np.int64), owners_and_lines[1], np.concatenate(pairs, axis=1))
    values, counts = np.unique(repeated.lines, return_counts=True)
    most = np.argsort(-counts, kind="stable")[:_SHOWN]
    repeated.counts = dict(zip(values[most].tolist(), counts[most].tolist(), strict=True))
    return repeated


def _ranks(texts: Texts, kept: Array) -> Array:
    """By row of the shards: the number of the text in judging order, -1 if it was not kept."""
    ranks = np.full(texts.size, -1, np.int64)
    ranks[texts.row[kept]] = kept
    return ranks


def _part(private: Path, part: int) -> Path:
    return private / f"lines-{part:02d}.u64"


def _spill(shards: list[Path], ranks: Array, config: RepeatedLines, private: Path) -> None:
    files = [open(_part(private, part), "wb") for part in range(1 << _PARTS_LOG2)]  # noqa: SIM115 - closed below
    try:
        start = 0
        for shard in shards:
            frame = pl.read_parquet(shard, columns=["host", "text"])
            mine = ranks[start : start + frame.height]
            start += frame.height
            here = np.flatnonzero(mine >= 0)
            lines = split(frame["text"].gather(here), frame["host"].gather(here), config).filter("eligible")
            lines = lines.select("hash", "text").unique(maintain_order=True)
            rows = np.stack([lines["hash"].to_numpy(), mine[here][lines["text"].to_numpy()].astype(np.uint64)], axis=1)
            part = rows[:, 0] >> np.uint64(64 - _PARTS_LOG2)
            for number, file in enumerate(files):
                np.ascontiguousarray(rows[part == number]).tofile(file)
    finally:
        for file in files:
            file.close()


def _known(distinct: Array, older: list[OlderIndex], limit: int) -> tuple[Array, Array]:
    """Pages of older crawls that have these lines, and where those of each line end."""
    owners, pages = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for index in older:
        lines, holders = index.array("lines")
        first, last = kernels.ranges(lines, distinct, limit + 1)
        for number in np.flatnonzero(last > first):
            pages.append(np.array(holders[first[number] : last[number]]))
            owners.append(np.full(pages[-1].size, number))
    owner = np.concatenate(owners)
    by_line = np.argsort(owner, kind="stable")
    return np.concatenate(pages)[by_line], np.cumsum(np.bincount(owner, minlength=distinct.size))


def edit(frame: pl.DataFrame, ranks: Array, repeated: Repeated, config: RepeatedLines) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Survivors of one shard without their repeated lines (``flag``: as they are), and the rows of ``repeated_lines.parquet``.

    ``ranks``: (rows,) their numbers in judging order.
    """
    first = np.searchsorted(repeated.texts, ranks, side="left")
    last = np.searchsorted(repeated.texts, ranks, side="right")
    touched = np.flatnonzero(last > first)
    if not touched.size:
        return frame, pl.DataFrame(schema=SCHEMA)
    part = frame[touched.tolist()]
    wanted = pl.DataFrame(
        {
            "text": np.repeat(np.arange(touched.size), (last - first)[touched]),
            "hash": np.concatenate([repeated.lines[first[at] : last[at]] for at in touched]),
            "repeated": True,
        }
    )
    lines = split(part["text"], part["host"], config).join(wanted, on=["text", "hash"], how="left", maintain_order="left")
    lines = lines.with_columns(go=pl.col("repeated").fill_null(False) & pl.col("eligible"))
    _keep_excerpts(lines, repeated)
    judged = lines.group_by("text", maintain_order=True).agg(
        kept=pl.col("line").filter(~pl.col("go")).str.join("\n").str.replace_all(r"\n{3,}", "\n\n").str.strip_chars("\n"),
        lines=pl.col("go").sum().cast(pl.Int32),
        words=pl.col("line").filter("go").str.count_matches(_WORD).sum().cast(pl.Int32),
        left=pl.col("line").filter(~pl.col("go")).str.count_matches(_WORD).sum(),
    )
    short = pl.col("left") < config.min_words_left
    action = pl.when(pl.lit(config.action == "flag")).then(pl.lit(FLAGGED)).when(short).then(pl.lit(LEFT_WHOLE))
    judged = judged.with_columns(
        before=part["text"], doc_id=part["doc_id"], action=action.otherwise(pl.lit(REMOVED)), row=pl.Series(touched)
    ).with_columns(bytes=pl.col("before").str.len_bytes().cast(pl.Int64) - pl.col("kept").str.len_bytes().cast(pl.Int64))
    changes = judged.filter(pl.col("action") == REMOVED).select("row", "kept", "words")
    return _changed(frame, changes), judged.select(SCHEMA.names()).cast(SCHEMA)


def _keep_excerpts(lines: pl.DataFrame, repeated: Repeated) -> None:
    missing = [value for value in repeated.counts if value not in repeated.excerpts]
    for value, line in lines.filter(pl.col("go") & pl.col("hash").is_in(missing)).select("hash", "line").iter_rows():
        repeated.excerpts.setdefault(value, line.strip()[:120])


def _changed(frame: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    joined = frame.with_row_index("row").cast({"row": pl.Int64}).join(changes, on="row", how="left", maintain_order="left")
    return (
        joined.with_columns(
            text=pl.coalesce("kept", "text"), n_words=(pl.col("n_words") - pl.col("words").fill_null(0)).clip(lower_bound=0)
        )
        .with_columns(
            n_bytes=pl.when(pl.col("kept").is_null()).then("n_bytes").otherwise(pl.col("text").str.len_bytes().cast(pl.Int64))
        )
        .select(frame.columns)
    )
