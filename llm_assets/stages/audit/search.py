"""Looks for a text in everything below a store: what is compressed is decompressed, what is token ids is decoded.

Read are WARC and other gzip and zstd files, all columns of Parquet files however nested, token shards and lists of token ids
(by every tokenizer of the store), SQLite databases, JSON, and all other files as text. Every byte is read: it takes as long as
reading the store. Weights are no text and are looked at as bytes alone.
"""

import gzip
import io
import json
import re
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from backports import zstd

from llm_assets.core.errors import InputError
from llm_assets.stages.audit.needles import Needles

_IDS = 8  # numbers in a row that may be token ids
_TOKENS_AT_ONCE = 1 << 20
_OVERLAP = 256  # tokens, or characters, that two pieces share: a run of words is never cut in two
_PIECE = 1 << 22  # characters looked at at once
_HEAD = 1 << 16
_MOST_ZEROS, _WIDE_ZEROS = 1 / 64, 1 / 4  # share of zero bytes in a text; in one of two bytes a character
_READABLE = re.compile(rb"[\t\n -~\x80-\xff]{24,}")
_SQLITE = b"SQLite format 3\x00"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Decoder:
    """One tokenizer: ids below ``size`` are its tokens."""

    size: int
    decode: Callable[[list[int]], str]


@dataclass(frozen=True)
class Hit:
    """A file that holds the text: ``where`` in it (column, table, …) and which ``words``."""

    path: Path
    where: str
    words: str


def tokenizers(root: Path) -> list[Decoder]:
    """How to turn ids into text, by each tokenizer that the store has; equal ones once."""
    from tokenizers import Tokenizer

    files = {path.read_bytes(): path for path in sorted(root.glob("tokenizer/*/*/tokenizer.json"))}
    engines = [Tokenizer.from_file(str(path)) for path in files.values()]
    return [Decoder(engine.get_vocab_size(), partial(engine.decode, skip_special_tokens=False)) for engine in engines]


def said(ids: list[int], decoders: list[Decoder]) -> Iterator[str]:
    """What ids say, by each tokenizer that has them all."""
    low, high = min(ids), max(ids)
    yield from (one.decode(ids) for one in decoders if low >= 0 and high < one.size)


def search(root: Path, needles: Needles, leave_out: Iterable[Path] = ()) -> Iterator[Hit]:
    """Every file below ``root`` that holds some of the texts, but for the folders left out; one hit a file."""
    decoders = tokenizers(root)
    apart = tuple(leave_out)
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.is_symlink() and not any(path.is_relative_to(folder) for folder in apart):
            hit = look(path, needles, decoders)
            if hit is not None:
                yield hit


def look(path: Path, needles: Needles, decoders: list[Decoder]) -> Hit | None:
    """The first place of a file that holds some of the texts."""
    for where, text in texts_of(path, decoders):
        found = needles.found_in(text)
        if found:
            return Hit(path, where, found)
    return None


def texts_of(path: Path, decoders: list[Decoder]) -> Iterator[tuple[str, str]]:
    """(where, text) of all that a file says."""
    yield "its name", path.name
    data = path.read_bytes()
    yield from _texts(path.name, data, decoders)


def _texts(name: str, data: bytes, decoders: list[Decoder]) -> Iterator[tuple[str, str]]:
    if data.startswith(b"\x1f\x8b"):
        yield from _texts(name.removesuffix(".gz"), _gunzip(data), decoders)
    elif data.startswith(_ZSTD):
        yield from _texts(name.removesuffix(".zst"), _unzstd(data), decoders)
    elif data.startswith(b"PAR1"):
        yield from _parquet(data, decoders)
    elif data.startswith(_SQLITE):
        yield from _sqlite(data, decoders)
        yield from _plain(data)  # and what deleted rows left
    elif data.startswith(b"\x93NUMPY"):
        yield from _array(data, decoders)
    else:
        if data[:1] in (b"{", b"["):
            yield from _json(data, decoders)
        yield from _plain(data)


def _gunzip(data: bytes) -> bytes:
    """All members; what follows a damaged one is not lost: each begins anew."""
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        parts, left = [], data
        while left.startswith(b"\x1f\x8b"):
            inflater = zlib.decompressobj(wbits=31)
            try:
                parts.append(inflater.decompress(left))
            except zlib.error:
                break
            left = inflater.unused_data
        return b"".join(parts)


def _unzstd(data: bytes) -> bytes:
    try:
        return zstd.decompress(data)
    except zstd.ZstdError:  # cut off: what can be read is looked at
        return b"".join(_whole_parts(data))


