"""fastText's lid.176.ftz without fastText: the file read into arrays, and whole shards labelled by a compiled loop.

The same labels and (to rounding) scores as the C++ library, several times as fast: words repeat, so the sum of the vectors of
a word's n-grams is kept and added again, and no text crosses into another library by itself. A sum is the same
whether it was kept or made anew, so a label depends on nothing but its text.

The format and the arithmetic are those of fastText 0.9.2 (Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification"
and "FastText.zip"): word vectors and hashed n-grams of 2 to 4 characters, product-quantised; their mean; a Huffman tree of
sigmoids over the labels. Only that combination is read: supervised, hierarchical softmax, no word n-grams.
"""

import struct
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.core.errors import InputError
from llm_assets.stages.clean.lid_kernels import label_texts, word_key

Array = npt.NDArray[Any]
_MAGIC, _VERSION = 793712314, 12
_HS, _SUPERVISED = 1, 3
_CACHED_WORDS = 1 << 16  # four megabytes; half and twice as many are slower on two cores


class _KeptWords(threading.local):
    """The sums of words seen before: of each thread its own, as texts are labelled without the interpreter's lock."""

    def __init__(self) -> None:
        self._arrays: tuple[Array, Array, Array] | None = None

    def arrays(self, width: int) -> tuple[Array, Array, Array]:
        """Keys, sums, vectors counted."""
        if self._arrays is None:
            sums = np.zeros((_CACHED_WORDS, width), np.float32)
            self._arrays = np.zeros(_CACHED_WORDS, np.uint64), sums, np.zeros(_CACHED_WORDS, np.int32)
        return self._arrays


@dataclass(frozen=True)
class Model:
    """A language model in arrays. ``d`` values a vector, ``L`` labels."""

    labels: tuple[str, ...]
    vectors: Array  # (words + n-grams, d) float32
    n_words: int
    word_keys: Array  # open-addressed table of 64-bit keys of the words, 0 where empty
    word_ids: Array
    buckets: int
    kept: Array  # (buckets,) int32: row of an n-gram's vector after the words, or -1
    lengths: tuple[int, int]  # characters of an n-gram, least and most
    output: Array  # (L - 1, d) float32: inner nodes
    children: Array  # (L - 1, 2) int32: left and right of each inner node; below L it is a label
    end_of_line: int  # the row of "</s>", or -1
    kept_words: "_KeptWords"

    def predict(self, data: Array, bounds: Array) -> tuple[Array, Array, Array]:
        """(label number, score, mean vector (d,)) of each text; ``data`` and ``bounds`` as of ``texts.utf8``."""
        found: tuple[Array, Array, Array] = label_texts(
            data,
            bounds,
            self.vectors,
            self.n_words,
            self.word_keys,
            self.word_ids,
            self.buckets,
            self.kept,
            self.lengths[0],
            self.lengths[1],
            self.output,
            self.children,
            self.end_of_line,
            *self.kept_words.arrays(self.vectors.shape[1]),
        )
        return found


