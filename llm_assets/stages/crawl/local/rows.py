"""Rows of JSONL and Parquet as documents: streamed, one bad row costs itself, a damaged file what comes after the damage.

A lone surrogate is replaced (case B14), a row above the limit is left out without being held (case B51).
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from backports import zstd

from llm_assets.core.documents import replace_surrogates
from llm_assets.core.recipe.sources import SOURCE_KINDS, LocalFiles
from llm_assets.stages.crawl.local.documents import PLAIN, UTF8, Document, Rejected, moment_of

_ESCAPES = 6  # "\u0041": a character of JSON may take so many bytes
_LINE_ROOM = 1_048_576  # other columns of a line
_BATCH_ROWS = 64
_OPTIONAL = ("url", "date", "title", "language", "license", "source_kind")
Item = Document | Rejected


def jsonl(path: Path, config: LocalFiles) -> Iterator[Item]:
    """Documents of a file of JSON lines, gzip and zstd by its name."""
    limit = config.max_document_bytes * _ESCAPES + _LINE_ROOM
    number = -1
    columns: set[str] = set()
    try:
        with _opened(path) as handle:
            for number, line in enumerate(_lines(handle, limit)):
                if line is None:
                    yield Rejected("row_too_large", f"a line longer than {limit} bytes", f"row={number}")
                elif line.strip():
                    yield _json_row(line, number, config, columns)
    except (OSError, EOFError, zlib.error, zstd.ZstdError) as error:
        yield Rejected("file_broken", f"after row {number}: {error}"[:200])
        return
    if number < 0:
        yield Rejected("file_empty", "no line")
        return
    missing = _misnamed(config, columns)
    if missing:
        yield Rejected("file_columns", missing)


def _opened(path: Path) -> BinaryIO:
    if path.name.endswith(".gz"):
        return cast(BinaryIO, gzip.open(path, "rb"))
    return cast(BinaryIO, zstd.open(path, "rb")) if path.name.endswith(".zst") else open(path, "rb")


def _lines(handle: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """Lines, None for one above the limit, of which no more than the limit is ever held."""
    while line := handle.readline(limit + 1):
        if len(line) <= limit or line.endswith(b"\n"):
            yield line
            continue
        while (rest := handle.readline(limit)) and not rest.endswith(b"\n"):
            pass
        yield None


def _json_row(line: bytes, number: int, config: LocalFiles, columns: set[str]) -> Item:
    place = f"row={number}"
    try:
        row = _loads(line)
    except ValueError as error:
        return Rejected("row_broken", str(error)[:200], place)
    if not isinstance(row, dict):
        return Rejected("row_broken", f"a row is an object, not a {type(row).__name__}", place)
    columns.update(row)
    return document_of(row, place, config)


def _loads(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:  # lone surrogates, NaN
        return json.loads(line.decode("utf-8", "replace"))


def parquet(path: Path, config: LocalFiles) -> Iterator[Item]:
    """Documents of a Parquet file, a few rows in memory at a time."""
    try:
        with pq.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            there = set(file.schema_arrow.names)
            missing = _misnamed(config, there, whole=True)
            if missing:
                yield Rejected("file_columns", missing)
                return
            wanted = [name for name in _columns(config).values() if name in there]
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=wanted):
                for row in _batch_rows(batch):
                    yield document_of(row, f"row={number}", config)
                    number += 1
            if not number:
                yield Rejected("file_empty", "no row")
    except (pa.ArrowException, OSError) as error:
        yield Rejected("file_broken", str(error)[:200])


def _batch_rows(batch: pa.RecordBatch) -> Iterable[Mapping[str, Any]]:
    names = batch.schema.names
    for number in range(batch.num_rows):
        yield {name: _value(batch.column(place)[number]) for place, name in enumerate(names)}


def _value(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except (UnicodeDecodeError, ValueError):
        return None


def _columns(config: LocalFiles) -> dict[str, str]:
    """Field → column, of the columns that are named."""
    named = {name: getattr(config, f"{name}_column") for name in ("text", *_OPTIONAL)}
    return {name: column for name, column in named.items() if column}


def _misnamed(config: LocalFiles, there: set[str], whole: bool = False) -> str:
    """What is wrong with the mapping: a column that the recipe names itself and no row has. "" where nothing is.

    The text column is judged row by row where the rows need not be alike (``whole`` False).
    """
    standard = type(config).model_fields
    for name, column in _columns(config).items():
        own = column != standard[f"{name}_column"].default
        if column not in there and (own or (name == "text" and whole)):
            shown = ", ".join(sorted(there)[:20]) or "none"
            return f"no column {column!r}; there are {shown}; name it in raw_crawl.local.{name}_column"
    return ""


def document_of(row: Mapping[str, Any], place: str, config: LocalFiles) -> Item:
    """A row's document, or why it gives none."""
    given = {name: row.get(column) for name, column in _columns(config).items()}
    text = given.get("text")
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str) or not text.strip():
        had = "is empty" if isinstance(text, str) or text is None else f"is a {type(text).__name__}"
        return Rejected("row_empty", f"the column {config.text_column!r} {had}", place)
    clean, replaced = replace_surrogates(text)
    body = clean.encode()
    if len(body) > config.max_document_bytes:
        return Rejected("row_too_large", f"{len(body)} bytes of text, at most {config.max_document_bytes}", place)
    words = {name: replace_surrogates(str(given.get(name) or ""))[0] for name in ("url", "title", "language", "license")}
    kind = str(given.get("source_kind") or "")
    return Document(
        body,
        PLAIN + UTF8,
        date=moment_of(given.get("date")),
        place=place,
        source_kind=kind if kind in SOURCE_KINDS else "",
        surrogates=replaced,
        **words,
    )
