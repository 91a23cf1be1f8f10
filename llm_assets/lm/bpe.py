"""Training of byte-level BPE, compiled by numba: the merges that the tokenizers library would find, several times faster.

The algorithm is that of the library's ``BpeTrainer``, ties and corner cases included, so that the file it gives is the same
byte for byte (the tests compare them): a heap of pairs by count, then by the smaller ids; counts kept up to date word by word;
entries whose count went stale are put back. A pair that would be too long for ``max_chars`` is never counted. One string can
be reached by two pairs and then has one id, and such a pair's rank is the last at which it was merged.

``find_merges`` is one long loop because its tables grow, and a table that a compiled function lets grow must be its own.
"""

from typing import Any

import numpy as np

from llm_assets.lm.compiled import compiled
from llm_assets.lm.pretokens import Array, _larger


@compiled
def _before(count: Any, key: Any, other_count: Any, other_key: Any) -> Any:
    """Whether one entry is merged before another."""
    return count > other_count or (count == other_count and key < other_key)


@compiled
def _push(heap: Any, size: Any, count: Any, key: Any, pair: Any, head: Any) -> Any:
    """Add an entry (count, key, pair, head); returns the heap."""
    if size == heap.shape[0]:
        heap = _more_rows(heap)
    at = size
    while at:
        above = (at - 1) >> 1
        if not _before(count, key, heap[above, 0], heap[above, 1]):
            break
        heap[at] = heap[above]
        at = above
    heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = count, key, pair, head
    return heap


@compiled
def _drop_first(heap: Any, size: Any) -> None:
    """Take the first entry out of a heap of ``size``."""
    last = size - 1
    count, key, pair, head = heap[last, 0], heap[last, 1], heap[last, 2], heap[last, 3]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= last:
            break
        if below + 1 < last and _before(heap[below + 1, 0], heap[below + 1, 1], heap[below, 0], heap[below, 1]):
            below += 1
        if not _before(heap[below, 0], heap[below, 1], count, key):
            break
        heap[at] = heap[below]
        at = below
    heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = count, key, pair, head