class _Reader:
    """Reads little-endian fields one after another; a file that ends too soon is an ``InputError``."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def fields(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize("<" + form)
        if self.at + size > len(self.data):
            raise InputError(f"{self.path} ends within a field; it is damaged: install its package again")
        found = struct.unpack_from("<" + form, self.data, self.at)
        self.at += size
        return found

    def one(self, form: str) -> Any:
        return self.fields(form)[0]

    def array(self, dtype: str, count: int) -> Array:
        size = np.dtype(dtype).itemsize * count
        if self.at + size > len(self.data):
            raise InputError(f"{self.path} ends within a table; it is damaged: install its package again")
        found = np.frombuffer(self.data, dtype, count, self.at)
        self.at += size
        return found

    def text(self) -> bytes:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise InputError(f"{self.path} ends within a word; it is damaged: install its package again")
        found = self.data[self.at : end]
        self.at = end + 1
        return found


def load(path: Path) -> Model:
    """Read a model file; ``InputError`` where it is of another kind or damaged."""
    file = _Reader(path)
    if file.fields("ii") != (_MAGIC, _VERSION):
        raise InputError(f"{path} is no fastText model of format {_VERSION}")
    arguments = file.fields("12id")
    word_ngrams, loss, kind, buckets, least, most = arguments[5:11]
    if (loss, kind) != (_HS, _SUPERVISED) or word_ngrams > 1 or most > 8:
        raise InputError(f"{path}: only supervised models with hierarchical softmax and no word n-grams are read here")
    _, n_words, n_labels, _, pruned = file.fields("iiiqq")
    entries = [(file.text(), *file.fields("qb")) for _ in range(n_words + n_labels)]
    words = [word for word, _, type_ in entries if type_ == 0]
    labels = [(word.decode().removeprefix("__label__"), count) for word, count, type_ in entries if type_ == 1]
    kept = np.full(buckets, -1, np.int32)
    if pruned >= 0:
        pairs = file.array("<i4", 2 * pruned).reshape(-1, 2)
        kept[pairs[:, 0]] = pairs[:, 1]
    else:
        kept[:] = np.arange(buckets)
    vectors = _matrix(file, quantised=bool(file.one("B")))
    output = _matrix(file, quantised=bool(file.one("B")))[: n_labels - 1]  # the last row belongs to no inner node
    keys, ids = _table(words)
    end = words.index(b"</s>") if b"</s>" in words else -1
    children = _tree([count for _, count in labels])
    names = tuple(name for name, _ in labels)
    return Model(names, vectors, n_words, keys, ids, buckets, kept, (least, most), output, children, end, _KeptWords())


def _matrix(file: _Reader, quantised: bool) -> Array:
    """(rows, columns) float32, decoded if it is product-quantised."""
    if not quantised:
        rows, columns = file.fields("qq")
        return file.array("<f4", rows * columns).reshape(rows, columns).copy()
    normed = bool(file.one("B"))
    rows, columns = file.fields("qq")
    codes = file.array("u1", file.one("i"))
    parts = _quantiser(file)
    table = codes.reshape(rows, len(parts))
    decoded = np.concatenate([part[table[:, number]] for number, part in enumerate(parts)], axis=1)
    if normed:
        norm_codes = file.array("u1", rows)
        (norms,) = _quantiser(file)
        decoded = decoded * norms[norm_codes]
    return np.ascontiguousarray(decoded[:, :columns], np.float32)


def _quantiser(file: _Reader) -> list[Array]:
    """For each part of a vector its 256 centroids."""
    dim, parts, size, last = file.fields("4i")
    centroids = file.array("<f4", dim * 256)
    sizes = [size] * (parts - 1) + [last]
    return [centroids[place * 256 * size :][: 256 * width].reshape(256, width) for place, width in enumerate(sizes)]


def _table(words: list[bytes]) -> tuple[Array, Array]:
    size = 64
    while size < 4 * len(words):
        size *= 2
    keys, ids = np.zeros(size, np.uint64), np.zeros(size, np.int32)
    for number, word in enumerate(words):
        key = int(word_key(np.frombuffer(word, np.uint8), 0, len(word)))
        slot = key % size
        while keys[slot]:
            slot = (slot + 1) % size
        keys[slot], ids[slot] = key, number
    return keys, ids


def _tree(counts: list[int]) -> Array:
    """The Huffman tree over labels in falling order of frequency, as fastText builds it: children of each inner node."""
    n = len(counts)
    weights = [*counts, *([10**15] * (n - 1))]
    children = np.zeros((n - 1, 2), np.int32)
    leaf, node = n - 1, n
    for inner in range(n, 2 * n - 1):
        chosen = []
        for _ in range(2):
            if leaf >= 0 and weights[leaf] < weights[node]:
                chosen.append(leaf)
                leaf -= 1
            else:
                chosen.append(node)
                node += 1
        children[inner - n] = chosen
        weights[inner] = weights[chosen[0]] + weights[chosen[1]]
    return children
