"""The gold set of extraction and its measure: tokens that an extractor has in common with the annotated main text.

A token is a word of letters and digits in lower case; of Chinese, Japanese kana and Korean, whose words have no spaces between
them that all extractors would agree on, each character is one. Precision and recall count tokens as often as they occur
(bags, not sets); F1 is taken a page and averaged over pages, so a long page counts no more than a short one. The headline is a
column of its own in every extractor's answer, so its first occurrence as a line is taken out of each answer before counting.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

FOLDER = Path(__file__).parents[1] / "data/inputs/extraction_gold"
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+")


@dataclass(frozen=True)
class GoldPage:
    """One page: its HTML, the main text by the annotator, and what README.md says of the other fields."""

    name: str
    category: str
    half: str
    lang: str
    headline: str
    html: str
    text: str


@dataclass(frozen=True)
class Score:
    """Precision, recall and F1 of one page, or their means over pages."""

    precision: float
    recall: float
    f1: float


def load(half: str = "") -> list[GoldPage]:
    """The pages of a half ("dev", "test") or all, in the order of the index."""
    pages = []
    for line in (FOLDER / "pages.jsonl").read_text("utf-8").splitlines():
        told = json.loads(line)
        told.pop("layout")
        place = FOLDER / told["half"] / told["name"]
        html = place.with_suffix(".html").read_text("utf-8")
        text = place.with_suffix(".txt").read_text("utf-8")
        if half in ("", told["half"]):
            pages.append(GoldPage(**told, html=html, text=text))
    return pages


def tokens(text: str) -> list[str]:
    """Words in lower case, CJK by character."""
    return _TOKEN.findall(text.lower())


def score(answer: str, page: GoldPage) -> Score:
    """An extractor's answer against the annotation."""
    found, wanted = Counter(tokens(_without_headline(answer, page.headline))), Counter(tokens(page.text))
    common = sum((found & wanted).values())
    precision = common / found.total() if found else 0.0
    recall = common / wanted.total()
    return Score(precision, recall, 2 * precision * recall / (precision + recall) if common else 0.0)


def mean(scores: Iterable[Score]) -> Score:
    """Means over pages."""
    rows = list(scores)
    return Score(fmean(row.precision for row in rows), fmean(row.recall for row in rows), fmean(row.f1 for row in rows))


def evaluate(extract: Callable[[str], str], pages: Iterable[GoldPage]) -> dict[str, Score]:
    """Score of each page by name; ``extract``: HTML → text."""
    return {page.name: score(extract(page.html), page) for page in pages}


def _without_headline(answer: str, headline: str) -> str:
    wanted = tokens(headline)
    lines = answer.split("\n")
    for place, line in enumerate(lines):
        if wanted and tokens(line) == wanted:
            return "\n".join(lines[:place] + lines[place + 1 :])
    return answer
