"""Real texts, and what spoils them: for each published rule documents that break it and documents that just don't."""

import random
import re

from llm_assets.core import embedded
from llm_assets.stages.clean.standardise import standardise_all


def texts(count, lang="en"):
    """Introductions of articles, standardised, one a document; every third is two or three of them as paragraphs."""
    import polars as pl

    found = [article.text for article in embedded.articles() if article.lang == lang][: count * 2]
    merged = ["\n\n".join(found[n : n + 1 + (n % 3 == 0) + (n % 6 == 0)]) for n in range(count)]
    return standardise_all(pl.Series(merged)).to_list()


def spoilt(base, seed=1):
    """Each text in one of the ways in which pages are bad, by turns, to a degree that varies about the thresholds."""
    rng = random.Random(seed)
    ways = [
        _repeat_words,
        _repeat_lines,
        _repeat_paragraphs,
        _bullets,
        _ellipses,
        _hashes,
        _digits,
        _no_stop_words,
        _short_lines,
    ]
    ways += [
        _unended,
        _newlines,
        _glued,
        _letters,
        _curly,
        _script,
        _lorem,
        _policy,
        _citations,
        _long_word,
        _cut,
        _symbols,
        _dotted,
        _columns,
    ]
    return [ways[n % len(ways)](text, rng) for n, text in enumerate(base)]


def _lines(text):
    return re.split(r"(?<=[.!?]) ", text.replace("\n", " "))


def _repeat_words(text, rng):
    words = text.split()
    start, n = rng.randrange(max(1, len(words) - 8)), rng.randint(2, 8)
    return text + " " + " ".join(words[start : start + n] * rng.randint(1, 12))


def _repeat_lines(text, rng):
    lines = _lines(text)
    return "\n".join(lines + rng.choices(lines, k=rng.randint(0, len(lines) + 2)))


def _repeat_paragraphs(text, rng):
    lines = _lines(text)
    return "\n\n".join(lines + rng.choices(lines, k=rng.randint(0, len(lines) + 1)))


def _bullets(text, rng):
    p = rng.choice([0.7, 0.95, 1.0])
    return "\n".join(("- " if rng.random() < p else "") + line for line in _lines(text))


def _ellipses(text, rng):
    p = rng.choice([0.1, 0.3, 0.6])
    return "\n".join(line + (rng.choice(["...", "…", " ..."]) if rng.random() < p else "") for line in _lines(text))


def _dotted(text, rng):
    p = rng.choice([0.05, 0.1, 0.2])
    return " ".join(word + (rng.choice(["...", "…", "......"]) if rng.random() < p else "") for word in text.split()) + " End."


def _columns(text, rng):
    words, n = text.split(), rng.choice([8, 12])
    joined = ["".join(words[i : i + 4]) for i in range(0, len(words), 4)]
    return "\n".join(" ".join(joined[i : i + n // 4]) + "." for i in range(0, len(joined), n // 4))


def _hashes(text, rng):
    p = rng.choice([0.05, 0.1, 0.15])
    return " ".join(("#" if rng.random() < p else "") + word for word in text.split())


def _digits(text, rng):
    p = rng.choice([0.1, 0.2, 0.3])
    return " ".join(str(rng.randrange(1000)) if rng.random() < p else word for word in text.split())


def _no_stop_words(text, rng):
    keep = rng.choice([0, 1, 2])
    stops = ["the", "be", "to", "of", "and", "that", "have", "with"][keep:]
    return " ".join(word for word in text.split() if word.lower() not in stops)


def _short_lines(text, rng):
    words, n = text.split(), rng.choice([3, 5, 7])
    return "\n".join(" ".join(words[i : i + n]) for i in range(0, len(words), n))


def _unended(text, rng):
    p = rng.choice([0.05, 0.12, 0.2])
    return "\n".join(line.rstrip(".!?\"'") + ("." if rng.random() < p else "") for line in _lines(text))


def _newlines(text, rng):
    return "\n".join(text.split()) if rng.random() < 0.5 else re.sub(r" (\w+) ", r"\n\1 ", text)


def _glued(text, rng):
    n = rng.choice([2, 3])
    words = text.split()
    return " ".join("".join(words[i : i + n]) for i in range(0, len(words), n))


def _letters(text, rng):
    return " ".join(word[: rng.choice([2, 3])] for word in text.split())


def _curly(text, rng):
    return text + rng.choice([" {", "\nfunction f() { return 1 }", "\nf() { javascript }"])


def _script(text, rng):
    return "\n".join([*_lines(text), "Please enable JavaScript in your browser to go on."])


def _lorem(text, rng):
    return text + rng.choice(["\nLorem ipsum dolor sit amet.", "\nlorem ipsum", " LOREM IPSUM."])


def _policy(text, rng):
    return "\n".join(["This site uses cookies to serve you.", *_lines(text), "See our privacy policy {here}.", "Terms of Use"])


def _citations(text, rng):
    return re.sub(r"([.,])( |$)", rf"\1[{rng.randrange(9)}]\2", text) + "\nHistory[edit]"


def _long_word(text, rng):
    return text + "\n" + "x" * rng.choice([900, 1000, 1001, 1500]) + " is a word."


def _cut(text, rng):
    return " ".join(text.split()[: rng.choice([10, 49, 50, 51])])


def _symbols(text, rng):
    return " ".join(word + rng.choice(["", "", " €", " —", " •", " ***"]) for word in text.split())
