"""``tokenized_dataset``: one crawl's survivors as token shards, read by memory map, and where each document lies in them.

A document is its ids and one separator, the tokenizer's own end-of-text (case B20). Ids are stored in the smallest type that
holds the whole vocabulary (case B19). Which core encoded what leaves no trace: shards are cut by token counts alone.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llm_assets.core import plots
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import CLEANED, payload_digest
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import write_json
from llm_assets.core.ledger import KEEP, ledger_frame, ledger_row, write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig
from llm_assets.core.report import Report
from llm_assets.core.shards import replacing
from llm_assets.core.shardsteps import run_shard_steps
from llm_assets.lm import tokenizer as files_of
from llm_assets.lm.encoding import Array, BatchEncoder

TOKENS_FILE = "tokens.json"  # dtype, vocabulary, separator, digest of the tokenizer, tokens in each shard
DOCUMENTS_FILE = "documents.parquet"

DOCUMENTS = pl.Schema(
    {
        "doc_id": pl.String,
        "url": pl.String,
        "canonical_url": pl.String,
        "lang": pl.String,
        "source_kind": pl.String,  # web | book | paper | forum | code | own
        "shard": pl.Int32,  # tokens-<shard>.npy
        "start": pl.Int64,  # first token in the shard
        "length": pl.Int64,  # tokens, the separator included
        "n_bytes": pl.Int64,  # UTF-8 bytes of the text
    }
)
_COLUMNS = ["doc_id", "url", "canonical_url", "lang", "source_kind", "text", "n_bytes"]


def shard_name(number: int) -> str:
    """``tokens-00000.npy`` and so on."""
    return f"tokens-{number:05d}.npy"


def fitting(ids: Array, dtype: np.dtype[Any]) -> Array:
    """The ids as ``dtype``. Raises ``InputError`` where one does not fit, rather than let it wrap (case B19)."""
    if ids.dtype == dtype:
        return ids
    if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(dtype).max):
        raise InputError(f"a token id of {ids.max()} does not fit {dtype}; choose the type from the vocabulary")
    return ids.astype(dtype)


class ShardWriter:
    """Writes token shards of at most ``shard_tokens`` tokens; a document is never split over two."""

    def __init__(self, folder: Path, dtype: np.dtype[Any], shard_tokens: int) -> None:
        self.folder = folder
        self.dtype = dtype
        self.shard_tokens = shard_tokens
        self.sizes: list[int] = []  # tokens of each finished shard
        self._parts: list[np.ndarray[Any, Any]] = []
        self._filled = 0

    def extend(self, ids: Array, lengths: Array) -> Array:
        """Add documents laid end to end; returns (n, 2): the shard of each and its first token there."""
        ends = np.cumsum(lengths)
        if ends.size and self._filled + ends[-1] <= self.shard_tokens:  # all of them fit
            number, first = self.append(ids)
            return np.stack([np.full(ends.size, number, np.int64), first + ends - lengths], axis=1)
        places = [self.append(ids[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
        return np.array(places, np.int64).reshape(-1, 2)

    def append(self, ids: Array) -> tuple[int, int]:
        """Add one document; return its shard and its first token there. ``InputError`` where an id doesn't fit the type."""
        ids = fitting(ids, self.dtype)
        if self._filled and self._filled + ids.size > self.shard_tokens:
            self._flush()
        place = len(self.sizes), self._filled
        self._parts.append(ids)
        self._filled += ids.size
        return place

    def _flush(self) -> None:
        shard = np.concatenate(self._parts) if self._parts else np.empty(0, self.dtype)
        np.save(self.folder / shard_name(len(self.sizes)), shard, allow_pickle=False)
        self.sizes.append(shard.size)
        self._parts, self._filled = [], 0

    def close(self) -> list[int]:
        """Write what is left; return the tokens of each shard. There is always at least one shard."""
        if self._parts or not self.sizes:
            self._flush()
        return self.sizes


def run(inputs: Inputs, out: WorkDir, config: TokenizedDatasetConfig, progress: Progress) -> Report:
    """Encode one crawl. Raises ``InputError`` where the tokenizer has no usable separator."""
    sources, folder = inputs.one("deduped_shards").shards(), inputs.one("tokenizer").files
    engine = files_of.load_plain(folder)
    token, separator = files_of.separator(folder, engine)
    vocabulary = files_of.vocab_size(engine)
    dtype = files_of.token_dtype(vocabulary)
    used = _encode(inputs, out, config, progress)
    for stale in out.files.glob("tokens-*.npy"):  # a killed run may have left more shards than this one makes
        stale.unlink()
    writer = ShardWriter(out.files, dtype, config.shard_tokens)
    frames = [pl.DataFrame(schema=DOCUMENTS)]
    for rank in range(len(sources)):
        ids, index = _paths(out.private, rank)
        part = pl.read_parquet(index)
        frames.append(_index(part, writer.extend(np.load(ids), part["length"].to_numpy())))
    sizes = writer.close()
    documents = pl.concat(frames)
    documents.write_parquet(out.files / DOCUMENTS_FILE, compression="zstd")
    about = {
        "dtype": dtype.name,
        "vocab_size": vocabulary,
        "separator": token,
        "separator_id": separator,
        "tokenizer": payload_digest((folder / files_of.TOKENIZER_FILE).read_bytes()),
        "shard_tokens": sizes,
    }
    write_json(out.files / TOKENS_FILE, about)
    rows = [
        ledger_row(out.partition, "tokenized_dataset", doc, url, KEEP) for doc, url in documents.select("doc_id", "url").rows()
    ]
    counts = write_ledger(out.files, ledger_frame(rows))
    return _report(documents, about, counts, used, out.files)


