"""Real text that every machine has: the demo's Wikipedia introductions, the standard library, the packages' documentation."""

import ast
import os
import sysconfig
import warnings
from importlib.metadata import distributions
from itertools import chain, zip_longest
from pathlib import Path

from llm_assets.core.embedded import articles


def real_texts(n_bytes: int) -> list[str]:
    """Texts of about ``n_bytes`` UTF-8 bytes in all, in a fixed order."""
    found, filled = [], 0
    for text in (article.text for article in articles()):
        found.append(text)
        filled += len(text.encode())
        if filled >= n_bytes:
            return found
    for path in sorted(Path(os.__file__).parent.rglob("*.py")):
        if "site-packages" in path.parts:
            continue
        found.append(path.read_text("utf-8", "replace"))
        filled += len(found[-1].encode())
        if filled >= n_bytes:
            break
    return found


def real_documents(count: int) -> list[str]:
    """``count`` distinct English documents, in turn a Wikipedia introduction and a piece of documentation, in a fixed order.

    Documentation: the descriptions of the installed packages, their text files, and the docstrings of their modules and
    classes, of 200 characters and more: prose, lists, tables and code, with lines that repeat.
    """
    introductions = [article.text for article in articles() if article.lang == "en"][:: max(1, 17_000 // count)]
    pairs = chain.from_iterable(zip_longest(introductions, documentation(count)))
    return list(dict.fromkeys(text for text in pairs if text))[:count]


def documentation(count: int) -> list[str]:
    """Up to ``count`` pieces of documentation of the installed packages."""
    found = {text for dist in distributions() if (text := str(dist.metadata.get_payload()))}
    root = Path(sysconfig.get_path("purelib"))
    for path in sorted(root.rglob("*")):
        if len(found) >= count:
            break
        if path.suffix in (".md", ".rst", ".txt") and path.is_file():
            found.add(path.read_text("utf-8", "replace")[:200_000])
        elif path.suffix == ".py" and "test" not in path.as_posix():
            found.update(docstrings(path))
    return sorted(text for text in found if len(text) >= 200)[:count]


def docstrings(path: Path) -> list[str]:
    """Docstrings of a file's module and classes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return []
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef))
    return [text for node in nodes if (text := ast.get_docstring(node) or "")]
