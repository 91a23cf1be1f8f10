"""The loop behind ``fasttext_file``: bytes → words → sums of n-gram vectors → a walk down the tree of labels."""

from typing import Any

import numpy as np

from llm_assets.lm.compiled import compiled


@compiled
def word_key(data: Any, start: int, stop: int) -> Any:
    """64-bit FNV-1a of bytes ``start`` to ``stop``; never 0."""
    key = np.uint64(14695981039346656037)
    for place in range(start, stop):
        key = (key ^ np.uint64(data[place])) * np.uint64(1099511628211)
    key ^= key >> np.uint64(32)
    return key | np.uint64(1)


@compiled
def find(keys: Any, key: Any) -> Any:
    """The slot of ``key`` in an open-addressed table, or the empty one where it would go."""
    mask = np.uint64(keys.size - 1)
    slot = key & mask
    while keys[slot] and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return np.int64(slot)


@compiled
def _step(code: Any, byte: Any) -> Any:
    """One byte into fastText's 32-bit FNV-1a, which extends the byte's sign."""
    wide = np.uint32(byte) if byte < 128 else np.uint32(byte) | np.uint32(0xFFFFFF00)
    return np.uint32((code ^ wide) * np.uint32(16777619))


@compiled
def add_word(
    data: Any,
    start: int,
    stop: int,
    vectors: Any,
    n_words: int,
    word: int,
    buckets: int,
    kept: Any,
    least: int,
    most: int,
    out: Any,
) -> int:
    """Add the vectors of a word (``word``: its number or -1) and of its n-grams to ``out``; returns how many there were."""
    count = 0
    width = out.size
    if word >= 0:
        for k in range(width):
            out[k] += vectors[word, k]
        count = 1
    size = stop - start + 2  # with the brackets < and > around it
    for first in range(size):
        lead = data[start + first - 1] if 0 < first < size - 1 else 60
        if lead & 0xC0 == 0x80:
            continue
        code = np.uint32(2166136261)
        place = first
        for n in range(1, most + 1):
            if place >= size:
                break
            code = _step(code, np.uint8(60) if place == 0 else np.uint8(62) if place == size - 1 else data[start + place - 1])
            place += 1
            while place < size - 1 and data[start + place - 1] & 0xC0 == 0x80:
                code = _step(code, data[start + place - 1])
                place += 1
            if n >= least and not (n == 1 and (first == 0 or place == size)):
                row = kept[code % np.uint32(buckets)]
                if row >= 0:
                    row += n_words
                    for k in range(width):
                        out[k] += vectors[row, k]
                    count += 1
    return count


@compiled
def walk(hidden: Any, output: Any, children: Any, nodes: Any, scores: Any) -> Any:
    """The likeliest label and its probability. The likelier child is looked at first, and what can't win any more is left out.

    ``nodes`` and ``scores`` (labels,) are work space: the ways not taken yet.
    """
    n_labels = output.shape[0] + 1
    best, best_score = 0, -1e30
    nodes[0], scores[0], depth = 2 * n_labels - 2, 0.0, 1
    while depth:
        depth -= 1
        node, score = nodes[depth], scores[depth]
        while score > best_score:
            if node < n_labels:
                best, best_score = node, score
                break
            inner = node - n_labels
            dot = np.float32(0.0)
            for k in range(hidden.size):
                dot += output[inner, k] * hidden[k]
            right = 1.0 / (1.0 + np.exp(-dot))
            side = 1 if right > 0.5 else 0
            nodes[depth] = children[inner, 1 - side]
            scores[depth] = score + np.log((1.0 - right if side else right) + 1e-5)
            depth += 1
            node, score = children[inner, side], score + np.log((right if side else 1.0 - right) + 1e-5)
    return best, np.exp(best_score)


@compiled
def label_texts(
    data: Any,
    bounds: Any,
    vectors: Any,
    n_words: int,
    word_keys: Any,
    word_ids: Any,
    buckets: int,
    kept: Any,
    least: int,
    most: int,
    output: Any,
    children: Any,
    end_of_line: int,
    cache_keys: Any,
    cache_sums: Any,
    cache_counts: Any,
) -> tuple[Any, Any, Any]:
    """Label number (-1: nothing to go by), score and mean vector of each text. The cache holds each slot's last word."""
    n, width = bounds.size - 1, vectors.shape[1]
    labels, probabilities = np.full(n, -1, np.int32), np.zeros(n, np.float32)
    means = np.zeros((n, width), np.float32)
    nodes, scores = np.zeros(output.shape[0] + 1, np.int64), np.zeros(output.shape[0] + 1, np.float64)
    mask = np.uint64(cache_keys.size - 1)
    for text in range(n):
        hidden = means[text]
        count = 0
        if end_of_line >= 0:
            hidden += vectors[end_of_line]
            count = 1
        start = bounds[text]
        for at in range(bounds[text], bounds[text + 1] + 1):
            if at < bounds[text + 1] and data[at] > 32:
                continue
            if at > start:
                key = word_key(data, start, at)
                slot = (key ^ (key >> np.uint64(20))) & mask
                if cache_keys[slot] != key:
                    known = find(word_keys, key)
                    word = word_ids[known] if word_keys[known] == key else -1
                    own = cache_sums[slot]
                    own[:] = 0.0
                    cache_counts[slot] = add_word(data, start, at, vectors, n_words, word, buckets, kept, least, most, own)
                    cache_keys[slot] = key
                for k in range(width):
                    hidden[k] += cache_sums[slot, k]
                count += cache_counts[slot]
            start = at + 1
        if count:
            hidden /= np.float32(count)
            labels[text], probabilities[text] = walk(hidden, output, children, nodes, scores)
    return labels, probabilities, means
