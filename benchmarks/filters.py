"""Gopher quality, Gopher repetition, C4 and FineWeb rules: ours against datatrove's own filter classes. Ratio and verdicts.

    python benchmarks/filters.py [--documents 8000] [--own-words 1500]

The documents are Wikipedia introductions and the documentation of installed packages (``_real_texts``), standardised;
thresholds are datatrove's, C4 without its rule on unterminated lines, as FineWeb ran it. datatrove's filters stand in FineWeb's
order, and a document that one of them drops is not shown to the next; ours measure everything, and say the first rule that is
broken. Each has one core and gives verdicts for texts that are in memory.

Twice: with the same words for both (runs of what is no white space, and our sentences: quicker than datatrove's own, so this
is the ratio that counts), and, on the first ``--own-words`` documents, with datatrove's own, which are spaCy's; spaCy is
fetched into a temporary folder at the first run. Verdicts are compared filter by filter, the reason included, each filter asked
with all documents, and for the whole chain (kept or dropped). Every difference is put into a category by what the document
holds, and for spaCy's words by the rule on which they differ. The chains differ in one thing more: C4 takes lines and citation
marks out before ours measure anything, and after Gopher's rules in FineWeb's. The script fails if a difference fits no category
while both had the same words, or if fewer than 99 % agree.
"""

import argparse
import importlib
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before polars is loaded: one core for ours as for theirs

import polars as pl
from _datatrove import REASONS, SENTENCE
from _peers import SPACY, packages
from _real_texts import real_documents
from _results import best_of, record, table, versions

from llm_assets.core.recipe.cleaning import CleanedCorpusConfig
from llm_assets.stages.clean.filters import c4, fineweb, gopher, measured, repetition, rules_of
from llm_assets.stages.clean.filters.base import Rule, judge
from llm_assets.stages.clean.standardise import standardise_all

SHARD = 1_000

NAMES = {reason: rule for reasons in REASONS.values() for reason, rule in reasons.items()}


def published() -> CleanedCorpusConfig:
    """Our recipe with datatrove's thresholds and marks."""
    from datatrove.utils.text import TERMINAL_PUNCTUATION

    return CleanedCorpusConfig.model_validate(
        {
            "url": {"enabled": False},
            "junk": {"enabled": False},
            "gopher_quality": {"min_words": 50},
            "gopher_repetition": {"single_ngrams": True},
            "c4": {"remove_citations": True, "min_words_per_line": 3, "min_sentences": 5},
            "fineweb": {"end_characters": "".join(sorted(TERMINAL_PUNCTUATION))},
        }
    )


def families(config: CleanedCorpusConfig) -> dict[str, list[Rule]]:
    return {
        "Gopher repetition": repetition.rules(config.gopher_repetition),
        "Gopher quality": gopher.rules(config.gopher_quality),
        "C4": c4.rules(config.c4),
        "FineWeb": fineweb.rules(config.fineweb),
    }


def stock() -> dict[str, Any]:
    """datatrove's filters in FineWeb's order."""
    from datatrove.pipeline import filters

    return {
        "Gopher repetition": filters.GopherRepetitionFilter(),
        "Gopher quality": filters.GopherQualityFilter(),
        "C4": filters.C4QualityFilter(filter_no_terminal_punct=False),
        "FineWeb": filters.FineWebQualityFilter(),
    }


def ours(texts: Sequence[str], config: CleanedCorpusConfig, rules: Sequence[Rule]) -> list[str]:
    """The rule that each text breaks, or "kept"; a shard at a time."""
    found: list[str] = []
    for first in range(0, len(texts), SHARD):
        shard = texts[first : first + SHARD]
        frame = pl.DataFrame({"text": shard, "lang": ["en"] * len(shard)}, schema={"text": pl.String, "lang": pl.String})
        found += judge(measured(frame, config), rules)["rule"].to_list()
    return found


def theirs(documents: Sequence[Any], filters: Sequence[Any]) -> list[str]:
    """The reason for which the first filter drops each document, in our names, or "kept"."""
    found = []
    for document in documents:
        reason = "kept"
        for filter_ in filters:
            result = filter_.filter(document)
            if result is not True:
                reason = NAMES.get(result[1], result[1])
                break
        found.append(reason)
    return found


def documents_of(texts: Sequence[str]) -> list[Any]:
    from datatrove.data import Document

    return [Document(text=text, id=str(number)) for number, text in enumerate(texts)]


def same_words() -> dict[str, Any]:
    """Give datatrove our words and sentences; returns what it had."""
    had = {}
    for module in ("gopher_quality_filter", "gopher_repetition_filter", "fineweb_quality_filter"):
        had[module] = _module(module).split_into_words
        _module(module).split_into_words = lambda text, _=None: text.split()
    had["c4_filters"] = _module("c4_filters").split_into_sentences
    _module("c4_filters").split_into_sentences = lambda text, _=None: SENTENCE.findall(text)
    return had


def own_words(had: dict[str, Any]) -> None:
    """Give datatrove back its own words, which need spaCy."""
    sys.path.append(str(packages(*SPACY)))
    for module, function in had.items():
        setattr(_module(module), "split_into_sentences" if module == "c4_filters" else "split_into_words", function)


def _module(name: str) -> Any:
    return importlib.import_module(f"datatrove.pipeline.filters.{name}")


