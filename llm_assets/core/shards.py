"""Shards: how rows with texts are written, and how a list of documents is cut into shards.

Texts are long, so row groups are cut by bytes, not by rows: a reader never has to hold more than one group, and no
chunk comes near the 2 GiB at which 32-bit offsets wrap (case B51). Files appear by rename: whole or not at all.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from pathlib import Path

import polars as pl

_ROUND = 4
GROUP_BYTES = 32 * 2**20  # of the texts in a row group; the peak of a reader is a small multiple of it


def shard_name(rank: int) -> str:
    """``00000.parquet`` and so on."""
    return f"{rank:05d}.parquet"


def write_shard(path: Path, frame: pl.DataFrame, schema: pl.Schema, text: str = "text") -> Path:
    """Write rows in the order given, with exactly the columns of ``schema``; ``text`` is the column that decides the size.

    Returns ``path``.
    """
    frame = frame.select(schema.names()).cast(schema)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        frame.write_parquet(temporary, compression="zstd", row_group_size=group_rows(frame, text))
    return path


def rows_of(shard: Path, documents: Collection[str], columns: Sequence[str]) -> pl.DataFrame:
    """The rows of some documents, by ``doc_id``, in the order of the shard. Other columns are read only where one is there."""
    mine = pl.read_parquet(shard, columns=["doc_id"])["doc_id"].is_in(list(documents))
    if not mine.any():
        return pl.DataFrame(schema={name: pl.read_parquet_schema(shard)[name] for name in columns})
    return pl.read_parquet(shard, columns=list({"doc_id", *columns})).filter(mine).select(columns)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place at the end, or is gone if the writing failed."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def group_rows(frame: pl.DataFrame, text: str = "text") -> int:
    """Rows a group so that no group holds more than about ``GROUP_BYTES`` of text, however the sizes are spread."""
    if not frame.height or text not in frame.columns:
        return 65_536
    largest: int = frame.select(pl.col(text).str.len_bytes().max().fill_null(0)).item()
    return max(1, min(65_536, GROUP_BYTES // max(1, largest)))


def cut(sizes: Sequence[int], rows: int, size: int) -> list[tuple[int, int]]:
    """Cut a list into shards of at most ``rows`` rows and about ``size`` in all: (first, end) of each, at least one.

    The cuts depend on the list alone, so shards are the same however many workers make them.
    """
    found: list[tuple[int, int]] = []
    first = filled = 0
    for place, value in enumerate(sizes):
        if place > first and (place - first >= rows or filled + value > size):
            found.append((first, place))
            first, filled = place, 0
        filled += value
    return [*found, (first, len(sizes))]


def level(sizes: Sequence[int], rows: int, size: int, least: int) -> list[tuple[int, int]]:
    """As ``cut``, but of about one size, and as many as are a multiple of four: a few workers then finish together.

    No more are made for that than are of ``least`` size. None has more than ``rows`` rows.
    """
    found = cut(sizes, rows, size)
    total = sum(sizes)
    count = -(-len(found) // _ROUND) * _ROUND
    if count > len(found) and total < count * least:
        count = max(len(found), total // max(1, least))
    ends = list(accumulate(sizes))
    while 1 < count < len(sizes):
        bounds = [0, *(bisect_left(ends, number * total / count) + 1 for number in range(1, count)), len(sizes)]
        made = list(pairwise(bounds))
        if all(0 < end - first <= rows for first, end in made):
            return made
        if count >= 2 * len(found):
            break
        count += _ROUND
    return found
