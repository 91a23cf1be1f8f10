"""What a training step reads, as a pure function of (seed, step, mix); and back, from a document to the steps that read it.

One pass (epoch) lays the split's documents one after another in a keyed random order, cuts the result into windows of
``seq_len`` tokens (each overlaps the next by the one token that is only predicted), and reads the windows in a second keyed
random order, so that a book's pages are not one batch. Both orders are permutations computed from a key (a Feistel network
with cycle-walking, after Black & Rogaway 2002, "Ciphers with arbitrary finite domains"): no shuffle buffer, no state to
save, and each can be inverted. Another epoch has other keys. Up to ``seq_len`` tokens at an epoch's end are not read.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json

Ints = npt.NDArray[np.int64]
_ROUNDS = 6  # 3 make a pseudo-random permutation, 4 a strong one (Luby & Rackoff 1988); small domains want some more


class Permutation:
    """A keyed permutation of 0 … size - 1 that needs no memory and can be inverted."""

    def __init__(self, size: int, key: str) -> None:
        if size < 1:
            raise ValueError(f"a permutation needs at least one element, got {size}")
        self.size = size
        bits = max(2, (size - 1).bit_length())
        self._half = np.uint64((bits + 1) // 2)  # the domain is 4^half ≥ size; who lands outside walks on
        self._mask = np.uint64((1 << int(self._half)) - 1)
        digest = hashlib.blake2b(key.encode(), digest_size=8 * _ROUNDS).digest()
        self._keys = np.frombuffer(digest, dtype="<u8").astype(np.uint64)

    def forward(self, index: npt.ArrayLike) -> Ints:
        """The element at each position of the order."""
        return self._walk(index, self._encrypt)

    def inverse(self, element: npt.ArrayLike) -> Ints:
        """The position of each element in the order."""
        return self._walk(element, self._decrypt)

    def _walk(self, values: npt.ArrayLike, step: Any) -> Ints:
        start = np.atleast_1d(np.asarray(values, dtype=np.int64))
        if start.size and (start.min() < 0 or start.max() >= self.size):
            raise ValueError(f"0 to {self.size - 1} can be permuted, not {start.min()} to {start.max()}")
        found = step(start.astype(np.uint64))
        while (outside := found >= np.uint64(self.size)).any():
            found[outside] = step(found[outside])
        done: Ints = found.astype(np.int64)
        return done

    def _mix(self, half: npt.NDArray[np.uint64], key: np.uint64) -> npt.NDArray[np.uint64]:
        """The finaliser of SplitMix64 (Steele et al. 2014) over half a block and a round key."""
        x = half ^ key
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (x ^ (x >> np.uint64(31))) & self._mask

    def _encrypt(self, block: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = block >> self._half, block & self._mask
        for key in self._keys:
            left, right = right, left ^ self._mix(right, key)
        return (left << self._half) | right

    def _decrypt(self, block: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        left, right = block >> self._half, block & self._mask
        for key in self._keys[::-1]:
            left, right = right ^ self._mix(left, key), left
        return (left << self._half) | right


class Span(NamedTuple):
    """Tokens ``start`` to ``end`` (end excluded, counted within the document, its separator included) of one document."""

    doc_id: str
    start: int
    end: int


class MixDocuments:
    """The documents of one split of a mix, and their ids, read by memory map. Rows are in the mix's order."""

    def __init__(self, mix: Artefact, inputs: Inputs, split: str) -> None:
        self.about: dict[str, Any] = read_json(mix.file("mix.json"))
        self.separator_id = int(self.about["separator_id"])
        self.vocab_size = int(self.about["vocab_size"])
        columns = ["doc_id", "ref", "shard", "start", "length", "n_bytes", "lang", "epochs"]
        frame = pl.scan_parquet(mix.file("documents.parquet")).filter(pl.col("split") == split).select(columns).collect()
        if frame.is_empty():
            raise InputError(f"the mix {mix.ref} has no document in its {split} split; give training_mix more text")
        self.split = split
        self.frame = frame
        self.lengths: Ints = frame["length"].to_numpy().astype(np.int64)
        self.epochs: Ints = frame["epochs"].to_numpy().astype(np.int64)
        self._starts = frame["start"].to_numpy()
        self._shards = frame["shard"].to_numpy()
        self._refs = frame["ref"].to_list()
        # asked for when ids are read: which step reads what is known without the shards, also when the store has them no more
        self._folder = lru_cache(maxsize=None)(inputs.resolve)
        self._open = lru_cache(maxsize=None)(_open)

    @cached_property
    def rows(self) -> dict[str, int]:
        """doc_id → row."""
        return {doc: row for row, doc in enumerate(self.frame["doc_id"].to_list())}

    def doc_id(self, row: int) -> str:
        """The document of a row."""
        return str(self.frame["doc_id"][row])

    def place(self, row: int) -> tuple[str, int, int]:
        """Where the document of a row lies: the ref of its ``tokenized_dataset``, the shard, its first token there."""
        return self._refs[row], int(self._shards[row]), int(self._starts[row])

    def ids(self, row: int, start: int = 0, end: int | None = None) -> npt.NDArray[Any]:
        """Token ids ``start`` to ``end`` of the document in a row, its separator last; a view of the file."""
        shard = self._open(self._folder(self._refs[row]), int(self._shards[row]))
        first = int(self._starts[row])
        stop = int(self.lengths[row]) if end is None else end
        view: npt.NDArray[Any] = shard[first + start : first + stop]
        return view

    def __len__(self) -> int:
        return len(self._refs)

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        """Ids of each document once, in the mix's order: what an n-gram baseline counts over."""
        return (self.ids(row) for row in range(len(self)))

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of the split's texts, each once: what bits per byte divide by."""
        return int(self.frame["n_bytes"].sum())

    @property
    def n_tokens(self) -> int:
        """Tokens of the split, each document once, separators included."""
        return int(self.lengths.sum())