def category(text: str, mine: str, other: str) -> str:
    """Why two verdicts on the same words differ, by what the document holds; "unexplained" if nothing known fits."""
    from datatrove.utils.text import PUNCTUATION_SET

    words = text.split()
    stops = set(gopher.STOP_WORDS["en"])
    if "gopher_stop_words" in (mine, other) and len({word.lower() for word in words} & stops) > len(set(words) & stops):
        return "stop words in capitals count here"
    if any(not any(char.isalnum() for char in word) and not set(word) <= PUNCTUATION_SET for word in words):
        return "a word of symbols that datatrove doesn't list as punctuation is none here"
    return "unexplained"


def own_category(mine: str, other: str) -> str:
    """What spaCy's words do to a rule: the first that one of the two names."""
    for rule, why in OWN_WORDS.items():
        if rule in (mine, other):
            return why
    return "marks that are words of their own make other n-grams, and other ones repeat"


OWN_WORDS = {
    "gopher_alphabetic_words": "marks are words of their own there, without a letter: fewer of the words have one",
    "gopher_min_words": "spaCy cuts at hyphens, apostrophes and slashes: more words",
    "gopher_min_mean_word_chars": "spaCy cuts words: they are shorter",
    "gopher_max_mean_word_chars": "spaCy cuts addresses and names with marks: words are shorter",
    "gopher_stop_words": "a stop word beside a mark counts there",
    "gopher_hash_ratio": "more words to a hash",
    "gopher_ellipsis_ratio": "more words to an ellipsis",
    "c4_min_sentences": "every line is a sentence or more there, one without an end mark too",
    "fineweb_newlines_per_word": "more words to a line end",
}


def compared(
    texts: list[str], config: CleanedCorpusConfig, same: bool, repeats: int
) -> tuple[list[dict[str, object]], Counter[str]]:
    """A row for the chain and for each filter, and how many differences are of which category."""
    filters = stock()
    quick, mine = best_of(repeats, lambda: ours(texts, config, rules_of(config)))
    fresh = documents_of(texts)
    slow, other = best_of(1, lambda: theirs(fresh, list(filters.values())))
    equal = sum((a == "kept") == (b == "kept") for a, b in zip(mine, other, strict=True))
    whole = {"filter": "the chain", "kept by ours": mine.count("kept"), "kept by datatrove": other.count("kept")}
    rows = [
        {
            **whole,
            "same verdict": _percent(equal, texts),
            "same rule": "",
            "ours s": quick,
            "datatrove s": slow,
            "ratio": slow / quick,
        }
    ]
    reasons: Counter[str] = Counter()
    for name, rules in families(config).items():
        without = config if name == "C4" else config.model_copy(update={"c4": config.c4.model_copy(update={"enabled": False})})
        mine, other = ours(texts, without, rules), theirs(documents_of(texts), [filters[name]])
        equal = sum((a == "kept") == (b == "kept") for a, b in zip(mine, other, strict=True))
        differing = [(text, a, b) for text, a, b in zip(texts, mine, other, strict=True) if a != b]
        reasons.update(f"{name}: {category(text, a, b) if same else own_category(a, b)}" for text, a, b in differing)
        row = {"filter": name, "kept by ours": mine.count("kept"), "kept by datatrove": other.count("kept")}
        rows.append({**row, "same verdict": _percent(equal, texts), "same rule": _percent(len(texts) - len(differing), texts)})
    return rows, reasons


def _percent(part: int, texts: Sequence[str]) -> str:
    return f"{100 * part / len(texts):.2f} %"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, default=8_000)
    parser.add_argument("--own-words", type=int, default=1_500, help="how many of them are judged with spaCy's words too")
    asked = parser.parse_args()
    texts = standardise_all(pl.Series(real_documents(asked.documents))).to_list()
    config = published()
    ours(texts[:50], config, rules_of(config))  # loads the compiled loops
    had = same_words()
    rows, reasons = compared(texts, config, same=True, repeats=3)
    own_words(had)
    own = texts[: asked.own_words]
    theirs(documents_of(own[:3]), list(stock().values()))  # loads spaCy
    own_rows, own_reasons = compared(own, config, same=False, repeats=3)
    size = sum(len(text.encode()) for text in texts) / 1e6
    said = f"{rows[0]['ratio']:.1f}x as fast with the same words, {own_rows[0]['ratio']:.0f}x with spaCy's"
    head = f"{len(texts):,} documents, {size:.1f} MB; one core each; {versions('datatrove', 'polars', 'numba')}, {SPACY[0]}."
    parts = [head, f"Ours: {said}."]
    for label, found, why in (
        ("The same words", rows, reasons),
        (f"datatrove's own words, {len(own):,} documents", own_rows, own_reasons),
    ):
        listed = "\n".join(f"- {count}: {name}" for name, count in why.most_common()) or "- none"
        parts += [f"{label}:", table(found), f"Differences of verdict or rule:\n\n{listed}"]
    text = "\n\n".join(parts)
    print(text)
    record(__file__, text)
    if any("unexplained" in name for name in reasons) or any(float(str(row["same verdict"]).split()[0]) < 99 for row in rows):
        raise SystemExit("with the same words, a difference is unexplained or fewer than 99 % of the verdicts agree")


if __name__ == "__main__":
    main()
