"""Extraction: ours against trafilatura and plain resiliparse. F1 on the gold set, speed on real pages. Prints a ratio.

    python benchmarks/extraction.py [--pages 150] [--folder HTML_FOLDER] [--repeats 2]

Needs the extra ``[trafilatura]``. The gold set (``data/inputs/extraction_gold``) has a half that rules were made on and one
that they were not; the measure is in ``_gold.py``. Speed is taken in one process, on pages of the demo's site and of the HTML
documentation on this machine (or in ``--folder``), the same ones for all, from decoded HTML to text; the best of the repeats
counts. Ours also reads the metadata in that time. Trafilatura runs as it comes, without comments.
"""

import argparse
import gc
import time
from collections.abc import Callable, Sequence
from itertools import islice

import trafilatura
from _gold import GoldPage, Score, evaluate, load, mean
from _pages import WEB_BYTES, documentation_pages, site_pages
from _results import record, table, versions
from resiliparse.extract.html2text import extract_plain_text

from llm_assets.stages.extract.html import parse_html

Extract = Callable[[str], str]
ADDRESS = "https://page.example/"


def by_trafilatura(html: str) -> str:
    return trafilatura.extract(html, include_comments=False) or ""


EXTRACTORS: dict[str, Extract] = {
    "ours": lambda html: parse_html(html, ADDRESS).text,
    "trafilatura": by_trafilatura,
    "resiliparse": lambda html: str(extract_plain_text(html, main_content=True)),
}


def quality() -> tuple[str, dict[str, dict[str, float]]]:
    """Tables of F1 by half and by category, and F1 by half and extractor."""
    rows, headline = [], dict[str, dict[str, float]]()
    by_category: dict[str, dict[str, object]] = {}
    for half in ("dev", "test"):
        pages = load(half)
        scores = {name: evaluate(extract, pages) for name, extract in EXTRACTORS.items()}
        headline[half] = {name: mean(found.values()).f1 for name, found in scores.items()}
        rows += [_row(half, name, mean(found.values())) for name, found in scores.items()]
        for category, names in _categories(pages).items():
            row = by_category.setdefault(category, {"category": category})
            row[f"{half} pages"] = len(names)
            row |= {f"{half} {name}": round(mean(scores[name][page] for page in names).f1, 3) for name in EXTRACTORS}
    columns = [f"{half} {name}" for half in headline for name in ("pages", *EXTRACTORS)]
    listed = [{"category": row["category"], **{c: row.get(c, "") for c in columns}} for row in by_category.values()]
    return f"{table(rows)}\n\nF1 by category:\n\n{table(listed)}", headline


def _row(half: str, name: str, score: Score) -> dict[str, object]:
    return {"half": half, "extractor": name, **{key: round(value, 4) for key, value in vars(score).items()}}


def _categories(pages: Sequence[GoldPage]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for page in pages:
        found.setdefault(page.category, []).append(page.name)
    return found


def speed(pages: list[str], repeats: int) -> dict[str, float]:
    """Seconds a page, best of the repeats."""
    best = dict.fromkeys(EXTRACTORS, float("inf"))
    for extract in EXTRACTORS.values():  # whatever they load at first use
        extract(pages[0])
    gc.collect()
    gc.freeze()  # trafilatura's modules are many objects; nobody is to pay for looking through them
    for _ in range(repeats):
        for name, extract in EXTRACTORS.items():
            start = time.perf_counter()
            for page in pages:
                extract(page)
            best[name] = min(best[name], (time.perf_counter() - start) / len(pages))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pages", type=int, default=150)
    parser.add_argument("--folder", default="")
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    tables, f1 = quality()
    inputs = {
        "the demo's site": [page for _, page in islice(site_pages(), 0, 20 * asked.pages, 20)],
        "HTML documentation": [page for _, page in documentation_pages(asked.pages, asked.folder)],
        "its pages above 20 kB": [page for _, page in documentation_pages(asked.pages // 2, asked.folder, WEB_BYTES)],
    }
    rows, said = [], []
    for label, pages in inputs.items():
        if not pages:
            print(f"{label}: none on this machine, left out")
            continue
        seconds = speed([page.decode("utf-8", "replace") for page in pages], asked.repeats)
        kilobytes = sum(map(len, pages)) / len(pages) / 1e3
        for name, each in seconds.items():
            ratio = seconds["trafilatura"] / each
            row = {"pages": label, "number": len(pages), "kB a page": kilobytes, "extractor": name, "pages/s": 1 / each}
            rows.append(row | {"times trafilatura": ratio})
        said.append(f"{seconds['trafilatura'] / seconds['ours']:.1f} times trafilatura's speed on {label}")
    ahead = ", ".join(f"{half} {each['ours']:.3f} to {each['trafilatura']:.3f}" for half, each in f1.items())
    verdict = f"F1 ours to trafilatura's: {ahead}; {'; '.join(said)}."
    print(tables, table(rows), verdict, sep="\n\n")
    head = f"Gold set of {len(load())} pages, {versions('trafilatura', 'resiliparse')}."
    record(__file__, f"{head}\n\n{tables}\n\nSpeed in one process:\n\n{table(rows)}\n\n{verdict}")


if __name__ == "__main__":
    main()