def _open(folder: Path, shard: int) -> npt.NDArray[Any]:
    path = folder / f"tokens-{shard:05d}.npy"
    if not path.is_file():
        raise InputError(f"the token shard {path} is missing; materialise that tokenized_dataset again")
    mapped: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return mapped


class _Epoch(NamedTuple):
    entries: Ints  # row of the document at each place of this epoch's order
    ends: Ints  # running sum of their lengths
    windows: Permutation


class TokenStream:
    """Batches of token windows of one split of a mix.

    ``batch(step)``: (``batch_rows``, ``seq_len`` + 1) int64; inputs are ``[:, :-1]``, labels ``[:, 1:]``. Rows go on from epoch
    to epoch, so any step ≥ 0 has a batch. Nothing is kept between calls but caches. Documents that share a window are
    separated by the separator only; a model that must not look across it makes its own mask (``data.separator_id``).
    """

    def __init__(self, mix: Artefact, inputs: Inputs, split: str, seq_len: int, batch_rows: int, seed: int) -> None:
        if seq_len < 1 or batch_rows < 1:
            raise InputError(f"seq_len and batch_rows must be 1 or more, got {seq_len} and {batch_rows}")
        self.data = MixDocuments(mix, inputs, split)
        self.seq_len, self.batch_rows, self.seed = seq_len, batch_rows, seed
        # one entry a reading; a document that is read twice an epoch has two
        self._readings: Ints = np.repeat(np.arange(len(self.data), dtype=np.int64), self.data.epochs)
        total = int(self.data.lengths[self._readings].sum())
        self.windows = (total - 1) // seq_len  # an epoch's windows
        if self.windows < 1:
            raise InputError(
                f"the mix's {split} split has {total} tokens, fewer than one window of {seq_len} + 1; "
                "use a shorter context or give training_mix more text"
            )
        self._epoch = lru_cache(maxsize=2)(self._make_epoch)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that read each window at least once."""
        return -(-self.windows // self.batch_rows)

    def _make_epoch(self, epoch: int) -> _Epoch:
        key = f"{self.seed} {self.data.split} {epoch}"
        order = Permutation(self._readings.size, f"documents {key}").forward(np.arange(self._readings.size))
        entries = self._readings[order]
        return _Epoch(entries, np.cumsum(self.data.lengths[entries]), Permutation(self.windows, f"windows {key}"))

    def _places(self, first: int, count: int) -> list[tuple[_Epoch, int]]:
        """(epoch, window) of ``count`` rows from the global row ``first`` on."""
        if first < 0:
            raise ValueError("a step is 0 or more")
        numbers = np.arange(first, first + count, dtype=np.int64)
        places = []
        for number, position in zip(*np.divmod(numbers, self.windows), strict=True):
            epoch = self._epoch(int(number))
            places.append((epoch, int(epoch.windows.forward(position)[0])))
        return places

    def _spans(self, epoch: _Epoch, window: int) -> Iterator[tuple[int, int, int]]:
        """(row, start, end) of the pieces of documents that make up a window of ``seq_len`` + 1 tokens."""
        position, stop = window * self.seq_len, window * self.seq_len + self.seq_len + 1
        place = int(np.searchsorted(epoch.ends, position, side="right"))
        while position < stop:
            row = int(epoch.entries[place])
            end_of_document = int(epoch.ends[place])
            start_of_document = end_of_document - int(self.data.lengths[row])
            end = min(stop, end_of_document)
            yield row, position - start_of_document, end - start_of_document
            position, place = end, place + 1

    def _row(self, epoch: _Epoch, window: int) -> Ints:
        return np.concatenate([self.data.ids(*span) for span in self._spans(epoch, window)]).astype(np.int64)

    def batch(self, step: int) -> Ints:
        """The tokens of a step: (``batch_rows``, ``seq_len`` + 1) int64."""
        places = self._places(step * self.batch_rows, self.batch_rows)
        return np.stack([self._row(epoch, window) for epoch, window in places])

    def one_pass(self) -> Iterator[Ints]:
        """Each window of epoch 0 once, for validation; the last batch may have fewer rows."""
        for first in range(0, self.windows, self.batch_rows):
            places = self._places(first, min(self.batch_rows, self.windows - first))
            yield np.stack([self._row(epoch, window) for epoch, window in places])

    def documents(self, step: int) -> list[Span]:
        """What a step reads of which documents, row by row."""
        return [Span(self.data.doc_id(row), start, end) for _, row, start, end in self.pieces(step)]

    def pieces(self, step: int) -> list[tuple[int, int, int, int]]:
        """(row of the batch, row of the document in the mix, start, end) of all that a step reads, as ``documents`` has it."""
        places = self._places(step * self.batch_rows, self.batch_rows)
        return [
            (number, row, start, end)
            for number, (epoch, window) in enumerate(places)
            for row, start, end in self._spans(epoch, window)
        ]

    def steps(self, doc_id: str, total_steps: int) -> list[int]:
        """The steps below ``total_steps`` that read any token of a document, ascending; empty where it is not in the split."""
        return self.steps_of([doc_id], total_steps)[doc_id]

    def steps_of(self, documents: Sequence[str], total_steps: int) -> dict[str, list[int]]:
        """``steps`` of many documents: each epoch's order is made once."""
        rows = {self.data.rows[doc]: doc for doc in documents if doc in self.data.rows}
        found: dict[str, set[int]] = {doc: set() for doc in documents}
        epochs = (total_steps * self.batch_rows - 1) // self.windows + 1 if rows and total_steps > 0 else 0
        for number in range(epochs):
            epoch = self._epoch(number)
            for place in np.flatnonzero(np.isin(epoch.entries, np.fromiter(rows, np.int64))):
                row = int(epoch.entries[place])
                end = int(epoch.ends[place])
                start = end - int(self.data.lengths[row])
                # a window reads [w·seq_len, w·seq_len + seq_len]: its first token is also the last of the one before
                first = max(0, -(-(start - self.seq_len) // self.seq_len))
                last = min(self.windows - 1, (end - 1) // self.seq_len)
                if first > last:
                    continue  # in the tail that this epoch does not read
                read = number * self.windows + epoch.windows.inverse(np.arange(first, last + 1))
                found[rows[row]].update((read // self.batch_rows).tolist())
        return {doc: sorted(step for step in steps if step < total_steps) for doc, steps in found.items()}
