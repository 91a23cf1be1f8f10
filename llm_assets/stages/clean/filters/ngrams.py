"""The n-gram pass of the repetition rules, as plain loops that numba compiles (and that run uncompiled, slowly, in tests).

An n-gram's characters are counted as datatrove does: with the spaces between words for top n-grams, without for duplicates.
"""

import numpy as np


def repeated_chars(hashes, lengths, offsets):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201
    """Characters in the most frequent 2-, 3- and 4-gram, and in repeated 5- to 10-grams, for each document.

    ``hashes`` (words,) uint64, ``lengths`` (words,) int64 characters, ``offsets`` (documents + 1,) int64;
    returns (documents, 9) float64. A most frequent n-gram that occurs once counts nothing here (in datatrove it
    does, and then short texts fail by themselves).
    """
    documents = len(offsets) - 1
    out = np.zeros((documents, 9), dtype=np.float64)
    longest = 0
    for d in range(documents):
        longest = max(longest, offsets[d + 1] - offsets[d])
    size = 16
    while size < 2 * longest:
        size *= 2
    keys = np.zeros(size, dtype=np.uint64)
    counts = np.zeros(size, dtype=np.int64)
    stamp = np.full(size, -1, dtype=np.int64)
    mask = np.uint64(size - 1)
    turn = 0
    for d in range(documents):
        start, stop = offsets[d], offsets[d + 1]
        for column in range(9):
            n = column + 2
            turn += 1
            best_count, best_chars = 1, 0
            repeated = 0
            position = start
            while position + n <= stop:
                code = np.uint64(14695981039346656037)
                chars = 0
                for k in range(n):
                    # FNV-1a's constants over whole words, then a shift so that low bits depend on high ones
                    code = (code ^ hashes[position + k]) * np.uint64(1099511628211)
                    code = code ^ (code >> np.uint64(29))
                    chars += lengths[position + k]
                slot = code & mask
                while stamp[slot] == turn and keys[slot] != code:
                    slot = (slot + np.uint64(1)) & mask
                step = 1
                if stamp[slot] == turn:
                    counts[slot] += 1
                    if column < 3:
                        total = (chars + n - 1) * counts[slot]
                        if counts[slot] > best_count or (counts[slot] == best_count and total > best_chars):
                            best_count, best_chars = counts[slot], total
                    else:
                        repeated += chars
                        step = n
                else:
                    stamp[slot], keys[slot], counts[slot] = turn, code, 1
                position += step
            out[d, column] = best_chars if column < 3 else repeated
    return out
