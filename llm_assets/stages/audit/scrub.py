"""Takes a text out of files that stay: samples and answers beside weights, reports, logs, Dagster's history.

Whatever string holds some of the text is replaced by a mark, nothing else changes; a file is swapped whole. Token ids that say
it are replaced by none. Data artefacts are not touched here: these are made anew.
"""

import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core.errors import InputError, StoreBusy
from llm_assets.core.jsonio import write_atomic
from llm_assets.stages.audit.needles import Needles
from llm_assets.stages.audit.search import Decoder, look, said

_SEGMENT = re.compile(r"(<[^<>]*>|\n)")
_SQLITE, _PARQUET = b"SQLite format 3\x00", b"PAR1"
_IDS = 8

Change = Callable[[Any], Any]


def scrub(path: Path, needles: Needles, mark: str, decoders: list[Decoder]) -> None:
    """Rewrite one file without the texts. Raises ``InputError`` where it still holds some, ``StoreBusy`` where it is locked."""
    head = path.read_bytes()[:16]

    def change(value: Any) -> Any:
        return changed(value, needles, mark, decoders)

    if head.startswith(_SQLITE):
        try:
            _database(path, needles, change)
        except sqlite3.OperationalError as error:
            raise StoreBusy(f"{path}: {error}; stop what has it open (the UI, the daemon), then say the same again") from error
    elif head.startswith(_PARQUET):
        write_atomic(path, _table(path, change))
    elif path.suffix in (".json", ".jsonl") or head[:1] in (b"{", b"["):
        write_atomic(path, _json(path.read_bytes(), change, lambda text: _segments(text, needles, mark)))
    else:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        write_atomic(path, _segments(text, needles, mark).encode("utf-8", "surrogateescape"))
    left = look(path, needles, decoders)
    if left is not None:
        raise InputError(f"{path} still holds what is taken down ({left.where}), and can't be changed; remove it, then go on")


def changed(value: Any, needles: Needles, mark: str, decoders: list[Decoder]) -> Any:
    """A JSON value, or a string that may be JSON itself, with the mark for each string that holds some of the texts."""
    if isinstance(value, str):
        return _string(value, needles, mark, decoders)
    if isinstance(value, dict):
        return {key: changed(item, needles, mark, decoders) for key, item in value.items()}
    if isinstance(value, list):
        if len(value) >= _IDS and all(isinstance(one, int) and not isinstance(one, bool) for one in value):
            return [] if any(needles.found_in(text) for text in said(value, decoders)) else value
        return [changed(item, needles, mark, decoders) for item in value]
    return value


def _string(value: str, needles: Needles, mark: str, decoders: list[Decoder]) -> str:
    """A string may be JSON itself, as in Dagster's events: then only what it holds is replaced."""
    if not needles.found_in(value):
        return value
    if value[:1] in ("{", "["):
        try:
            inner = json.loads(value)
        except ValueError:
            return mark
        outer = json.dumps(changed(inner, needles, mark, decoders), ensure_ascii=False)
        return mark if needles.found_in(outer) else outer
    return mark


def _segments(text: str, needles: Needles, mark: str) -> str:
    """Lines, and pieces between tags, that hold some of it; where a run goes over several, all of these lines."""
    parts = [mark if needles.found_in(part) else part for part in _SEGMENT.split(text)]
    plain = "".join(parts)
    return _windows(plain, needles, mark) if needles.found_in(plain) else plain


def _windows(text: str, needles: Needles, mark: str) -> str:
    lines = text.split("\n")
    for size in (2, 4, 8, 16):
        for at in range(len(lines)):
            if needles.found_in("\n".join(lines[at : at + size])):
                lines[at : at + size] = [mark] * len(lines[at : at + size])
    return "\n".join(lines)


def _json(data: bytes, change: Change, otherwise: Callable[[str], str]) -> bytes:
    try:
        return json.dumps(change(json.loads(data)), ensure_ascii=False, indent=1).encode() + b"\n"
    except ValueError:
        lines = data.decode("utf-8", "surrogateescape").splitlines(keepends=True)
    made = []
    for line in lines:
        try:
            made.append(json.dumps(change(json.loads(line)), ensure_ascii=False) + "\n")
        except ValueError:
            made.append(otherwise(line))
    return "".join(made).encode("utf-8", "surrogateescape")


def _table(path: Path, change: Change) -> bytes:
    frame = pl.read_parquet(path)
    columns = [pl.Series(one.name, [change(cell) for cell in one.to_list()], one.dtype, strict=False) for one in _texts(frame)]
    target = io.BytesIO()
    frame.with_columns(columns).write_parquet(target, compression="zstd")
    return target.getvalue()


def _texts(frame: pl.DataFrame) -> Iterator[pl.Series]:
    for column in frame.get_columns():
        if column.dtype == pl.String or column.dtype.is_nested():
            yield column


def _database(path: Path, needles: Needles, change: Change) -> None:
    """Change cells in place: Dagster may have the file open. What was there is overwritten, in the log of changes too."""
    with closing(sqlite3.connect(path, timeout=30)) as base:
        base.execute("pragma secure_delete = on")
        named = "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
        for (table,) in base.execute(named).fetchall():
            columns = [row[1] for row in base.execute(f'pragma table_info("{table}")')]
            for column in columns:
                for number, cell in _holding(base, table, column, needles):
                    base.execute(f'update "{table}" set "{column}" = ? where rowid = ?', (change(cell), number))
        base.commit()
        base.execute("vacuum")
        base.execute("pragma wal_checkpoint(truncate)")


def _holding(base: sqlite3.Connection, table: str, column: str, needles: Needles) -> Iterable[tuple[int, str]]:
    rows = base.execute(f'select rowid, "{column}" from "{table}" where typeof("{column}") = \'text\'')
    return [(number, cell) for number, cell in rows if needles.found_in(cell)]