@compiled
def _slot(slots: Any, key: Any) -> Any:
    """The slot of a key in an open hash table of (key + 1, value), taken or free."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    at = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(slots.shape[0] - 1))
    while slots[at, 0] and slots[at, 0] != key + 1:
        at = (at + 1) & (slots.shape[0] - 1)
    return at


@compiled
def _rebuilt(slots: Any) -> Any:
    """The table twice as large."""
    grown = np.zeros((2 * slots.shape[0], 2), np.int64)
    for old in range(slots.shape[0]):
        if slots[old, 0]:
            at = _slot(grown, slots[old, 0] - 1)
            grown[at, 0], grown[at, 1] = slots[old, 0], slots[old, 1]
    return grown


@compiled
def _more_rows(rows: Any) -> Any:
    grown = np.empty((2 * rows.shape[0], rows.shape[1]), rows.dtype)
    grown[: rows.shape[0]] = rows
    return grown


@compiled
def _changes(symbols: Any, first: Any, length: Any, one: Any, two: Any, made: Any, sizes: Any, longest: Any, out: Any) -> Any:
    """Merge a pair in one word, in place. Writes (key, ±1) of the pairs that go and come; returns length and their number."""
    count, at = 0, 0
    while at < length:
        place = first + at
        if symbols[place] == one and at + 1 < length and symbols[place + 1] == two:
            if at:
                before = np.int64(symbols[place - 1])
                out[count, 0], out[count, 1] = before << 32 | one, -1
                count += 1
                if sizes[before] + sizes[made] < longest:
                    out[count, 0], out[count, 1] = before << 32 | made, 1
                    count += 1
            symbols[place] = made
            for rest in range(place + 1, first + length - 1):
                symbols[rest] = symbols[rest + 1]
            length -= 1
            if at < length - 1:
                after = np.int64(symbols[place + 1])
                out[count, 0], out[count, 1] = two << 32 | after, -1
                count += 1
                if sizes[after] + sizes[made] < longest:
                    out[count, 0], out[count, 1] = made << 32 | after, 1
                    count += 1
        at += 1
    return length, count


@compiled
def _string_key(tokens: Any, starts: Any, one: Any, two: Any) -> Any:
    """A 62-bit hash of the bytes of one token and another."""
    key = np.uint64(0xCBF29CE484222325)
    for token in (one, two):
        if token >= 0:
            for place in range(starts[token], starts[token + 1]):
                key = (key ^ np.uint64(tokens[place])) * np.uint64(0x100000001B3)
                key ^= key >> np.uint64(31)
    return np.int64(key >> np.uint64(2))


@compiled
def find_merges(
    letters: Any,
    word_starts: Any,
    counts: Any,
    ids: Any,
    tokens: Any,
    token_starts: Any,
    vocabulary: Any,
    minimum: Any,
    longest: Any,
) -> Any:
    """The merges: (m, 3) of left, right, made.

    ``letters``, ``word_starts``, ``counts``: the words. ``ids``: (256,) id of each byte. ``tokens``, ``token_starts``: bytes of
    the ids that there are already. Ends with ``vocabulary`` ids, or where no pair occurs ``minimum`` times.
    """
    n_words, n_tokens = counts.size, token_starts.size - 1
    symbols = np.empty(letters.size, np.int32)
    for place in range(letters.size):
        symbols[place] = ids[letters[place]]
    lengths = word_starts[1:] - word_starts[:-1]
    sizes = np.ones(vocabulary + 1, np.int64)
    token_starts = _larger(token_starts, vocabulary + 2)
    strings = np.zeros((1024, 2), np.int64)
    while strings.shape[0] < 2 * vocabulary + 2:
        strings = _rebuilt(strings)
    for token in range(n_tokens):
        string = _string_key(tokens, token_starts, token, -1)
        slot = _slot(strings, string)
        strings[slot, 0], strings[slot, 1] = string + 1, token

    # A pair: its key, its count, and the head of a linked list of the words in which it appeared since it was last put into the
    # heap (-1: none). Nodes of the lists: word, next.
    pairs, slots, n_pairs = np.empty((1 << 16, 3), np.int64), np.zeros((1 << 18, 2), np.int64), 0
    nodes, n_nodes, free = np.empty((max(1024, letters.size), 2), np.int32), 0, np.int64(-1)
    touched, n_touched = np.empty(1 << 16, np.int64), 0
    heap, n_heap = np.zeros((1 << 16, 4), np.int64), 0
    widest = 4
    for word in range(n_words):
        widest = max(widest, lengths[word])
    change = np.empty((4 * widest, 2), np.int64)
    merges = np.empty((2 * vocabulary, 3), np.int64)
    n_merges = 0

    one, two, made, node, start = np.int64(-1), np.int64(-1), np.int64(-1), np.int64(-1), True
    word = 0
    while True:
        # One round is the count of all pairs at the start, then one merge after another.
        while True:
            if start:
                if word == n_words:
                    break
                current = np.int64(word)
                word += 1
                n_changes = lengths[current] - 1 if lengths[current] else 0
                for place in range(n_changes):
                    here = word_starts[current] + place
                    change[place, 0], change[place, 1] = np.int64(symbols[here]) << 32 | symbols[here + 1], 1
            else:
                if node < 0:
                    break
                current, following = np.int64(nodes[node, 0]), np.int64(nodes[node, 1])
                nodes[node, 1] = free
                free, node = node, following
                lengths[current], n_changes = _changes(
                    symbols, word_starts[current], lengths[current], one, two, made, sizes, longest, change
                )
            for number in range(n_changes):
                key = change[number, 0]
                slot = _slot(slots, key)
                if slots[slot, 0]:
                    pair = slots[slot, 1]
                else:
                    if n_pairs == pairs.shape[0]:
                        pairs = _more_rows(pairs)
                    pair = n_pairs
                    pairs[pair, 0], pairs[pair, 1], pairs[pair, 2] = key, 0, -1
                    slots[slot, 0], slots[slot, 1] = key + 1, pair
                    n_pairs += 1
                    if 2 * n_pairs > slots.shape[0]:
                        slots = _rebuilt(slots)
                pairs[pair, 1] += change[number, 1] * counts[current]
                if change[number, 1] > 0:
                    head = pairs[pair, 2]
                    if head < 0:
                        if n_touched == touched.size:
                            touched = _larger(touched, 2 * n_touched)
                        touched[n_touched] = pair
                        n_touched += 1
                    elif nodes[head, 0] == current:
                        continue
                    if free >= 0:
                        spare, free = free, np.int64(nodes[free, 1])
                    else:
                        if n_nodes == nodes.shape[0]:
                            nodes = _more_rows(nodes)
                        spare = np.int64(n_nodes)
                        n_nodes += 1
                    nodes[spare, 0], nodes[spare, 1] = current, head
                    pairs[pair, 2] = spare
        start = False
        for number in range(n_touched):
            pair = touched[number]
            if pairs[pair, 1] > 0:
                heap = _push(heap, n_heap, pairs[pair, 1], pairs[pair, 0], pair, pairs[pair, 2])
                n_heap += 1
            pairs[pair, 2] = -1
        n_touched = 0

        found = False
        while n_heap and n_tokens < vocabulary and n_merges < merges.shape[0]:
            count, key, pair, node = heap[0, 0], heap[0, 1], heap[0, 2], heap[0, 3]
            _drop_first(heap, n_heap)
            n_heap -= 1
            if count != pairs[pair, 1]:
                heap = _push(heap, n_heap, pairs[pair, 1], key, pair, node)
                n_heap += 1
                continue
            found = count >= 1 and count >= minimum
            break
        if not found:
            break
        one, two = key >> 32, key & 0xFFFFFFFF
        string = _string_key(tokens, token_starts, one, two)
        slot = _slot(strings, string)
        if strings[slot, 0]:
            made = strings[slot, 1]
        else:
            made = n_tokens
            size = token_starts[one + 1] - token_starts[one] + token_starts[two + 1] - token_starts[two]
            if token_starts[made] + size > tokens.size:
                tokens = _larger(tokens, 2 * tokens.size + size)
            end = token_starts[made]
            for part in (one, two):
                for place in range(token_starts[part], token_starts[part + 1]):
                    tokens[end] = tokens[place]
                    end += 1
            token_starts[made + 1] = end
            strings[slot, 0], strings[slot, 1] = string + 1, made
            n_tokens += 1
        sizes[made] = sizes[one] + sizes[two]
        merges[n_merges, 0], merges[n_merges, 1], merges[n_merges, 2] = one, two, made
        n_merges += 1
    return merges[:n_merges].copy()


def train(
    words: tuple[Array, Array, Array],
    alphabet: dict[int, str],
    control: tuple[str, ...],
    vocab_size: int,
    *,
    min_count: int,
    max_chars: int,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary (string → id) and merges in rank order, for ``tokenizers.models.BPE``.

    ``words``: as ``PieceCounter.words`` gives them. ``alphabet``: byte → the character that stands for it in the file.
    ``control``: the first ids; the bytes follow in the order of their characters.
    """
    order = sorted(alphabet, key=lambda byte: alphabet[byte])
    names = [*control, *(alphabet[byte] for byte in order)]
    known = [*(token.encode() for token in control), *(bytes([byte]) for byte in order)]
    ids = np.empty(256, np.int64)
    ids[order] = np.arange(len(control), len(names))
    starts = np.concatenate([[0], np.cumsum([len(token) for token in known])]).astype(np.int64)
    letters, word_starts, counts = words
    found = find_merges(
        letters,
        word_starts,
        counts,
        ids,
        np.frombuffer(b"".join(known), np.uint8).copy(),
        starts,
        vocab_size,
        min_count,
        max_chars,
    )
    ranked: dict[tuple[int, int], None] = {}
    for left, right, made in found.tolist():
        if made == len(names):
            names.append(names[left] + names[right])
        ranked.pop((left, right), None)
        ranked[left, right] = None
    return {name: number for number, name in enumerate(names)}, [(names[left], names[right]) for left, right in ranked]
