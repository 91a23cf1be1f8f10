"""The bar for a base model: interpolated modified Kneser-Ney n-grams over the same ids and all the same training documents.

Formulas: Chen & Goodman 1998, "An Empirical Study of Smoothing Techniques for Language Modeling", with the adjusted counts of
Heafield et al. 2013 (an n-gram that starts a document keeps its own count, for it has no left neighbour). A document is
predicted token by token with its separator at the end, each from the tokens before it in the same document; the transformer is
judged on exactly these predictions. Everything is sorted arrays and binary search, so a million tokens take about a second.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_FALLBACK_DISCOUNT = 0.5  # where counts of counts are too few to estimate one


@dataclass(frozen=True)
class _Level:
    """One order: n-grams (sorted keys) with the discounted part of their probability, contexts with what is left for below."""

    grams: Ints
    kept: Floats
    contexts: Ints
    left: Floats  # the weight of the lower order; contexts never seen have 1


class KneserNey:
    """An n-gram model over ids 0 to ``vocab_size`` - 1.

    ``documents``: arrays of ids, each with its separator last. ``order``: 2 for bigrams, 3 for trigrams (at most 3 with a
    vocabulary above 2 million, because keys are 64 bits).
    """

    def __init__(self, documents: Iterable[npt.NDArray[Any]], vocab_size: int, order: int) -> None:
        if order < 1 or (vocab_size + 1) ** order >= 2**63:
            raise ValueError(f"order {order} with {vocab_size} ids is not possible: 1 or more, and keys must fit 64 bits")
        self.order, self.vocab_size = order, vocab_size
        self._base = vocab_size + 1  # the last value stands for "before the document"
        tokens, starts = _join(documents)
        if tokens.size == 0:
            raise ValueError("no document to count over")
        if int(tokens.min()) < 0 or int(tokens.max()) >= vocab_size:
            raise ValueError(f"ids must be 0 to {vocab_size - 1}, found {int(tokens.min())} to {int(tokens.max())}")
        self.unigram_entropy_nats = _entropy(tokens)
        self._levels = self._count(tokens, starts)

    def _count(self, tokens: Ints, starts: Ints) -> list[_Level]:
        keys = self._keys(tokens, starts, self.order)
        grams, counts = np.unique(keys, return_counts=True)
        levels = [self._level(grams, counts)]
        for size in range(self.order - 1, 0, -1):
            # adjusted count: how many distinct tokens stand to the left; from the n-grams one longer
            shorter, distinct = np.unique(grams % self._base**size, return_counts=True)
            begins = shorter // self._base ** (size - 1) == self.vocab_size if size > 1 else None
            if begins is not None and begins.any():
                own, own_counts = np.unique(self._keys(tokens, starts, size), return_counts=True)
                distinct[begins] = own_counts[np.searchsorted(own, shorter[begins])]
            grams = shorter
            levels.append(self._level(grams, distinct))
        return levels[::-1]

    def _level(self, grams: Ints, counts: Ints) -> _Level:
        discounts = _discounts(counts)[np.minimum(counts, 3)]
        contexts, where = np.unique(grams // self._base, return_inverse=True)
        totals = np.bincount(where, counts)
        left = np.bincount(where, discounts) / totals
        return _Level(grams, (counts - discounts) / totals[where], contexts, left)

    def _keys(self, tokens: Ints, starts: Ints, size: int) -> Ints:
        """The key of the ``size``-gram that ends at each token: its ids as digits to the base, oldest first."""
        keys = tokens.copy()
        for back in range(1, size):
            before = np.full(tokens.size, self.vocab_size, dtype=np.int64)
            inside = starts >= back
            before[inside] = tokens[np.flatnonzero(inside) - back]
            keys += before * self._base**back
        return keys

    def log_probabilities(self, documents: Iterable[npt.NDArray[Any]]) -> Floats:
        """Natural log of the probability of each token of each document, one document after another."""
        tokens, starts = _join(documents)
        logs: Floats = np.log(self._probabilities([self._keys(tokens, starts, n) for n in range(1, self.order + 1)]))
        return logs

    def distribution(self, context: Sequence[int]) -> Floats:
        """Probabilities of all ids after a context (the tokens of a document so far); they sum to 1."""
        known = list(context)[-(self.order - 1) :] if self.order > 1 else []
        padded = [self.vocab_size] * (self.order - 1 - len(known)) + known
        following = np.arange(self.vocab_size, dtype=np.int64)
        keys = [following]
        for back in range(1, self.order):
            keys.append(keys[-1] + padded[-back] * self._base**back)
        return self._probabilities(keys)

    def _probabilities(self, keys: list[Ints]) -> Floats:
        probabilities = np.full(keys[0].size, 1 / self.vocab_size)
        for level, key in zip(self._levels, keys, strict=True):
            probabilities *= _find(level.contexts, level.left, key // self._base, missing=1.0)
            probabilities += _find(level.grams, level.kept, key, missing=0.0)
        return probabilities


def _join(documents: Iterable[npt.NDArray[Any]]) -> tuple[Ints, Ints]:
    """All tokens, and for each how many tokens of its document stand before it."""
    arrays = [np.asarray(document, dtype=np.int64) for document in documents]
    if not arrays:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    return np.concatenate(arrays), np.concatenate([np.arange(array.size, dtype=np.int64) for array in arrays])


def _entropy(tokens: Ints) -> float:
    shares = np.bincount(tokens) / tokens.size
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())


def _discounts(counts: Ints) -> Floats:
    """What is taken off counts of 0, 1, 2, 3 and more (Chen & Goodman 1998, eq. 26), a single discount where that fails."""
    n1, n2, n3, n4 = (int((counts == n).sum()) for n in (1, 2, 3, 4))
    share = n1 / (n1 + 2 * n2) if n1 and n2 else _FALLBACK_DISCOUNT
    if n1 and n2 and n3 and n4:
        found = np.array([0.0, 1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3])
        if (found[1:] > 0).all() and (found <= np.arange(4)).all():
            return found
    return np.array([0.0, share, share, share])


def _find(keys: Ints, values: Floats, wanted: Ints, missing: float) -> Floats:
    places = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    found: Floats = np.where(keys[places] == wanted, values[places], missing)
    return found


def bits_per_byte(total_nats: float, n_bytes: int) -> float:
    """Negative log-likelihood of whole documents (separators included) in bits, over the UTF-8 bytes of their text."""
    if n_bytes < 1:
        raise ValueError("bits per byte need at least one byte of text")
    return total_nats / float(np.log(2)) / n_bytes
