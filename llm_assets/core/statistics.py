"""Intervals for figures that are shown or claimed: seeded, numpy only.

All intervals cover 95 %. Bootstraps are percentile bootstraps over items (Efron 1979): resample the items with
replacement, take the statistic each time, cut 2.5 % off both ends.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
# Two-sided 95 % quantile of the normal distribution.
_Z = 1.959963984540054
_CUTS = (0.025, 0.975)


def _values(values: ArrayLike, what: str) -> NDArray[np.float64]:
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or found.size == 0:
        raise ValueError(f"{what} must be a non-empty one-dimensional sequence, got shape {found.shape}")
    if not np.isfinite(found).all():
        raise ValueError(f"{what} holds {int((~np.isfinite(found)).sum())} values that are not finite; score those items first")
    return found


def _means(values: NDArray[np.float64], seed: int, n: int) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    means: NDArray[np.float64] = values[rng.integers(0, values.size, size=(n, values.size))].mean(axis=1)
    return means


def bootstrap_interval(values: ArrayLike, seed: int, n: int = RESAMPLES) -> tuple[float, float]:
    """95 % interval of the mean of ``values`` (one number an item). Raises ``ValueError`` on none, or on NaN."""
    low, high = np.quantile(_means(_values(values, "values"), seed, n), _CUTS)
    return float(low), float(high)


def bootstrap_statistic(
    items: int, statistic: Callable[[NDArray[np.int64]], float], seed: int, n: int = RESAMPLES
) -> tuple[float, float]:
    """95 % interval of a figure that is no mean (macro-F1, perplexity): ``statistic`` gets the indices of a resample."""
    if items < 1:
        raise ValueError("an interval needs at least one item")
    rng = np.random.default_rng(seed)
    drawn = [statistic(rng.integers(0, items, size=items)) for _ in range(n)]
    low, high = np.quantile(drawn, _CUTS)
    return float(low), float(high)


def paired_bootstrap(a: ArrayLike, b: ArrayLike, seed: int, n: int = RESAMPLES) -> tuple[float, float, float]:
    """Mean of ``a - b`` over the same items in the same order, and its 95 % interval: (difference, low, high)."""
    first, second = _values(a, "a"), _values(b, "b")
    if first.shape != second.shape:
        raise ValueError(f"a paired comparison needs the same items: {first.size} against {second.size}")
    difference = first - second
    low, high = np.quantile(_means(difference, seed, n), _CUTS)
    return float(difference.mean()), float(low), float(high)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """95 % score interval of a proportion (Wilson 1927): it stays within [0, 1] and is honest near both ends."""
    if not 0 <= successes <= n or n < 1:
        raise ValueError(f"{successes} successes of {n} is no proportion")
    share, z2 = successes / n, _Z * _Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def macro_f1(references: ArrayLike, answers: ArrayLike, classes: int) -> float:
    """Mean of F1 = 2·TP / (2·TP + FP + FN) over the classes that either side names, given as codes below ``classes``.

    An answer outside the range (a model that named no class) is wrong and counts for no class.
    """
    wanted, given = np.asarray(references, dtype=np.int64), np.asarray(answers, dtype=np.int64)
    if wanted.shape != given.shape or wanted.ndim != 1:
        raise ValueError(f"references and answers differ in shape: {wanted.shape} against {given.shape}")
    hits = np.bincount(wanted[wanted == given], minlength=classes)
    inside = given[(given >= 0) & (given < classes)]
    named = np.bincount(wanted, minlength=classes) + np.bincount(inside, minlength=classes)
    return float((2 * hits[named > 0] / named[named > 0]).mean()) if named.any() else 0.0
