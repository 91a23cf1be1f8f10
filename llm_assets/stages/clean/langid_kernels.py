"""The loops behind ``langid_file``: bytes → features → a score a language; and how two models' opinions become one."""

from typing import Any

import numpy as np

from llm_assets.lm.compiled import compiled

UNIT = 1024  # weights are kept as integers of this part of one


@compiled
def leaves(hidden: Any, output: Any, children: Any, out: Any) -> None:
    """The log probability of every label of lid.176 (``lid_kernels.walk`` finds the best alone), into ``out`` (labels,)."""
    n_labels = output.shape[0] + 1
    inner_scores = np.zeros(n_labels - 1, np.float64)
    for inner in range(n_labels - 2, -1, -1):  # the root is the last one made, and children are made before their parent
        dot = np.float32(0.0)
        for k in range(hidden.size):
            dot += output[inner, k] * hidden[k]
        right = 1.0 / (1.0 + np.exp(-dot))
        for side in range(2):
            score = inner_scores[inner] + np.log((right if side else 1.0 - right) + 1e-5)
            node = children[inner, side]
            if node < n_labels:
                out[node] = score
            else:
                inner_scores[node - n_labels] = score


@compiled
def evidence(
    data: Any,
    start: int,
    stop: int,
    moves: Any,
    rows: Any,
    features: Any,
    weights: Any,
    priors: Any,
    counts: Any,
    touched: Any,
    times: Any,
    out: Any,
) -> None:
    """Score of each column (a language, or one of its scripts) for the bytes ``start`` to ``stop``, into ``out``.

    The sum over features of log(1 + how often) × weight, and the prior. Work space: ``counts`` (features,) int32, all 0
    before and after, ``touched`` (features + 3,) int32, ``times`` (features + 3,) float32.
    """
    state, found = np.int64(0), 0
    for place in range(start, stop):
        state = np.int64(moves[rows[state], data[place]])
        feature = features[state]
        if feature >= 0:
            if counts[feature] == 0:
                touched[found] = feature
                found += 1
            counts[feature] += 1
    for number in range(found):
        times[number] = np.log1p(np.float32(counts[touched[number]])) / np.float32(UNIT)
        counts[touched[number]] = 0
    touched[found : found + 3], times[found : found + 3] = 0, 0.0
    out[:] = 0.0
    for at in range(0, found, 4):  # four at once: their rows lie far apart, and four come from memory as soon as one
        a, b, c, d = touched[at], touched[at + 1], touched[at + 2], touched[at + 3]
        by_a, by_b, by_c, by_d = times[at], times[at + 1], times[at + 2], times[at + 3]
        for column in range(out.size):
            first = by_a * np.float32(weights[a, column]) + by_b * np.float32(weights[b, column])
            out[column] += first + (by_c * np.float32(weights[c, column]) + by_d * np.float32(weights[d, column]))
    if found:
        out += priors


@compiled
def join_opinions(
    data: Any,
    bounds: Any,
    hidden: Any,
    output: Any,
    children: Any,
    first_known: Any,
    moves: Any,
    rows: Any,
    features: Any,
    weights: Any,
    priors: Any,
    second_known: Any,
    n_labels: int,
    floor: float,
    second_silent: float,
    second_weight: float,
) -> tuple[Any, Any]:
    """The best label and its share (0 to 1) of each text by both models: log p + ``second_weight`` × log q, made shares again.

    ``hidden`` (n, d): the first model's mean vector of each text. ``first_known`` and ``second_known``: the label (below
    ``n_labels``) of each leaf and column. A log share is ``floor`` at least, and so it is for a label that the first does not
    know; for one that the second does not know it is ``second_silent``.
    """
    n = bounds.size - 1
    labels, shares = np.empty(n, np.int32), np.empty(n, np.float32)
    counts = np.zeros(weights.shape[0], np.int32)
    touched, times = np.empty(counts.size + 3, np.int32), np.empty(counts.size + 3, np.float32)
    raw, found = np.empty(priors.size, np.float32), np.empty(n_labels, np.float64)
    own = np.empty(first_known.size, np.float64)
    every, part = np.empty(n_labels, np.float64), np.zeros(n_labels, np.float64)
    second_knows = np.zeros(n_labels, np.bool_)
    for column in second_known:
        second_knows[column] = True
    for text in range(n):
        every[:] = floor
        leaves(hidden[text], output, children, own)
        for leaf in range(own.size):
            every[first_known[leaf]] = max(own[leaf], floor)
        evidence(data, bounds[text], bounds[text + 1], moves, rows, features, weights, priors, counts, touched, times, raw)
        # py3langid's own measure: a longer text is more evidence, but less so by the byte
        scale = 1.0 / np.sqrt(max(1, bounds[text + 1] - bounds[text]))
        part[:] = 0.0
        most = raw.max()
        for column in range(raw.size):
            part[second_known[column]] += np.exp((raw[column] - most) * scale)
        total = part.sum()
        for label in range(n_labels):
            share = max(np.log(part[label] / total + 1e-30), floor) if second_knows[label] else second_silent
            found[label] = every[label] + second_weight * share
        best = found.argmax()
        labels[text] = best
        shares[text] = 1.0 / np.exp(found - found[best]).sum()
    return labels, shares