def _whole_parts(data: bytes) -> Iterator[bytes]:
    inflater = zstd.ZstdDecompressor()
    for start in range(0, len(data), 1 << 16):
        try:
            yield inflater.decompress(data[start : start + (1 << 16)])
        except (zstd.ZstdError, EOFError):
            return


def _plain(data: bytes) -> Iterator[tuple[str, str]]:
    zeros = data.count(b"\x00", 0, _HEAD) / max(1, min(len(data), _HEAD))
    if zeros < _MOST_ZEROS:
        yield from _pieces(data.decode("utf-8", "replace"))
        return
    # no text: of weights only what could be read is looked at
    runs = [found.decode("utf-8", "replace") for found in _READABLE.findall(data)]
    yield from (("readable bytes", "\n".join(runs[start : start + 10_000])) for start in range(0, len(runs), 10_000))
    if zeros > _WIDE_ZEROS:
        yield from _pieces(data.decode("utf-16-le", "replace"))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    for start in range(0, len(text), _PIECE):
        yield f"text from character {start:,} on", text[start : start + _PIECE + _OVERLAP]


def _json(data: bytes, decoders: list[Decoder]) -> Iterator[tuple[str, str]]:
    try:
        documents = [json.loads(data)]
    except ValueError:
        documents = [value for line in data.splitlines() if (value := _value(line)) is not None]
    for document in documents:
        yield from _ids(document, "", decoders)


def _value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


def _ids(value: Any, where: str, decoders: list[Decoder]) -> Iterator[tuple[str, str]]:
    """Lists of numbers, however deep, as text. The strings of a JSON file are read with the file."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _ids(item, f"{where}.{key}", decoders)
    elif isinstance(value, list):
        if len(value) >= _IDS and all(isinstance(one, int) and not isinstance(one, bool) for one in value):
            yield from ((f"ids in {where}", text) for text in said(value, decoders))
        else:
            for item in value:
                yield from _ids(item, where, decoders)


def _parquet(data: bytes, decoders: list[Decoder]) -> Iterator[tuple[str, str]]:
    frame = pl.read_parquet(io.BytesIO(data))
    for column in frame.get_columns():
        if isinstance(column.dtype, pl.List | pl.Array) and column.dtype.inner.is_integer():
            lists = (one.to_list() for one in column.drop_nulls() if len(one) >= _IDS)
            yield from ((f"ids in column {column.name}", text) for one in lists for text in said(one, decoders))
        elif column.dtype == pl.Binary:
            yield from ((f"column {column.name}", one.decode("utf-8", "replace")) for one in column.drop_nulls())
        elif column.dtype == pl.String or column.dtype.is_nested():
            cells = column.drop_nulls().to_list()
            texts = cells if column.dtype == pl.String else [json.dumps(one, default=str) for one in cells]
            yield from ((f"column {column.name}", text) for text in dict.fromkeys(texts))
    yield from _footer(data)


def _footer(data: bytes) -> Iterator[tuple[str, str]]:
    """Statistics and key-value data, where values may be repeated."""
    size = int.from_bytes(data[-8:-4], "little")
    yield "footer", data[-8 - size : -8].decode("utf-8", "replace")


def _sqlite(data: bytes, decoders: list[Decoder]) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(":memory:")) as base:
        base.deserialize(_unlogged(data))
        base.text_factory = lambda raw: raw.decode("utf-8", "replace")
        tables = [row[0] for row in base.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            for row in base.execute(f'select * from "{table}"'):
                for cell in row:
                    if isinstance(cell, bytes):
                        yield from ((f"table {table}: {where}", text) for where, text in _texts("", cell, decoders))
                    elif isinstance(cell, str):
                        yield f"table {table}", cell


def _unlogged(data: bytes) -> bytes:
    """A database in WAL mode can't be opened from memory: bytes 18 and 19 of its head say which mode it has."""
    return data[:18] + b"\x01\x01" + data[20:]


def _array(data: bytes, decoders: list[Decoder]) -> Iterator[tuple[str, str]]:
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except ValueError as error:
        raise InputError(f"an array of the store can't be read: {error}") from error
    if array.dtype.kind in "US":
        yield from (("array", str(one)) for one in array.ravel())
    if array.dtype.kind in "iu" and array.dtype.itemsize > 1 and array.size:
        flat = array.ravel()
        for start in range(0, flat.size, _TOKENS_AT_ONCE):
            piece = flat[start : start + _TOKENS_AT_ONCE + _OVERLAP].tolist()
            yield from ((f"tokens from {start:,} on", text) for text in said(piece, decoders))
    yield from _plain(data)
