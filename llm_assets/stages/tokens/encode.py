"""``tokenized_dataset``: one crawl's survivors as token shards, read by memory map, and where each document lies in them.

A document is its ids and one separator, the tokenizer's own end-of-text (case B20). Ids are stored in the smallest type that
holds the whole vocabulary (case B19). Which core encoded what leaves no trace: shards are cut by token counts alone.
"""

from collections.abc import Iterator
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
from llm_assets.lm import tokenizer as files_of
from llm_assets.lm.chat import encode_texts

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


class ShardWriter:
    """Writes token shards of at most ``shard_tokens`` tokens; a document is never split over two."""

    def __init__(self, folder: Path, dtype: np.dtype[Any], shard_tokens: int) -> None:
        self.folder = folder
        self.dtype = dtype
        self.shard_tokens = shard_tokens
        self.sizes: list[int] = []  # tokens of each finished shard
        self._parts: list[np.ndarray[Any, Any]] = []
        self._filled = 0

    def append(self, ids: np.ndarray[Any, Any]) -> tuple[int, int]:
        """Add one document; return its shard and its first token there. ``InputError`` where an id doesn't fit the type."""
        if ids.size and (ids.min() < 0 or ids.max() > np.iinfo(self.dtype).max):
            raise InputError(f"a token id of {ids.max()} does not fit {self.dtype}; choose the type from the vocabulary")
        if self._filled and self._filled + ids.size > self.shard_tokens:
            self._flush()
        place = len(self.sizes), self._filled
        self._parts.append(ids.astype(self.dtype))
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
    survivors, folder = inputs.one("deduped_shards"), inputs.one("tokenizer").files
    engine = files_of.load_plain(folder)
    token, separator = files_of.separator(folder, engine)
    vocabulary = files_of.vocab_size(engine)
    dtype = files_of.token_dtype(vocabulary)
    for stale in out.files.glob("tokens-*.npy"):  # a killed run may have left more shards than this one makes
        stale.unlink()
    writer = ShardWriter(out.files, dtype, config.shard_tokens)
    total = sum(pl.scan_parquet(shard).select(pl.len()).collect().item() for shard in survivors.shards())
    frames = [pl.DataFrame(schema=DOCUMENTS)]
    done = 0
    for batch in _batches(survivors.shards(), config.batch_documents):
        places, lengths = [], []
        for ids in encode_texts(engine, batch["text"].to_list()):
            whole = np.asarray([*ids, separator], dtype=np.int64)
            places.append(writer.append(whole))
            lengths.append(whole.size)
        frames.append(_index(batch, places, lengths))
        done += batch.height
        progress.update(done, total, "documents")
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
    return _report(documents, about, counts, out.files)


def _batches(shards: list[Path], size: int) -> Iterator[pl.DataFrame]:
    for shard in shards:
        yield from pl.read_parquet(shard, columns=_COLUMNS).cast({name: CLEANED[name] for name in _COLUMNS}).iter_slices(size)


def _index(batch: pl.DataFrame, places: list[tuple[int, int]], lengths: list[int]) -> pl.DataFrame:
    return batch.drop("text").with_columns(
        pl.Series("shard", [shard for shard, _ in places], dtype=pl.Int32),
        pl.Series("start", [start for _, start in places], dtype=pl.Int64),
        pl.Series("length", lengths, dtype=pl.Int64),
    )[DOCUMENTS.names()]


def by_group(documents: pl.DataFrame, column: str) -> pl.DataFrame:
    """Documents, tokens, bytes and bytes per token of each value of a column (a language, a source kind), most tokens first."""
    return (
        documents.group_by(column)
        .agg(documents=pl.len(), tokens=pl.col("length").sum(), bytes=pl.col("n_bytes").sum())
        .with_columns(bytes_per_token=pl.col("bytes") / pl.col("tokens"))
        .sort(["tokens", column], descending=[True, False])
    )


def _report(documents: pl.DataFrame, about: dict[str, Any], counts: dict[str, int], files: Path) -> Report:
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
            **{name: about[name] for name in ("dtype", "vocab_size", "separator", "separator_id")},
        },
        plots={"Document lengths": "plots/lengths.png", "Bytes per token": "plots/bytes_per_token.png"},
        tables={
            "Tokens by language": languages.head(20).to_dicts(),
            "Tokens by source kind": by_group(documents, "source_kind").to_dicts(),
        },
    )
