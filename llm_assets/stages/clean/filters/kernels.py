"""The loops over the bytes of texts, compiled by numba: everything that the published rules count, in one pass.

Few and small, because each is compiled once a machine.
A word is a run of characters that are no white space; a line is a non-empty run between newlines. Hashes have 64 bits: within
a document of 100,000 words, two different n-grams share one with a probability below 1e-9.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from llm_assets.lm.compiled import compiled, decode, mix

Array = npt.NDArray[Any]

SPACE, LETTER, NUMBER = 1, 2, 4  # classes of characters, bits of the table that ``measures`` builds

# What is counted of a text, by column of ``measure``'s result.
COUNTS = (
    "chars",
    "newlines",
    "words",
    "plain_words",  # with a letter or a number
    "plain_word_chars",
    "letter_words",
    "hashes",
    "ellipses",
    "lines",
    "bullet_lines",
    "ellipsis_lines",
    "ended_lines",
    "short_lines",
    "stop_words",
    "dup_lines",
    "dup_line_chars",
    "paragraphs",
    "dup_paragraphs",
    "dup_paragraph_chars",
    *(f"top_{n}gram_chars" for n in (2, 3, 4)),
    *(f"dup_{n}gram_chars" for n in (5, 6, 7, 8, 9, 10)),
)
NGRAMS = COUNTS.index("top_2gram_chars")  # the first of the n-gram columns


@compiled
def repeats(hashes: Any, lengths: Any, count: int, keys: Any, stamp: Any, turn: int) -> Any:
    """How many of the first ``count`` items occurred before, and their characters. ``keys``/``stamp``: a table to work in."""
    mask = np.uint64(keys.size - 1)
    again = chars = 0
    for place in range(count):
        slot = hashes[place] & mask
        while stamp[slot] == turn and keys[slot] != hashes[place]:
            slot = (slot + np.uint64(1)) & mask
        if stamp[slot] == turn:
            again += 1
            chars += lengths[place]
        else:
            stamp[slot], keys[slot] = turn, hashes[place]
    return again, chars


@compiled
def ngrams(words: Any, lengths: Any, count: int, codes: Any, table: Any, turn: int, single: bool, out: Any) -> int:
    """Characters in the most frequent 2- to 4-gram, and in repeated 5- to 10-grams, into ``out`` (9,); returns the last turn.

    As in datatrove, spaces between words count for the most frequent n-gram (the first seen of equally frequent ones) and
    not for repeated ones, and a repeated n-gram is left as a whole. An n-gram that occurs once counts nothing unless
    ``single``: the most frequent 4-gram of 20 different words would else be a fifth of the text. Where no n-gram occurs
    twice, no longer one does. ``lengths`` (count + 1,) is cumulated.
    """
    keys, counts, firsts, stamp = table
    mask = np.uint64(keys.size - 1)
    for place in range(count):
        codes[place] = words[place]
    for column in range(9):
        n = column + 2
        for place in range(count - n + 1):
            codes[place] = codes[place] * np.uint64(0x9E3779B97F4A7C15) + words[place + n - 1]
        turn += 1
        best, best_first, repeated, place = 1, -1, 0, 0
        while place + n <= count:
            slot = (codes[place] ^ (codes[place] >> np.uint64(32))) & mask
            while stamp[slot] == turn and keys[slot] != codes[place]:
                slot = (slot + np.uint64(1)) & mask
            step = 1
            if stamp[slot] != turn:
                stamp[slot], keys[slot], counts[slot], firsts[slot] = turn, codes[place], 1, place
            elif column < 3:
                counts[slot] += 1
                if counts[slot] > best or (counts[slot] == best and firsts[slot] < best_first):
                    best, best_first = counts[slot], firsts[slot]
            else:
                repeated += lengths[place + n] - lengths[place]
                step = n
            place += step
        if column < 3 and best > 1:
            out[column] = (lengths[best_first + n] - lengths[best_first] + n - 1) * best
        elif column >= 3:
            out[column] = repeated
        if (best == 1) if column < 3 else (repeated == 0):
            break
    if single:
        for column in range(min(3, count - 1)):
            if not out[column]:
                out[column] = lengths[column + 2] + column + 1
    return turn


@compiled
def scan(
    data: Any, start: int, stop: int, classes: Any, lower: Any, stops: Any, ends: Any, short: int, out: Any, buffers: Any
) -> None:
    """Count one text (bytes ``start`` to ``stop``) into ``out`` and fill the buffers with its words, lines and paragraphs."""
    words, word_ends, lines, line_chars, paragraphs, paragraph_chars = buffers
    chars = newlines = n_words = plain = plain_chars = with_letter = marks = ellipses = 0
    n_lines = bullets = trailing = ended = shorts = n_paragraphs = 0
    seen = np.uint64(0)
    basis, prime = np.uint64(14695981039346656037), np.uint64(1099511628211)  # FNV-1a's, over code points
    word = low = line = paragraph = basis
    flags = word_chars = total = dots = tail_dots = line_n = paragraph_n = gap = 0
    head = last = -1
    at = start
    while at <= stop:
        if at < stop:
            point, size = decode(data, at)
        else:
            point, size = 10, 1  # a last newline, not counted
        at += size
        kind = classes[point]
        if kind & SPACE:
            if word_chars:
                total += word_chars
                words[n_words] = mix(word)
                n_words += 1
                word_ends[n_words] = total
                if flags:
                    plain += 1
                    plain_chars += word_chars
                    with_letter += (flags & LETTER) >> 1
                if word_chars < 8:
                    for number in range(stops.size):
                        if stops[number] == low:
                            seen |= np.uint64(1) << np.uint64(number)
                word = low = basis
                flags = word_chars = 0
        else:
            code = np.uint64(point)
            word = (word ^ code) * prime
            low = (low ^ (np.uint64(lower[point]) if point < lower.size else code)) * prime
            flags |= kind
            word_chars += 1
            if head < 0:
                head = point
            last = point
        if point == 46:  # a full stop
            dots += 1
        else:
            ellipses += dots // 3 + (point == 0x2026)
            if not kind & SPACE:
                tail_dots = 0
            elif dots:
                tail_dots = dots
            dots = 0
        if point == 10:
            if head >= 0:
                lines[n_lines] = mix(line)
                line_chars[n_lines] = line_n
                n_lines += 1
                bullets += head == 0x2022 or head == 45
                trailing += last == 0x2026 or (last == 46 and tail_dots >= 3)
                shorts += line_n <= short
                for number in range(ends.size):
                    if ends[number] == last:
                        ended += 1
                        break
                if gap >= 2 and paragraph_n:
                    paragraphs[n_paragraphs] = mix(paragraph)
                    paragraph_chars[n_paragraphs] = paragraph_n
                    n_paragraphs += 1
                    paragraph, paragraph_n = basis, 0
                elif paragraph_n:
                    paragraph, paragraph_n = (paragraph ^ np.uint64(10)) * prime, paragraph_n + 1
                paragraph, paragraph_n = mix(paragraph ^ line), paragraph_n + line_n
                gap = 0
            gap += 1
            line, line_n, head, last, tail_dots = basis, 0, -1, -1, 0
            if at <= stop:
                newlines += 1
                chars += 1
        else:
            chars += 1
            line = (line ^ np.uint64(point)) * prime
            line_n += 1
            marks += point == 35
    if paragraph_n:
        paragraphs[n_paragraphs] = mix(paragraph)
        paragraph_chars[n_paragraphs] = paragraph_n
        n_paragraphs += 1
    distinct = 0
    while seen:
        seen &= seen - np.uint64(1)
        distinct += 1
    out[0], out[1], out[2], out[3], out[4], out[5] = chars, newlines, n_words, plain, plain_chars, with_letter
    out[6], out[7], out[8], out[9], out[10] = marks, ellipses, n_lines, bullets, trailing
    out[11], out[12], out[13], out[16] = ended, shorts, distinct, n_paragraphs


@compiled
def measure(
    data: Any,
    bounds: Any,
    classes: Any,
    lower: Any,
    stops: Any,
    stop_bounds: Any,
    langs: Any,
    ends: Any,
    short: int,
    single: bool,
) -> Any:
    """Counts of n texts, (n, len(COUNTS)) int64.

    ``data`` uint8 and ``bounds`` (n + 1,) int64: the texts as UTF-8. ``classes`` (0x110000,) uint8 and ``lower``: what a code
    point is, and its lower case. ``stops`` uint64: hashes of stop words, those of language i from ``stop_bounds[i]``;
    ``langs`` (n,): the language of each text or -1. ``ends``: code points that end a sentence line;
    ``short``: characters of a short line; ``single``: see ``ngrams``.
    """
    n = bounds.size - 1
    out = np.zeros((n, 28), np.int64)
    longest = 1
    for text in range(n):
        longest = max(longest, bounds[text + 1] - bounds[text])
    room = longest // 2 + 2
    size = 64
    while size < 2 * room:
        size *= 2
    words, codes = np.empty(room, np.uint64), np.empty(room, np.uint64)
    word_ends = np.zeros(room + 1, np.int64)
    lines, line_chars = np.empty(room, np.uint64), np.empty(room, np.int64)
    paragraphs, paragraph_chars = np.empty(room, np.uint64), np.empty(room, np.int64)
    buffers = (words, word_ends, lines, line_chars, paragraphs, paragraph_chars)
    keys, counts = np.empty(size, np.uint64), np.empty(size, np.int64)
    firsts, stamp = np.empty(size, np.int64), np.zeros(size, np.int64)
    turn = 0
    for text in range(n):
        row = out[text]
        own = stops[stop_bounds[langs[text]] : stop_bounds[langs[text] + 1]] if langs[text] >= 0 else stops[:0]
        scan(data, bounds[text], bounds[text + 1], classes, lower, own, ends, short, row, buffers)
        # A table no larger than the text needs stays in the fastest cache.
        used = 64
        while used < 2 * row[2]:
            used *= 2
        table = (keys[:used], counts[:used], firsts[:used], stamp[:used])
        row[14], row[15] = repeats(lines, line_chars, row[8], keys[:used], stamp[:used], turn + 1)
        row[17], row[18] = repeats(paragraphs, paragraph_chars, row[16], keys[:used], stamp[:used], turn + 2)
        turn = ngrams(words, word_ends, row[2], codes, table, turn + 2, single, row[19:])
    return out