def _encode(inputs: Inputs, out: WorkDir, config: TokenizedDatasetConfig, progress: Progress) -> str:
    """Ids and index of each shard of survivors into ``private``; returns the engine that encoded.

    They are made one after the other, since an encoder works on all cores; under an executor each is a shard step.
    """
    survivors, tokenizer = inputs.one("deduped_shards"), inputs.one("tokenizer")
    sources = survivors.shards()
    (out.private / "ids").mkdir(parents=True, exist_ok=True)
    if config.executor.kind != "auto":
        run_shard_steps(
            "llm_assets.stages.tokens.encode:shard",
            {},
            len(sources),
            out.private / "steps",
            progress,
            places={"sources": [str(path) for path in sources], "tokenizer": str(tokenizer.files), "private": str(out.private)},
            config=config,
            inputs=[survivors, tokenizer],
            executor=config.executor,
            workers=config.workers,
        )
        return config.engine
    encoder = BatchEncoder(tokenizer.files, config.engine, progress.note)
    rows = [pl.scan_parquet(source).select(pl.len()).collect().item() for source in sources]
    for rank, source in enumerate(sources):
        _encode_shard(source, encoder, tokenizer.files, _paths(out.private, rank), config.batch_documents)
        progress.update(sum(rows[: rank + 1]), sum(rows), "documents")
    return encoder.used


def shard(arguments: Mapping[str, Any], rank: int) -> list[Path]:
    """Encode one shard of survivors, in whatever process the executor chose; returns the files it wrote."""
    config = TokenizedDatasetConfig.model_validate(arguments["config"])
    source, folder = Path(arguments["sources"][rank]), Path(arguments["tokenizer"])
    targets = _paths(Path(arguments["private"]), rank)
    _encode_shard(source, BatchEncoder(folder, config.engine), folder, targets, config.batch_documents)
    return list(targets)


def _encode_shard(source: Path, encoder: BatchEncoder, folder: Path, targets: tuple[Path, Path], batch_documents: int) -> None:
    _, separator = files_of.separator(folder, encoder.oracle)
    dtype = files_of.token_dtype(files_of.vocab_size(encoder.oracle))
    parts, lengths = [np.empty(0, dtype)], [np.empty(0, np.int64)]
    frame = pl.read_parquet(source, columns=_COLUMNS).cast({name: CLEANED[name] for name in _COLUMNS})
    for batch in frame.iter_slices(batch_documents):
        ids, ends = encoder.encode(batch["text"].to_list())
        parts.append(fitting(np.insert(ids, ends, separator), dtype))
        lengths.append(np.diff(ends, prepend=0) + 1)
    with replacing(targets[0]) as temporary, open(temporary, "wb") as handle:
        np.save(handle, np.concatenate(parts), allow_pickle=False)
    with replacing(targets[1]) as temporary:
        frame.drop("text").with_columns(pl.Series("length", np.concatenate(lengths), pl.Int64)).write_parquet(temporary)


def _paths(private: Path, rank: int) -> tuple[Path, Path]:
    """Where a shard's ids and its index are."""
    return private / f"ids/{rank:05d}.npy", private / f"ids/{rank:05d}.parquet"


def _index(documents: pl.DataFrame, places: Array) -> pl.DataFrame:
    return documents.with_columns(
        pl.Series("shard", places[:, 0], dtype=pl.Int32), pl.Series("start", places[:, 1], dtype=pl.Int64)
    )[DOCUMENTS.names()]


def by_group(documents: pl.DataFrame, column: str) -> pl.DataFrame:
    """Documents, tokens, bytes and bytes per token of each value of a column (a language, a source kind), most tokens first."""
    return (
        documents.group_by(column)
        .agg(documents=pl.len(), tokens=pl.col("length").sum(), bytes=pl.col("n_bytes").sum())
        .with_columns(bytes_per_token=pl.col("bytes") / pl.col("tokens"))
        .sort(["tokens", column], descending=[True, False])
    )


def _report(documents: pl.DataFrame, about: dict[str, Any], counts: dict[str, int], used: str, files: Path) -> Report:
    tokens, n_bytes = int(documents["length"].sum()), int(documents["n_bytes"].sum())
    languages = by_group(documents, "lang")
    (files / "plots").mkdir(exist_ok=True)
    plots.histogram(files / "plots/lengths.png", documents["length"].to_list(), title="Document lengths", x="tokens", bins=40)
    plots.bars(
        files / "plots/bytes_per_token.png",
        languages["lang"].to_list(),
        languages["bytes_per_token"].to_list(),
        title="Bytes per token by language",
        x="bytes / token",
    )
    return Report(
        counts={**counts, "tokens": tokens, "bytes": n_bytes, "shards": len(about["shard_tokens"])},
        metrics={
            "bytes_per_token": n_bytes / tokens if tokens else 0.0,
            "engine": used,
            **{name: about[name] for name in ("dtype", "vocab_size", "separator", "separator_id")},
        },
        plots={"Document lengths": "plots/lengths.png", "Bytes per token": "plots/bytes_per_token.png"},
        tables={
            "Tokens by language": languages.head(20).to_dicts(),
            "Tokens by source kind": by_group(documents, "source_kind").to_dicts(),
        },
    )
