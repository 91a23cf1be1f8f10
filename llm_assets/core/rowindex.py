"""Where a document's rows are: sorted keys beside a table, so that a question about one page reads some rows, not millions.

``account/rows/<table>.<column>.npy`` is (2, rows) uint64: keys in ascending order, and the row of each. The key of a document
is the first 15 digits of its id, so that the first digits of an id are a range of keys; the key of an address is a CRC of what
is left of it without scheme, ``www.``, case, fragment and closing slash, so that other spellings of a page lie together. Keys
may collide: the rows themselves are compared. A table without an index is scanned.
"""

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

FOLDER = "account/rows"
# table → columns that questions ask by
TABLES: dict[str, tuple[str, ...]] = {
    "ledger.parquet": ("doc_id",),
    "index.parquet": ("doc_id", "canonical_url"),
    "documents.parquet": ("doc_id",),
    "superseded.parquet": ("doc_id",),
}
FIRST_LEDGER = ("doc_id", "url")  # of raw_crawl: addresses of which nothing was fetched have no document
GROUP_ROWS = 16_384  # rows in a Parquet group of a table that is asked by row: one answer decodes one group

_DIGITS = 15  # hex digits that fit a signed 64-bit integer
_MOST_ROWS = 64  # above it one scan is cheaper than reading groups one by one
_SCHEME = r"^[a-z][a-z0-9+.-]*://(?:www\.)?"
_CLOSING = r"(?:/index\.html?|/)$"

Entries = npt.NDArray[np.uint64]


def write(files: Path) -> None:
    """Index the tables of an artefact that questions ask by document or address."""
    folder = files / FOLDER
    first = (files / "index.parquet").is_file()
    for table, columns in TABLES.items():
        if not (files / table).is_file():
            continue
        wanted = FIRST_LEDGER if first and table == "ledger.parquet" else columns
        frame = pl.read_parquet(files / table, columns=list(wanted))
        folder.mkdir(parents=True, exist_ok=True)
        for column in wanted:
            np.save(folder / f"{table}.{column}.npy", _entries(frame[column]), allow_pickle=False)


def bare(address: str) -> str:
    """An address without scheme, ``www.``, case, fragment and closing slash or ``index.html``."""
    found: str = pl.select(bare_of(pl.lit(address, pl.String))).item()
    return found


def indexed(files: Path, table: str, column: str) -> bool:
    """Whether a table has an index by this column."""
    return (files / FOLDER / f"{table}.{column}.npy").is_file()


def of_documents(files: Path, table: str, documents: Sequence[str], columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows on any of these documents, in the order of the table. ``FileNotFoundError`` where the table is missing."""
    rows = _rows(files, table, "doc_id", (_span(doc) for doc in documents)) if documents else []
    wanted = pl.col("doc_id").is_in(list(documents))
    return _read(files / table, rows, wanted, columns)


def beginning_with(files: Path, table: str, digits: str) -> list[str]:
    """The documents whose id begins with these hex digits."""
    rows = _rows(files, table, "doc_id", [_span(digits)])
    return _read(files / table, rows, pl.col("doc_id").str.starts_with(digits), ["doc_id"])["doc_id"].unique().to_list()


def of_address(files: Path, table: str, column: str, address: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The rows whose ``column`` is the address but for its spelling (see ``bare``), in the order of the table."""
    key = _crc(bare(address))
    rows = _rows(files, table, column, [(key, key)])
    return _read(files / table, rows, bare_of(pl.col(column)) == bare(address), columns)


def bare_of(values: pl.Expr) -> pl.Expr:
    """``bare`` of a column of addresses."""
    plain = values.str.strip_chars().str.to_lowercase().str.replace(_SCHEME, "")
    return plain.str.split("#").list.first().str.replace(_CLOSING, "")


def _crc(plain: str) -> int:
    return zlib.crc32(plain.encode("utf-8", "surrogateescape"))


def _span(digits: str) -> tuple[int, int]:
    """First and last key of the documents that begin with these digits; the ids of tests may be no hex numbers."""
    head = digits[:_DIGITS]
    try:
        return int(head.ljust(_DIGITS, "0"), 16), int(head.ljust(_DIGITS, "f"), 16)
    except ValueError:
        return 0, 0


def _entries(values: pl.Series) -> Entries:
    if values.name == "doc_id":
        keys = values.str.slice(0, _DIGITS).str.pad_end(_DIGITS, "0").str.to_integer(base=16, strict=False).fill_null(0)
        numbers = keys.to_numpy().astype(np.uint64)
    else:
        plain = values.to_frame().select(bare_of(pl.col(values.name)))[values.name]
        numbers = np.fromiter((_crc(text or "") for text in plain), np.uint64, count=plain.len())
    order = np.argsort(numbers, kind="stable")
    return np.stack([numbers[order], order.astype(np.uint64)])


def _rows(files: Path, table: str, column: str, spans: Iterable[tuple[int, int]]) -> list[int] | None:
    """Numbers of the rows that may be meant, sorted; None where the table has no index."""
    path = files / FOLDER / f"{table}.{column}.npy"
    if not path.is_file():
        return None
    keys, numbers = np.load(path, mmap_mode="r")
    found: set[int] = set()
    for first, last in spans:
        start, end = np.searchsorted(keys, [np.uint64(first), np.uint64(last + 1)])
        found.update(numbers[start:end].tolist())
    return sorted(found)


def _read(path: Path, rows: list[int] | None, wanted: pl.Expr, columns: Sequence[str] | None) -> pl.DataFrame:
    table = pl.scan_parquet(path)
    if rows is None or len(rows) > _MOST_ROWS:
        found = table.filter(wanted)
    elif rows:
        found = pl.concat([table.slice(row, 1) for row in rows]).filter(wanted)
    else:
        found = table.head(0)
    return found.select(list(columns)).collect() if columns else found.collect()
