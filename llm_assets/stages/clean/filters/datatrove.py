"""Filter classes of datatrove, by name from the recipe: theirs judge what ours kept, a document at a time.

``{name: RegexFilter, options: {regex_exp: casino}}`` calls ``RegexFilter(regex_exp="casino")``. A verdict is written as
``datatrove:RegexFilter:<reason>``; a class that gives no reason has ``dropped``. A filter sees text, id and, as metadata, the
page's columns (``language`` and ``language_score`` under the names that datatrove uses); what it changes in the text is kept.
"""

import inspect
import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import polars as pl

from llm_assets.core.errors import RecipeError

_TAKES = "datatrove_filters"


def classes() -> dict[str, type[Any]]:
    """Every filter class that this datatrove has and a recipe can name, by name."""
    from datatrove.pipeline import filters
    from datatrove.pipeline.filters.base_filter import BaseFilter

    return {
        name: found
        for name, found in vars(filters).items()
        if inspect.isclass(found) and issubclass(found, BaseFilter) and not inspect.isabstract(found) and name != "LambdaFilter"
    }


def build(entries: Sequence[dict[str, Any]]) -> list[tuple[str, Any]]:
    """(name, filter) of each entry; ``RecipeError`` where datatrove has no such class or the class takes no such option."""
    known = classes() if entries else {}
    found = []
    for entry in entries:
        name, options = entry["name"], entry.get("options", {})
        if name not in known:
            near = get_close_matches(name, known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(sorted(known))}"
            raise RecipeError(f"cleaned_corpus.{_TAKES}: datatrove has no filter {name!r}; {hint}")
        found.append((name, _made(name, known[name], options)))
    return found


def _made(name: str, kind: type[Any], options: dict[str, Any]) -> Any:
    takes = [key for key in inspect.signature(kind).parameters if key != "exclusion_writer"]
    for key in options:
        if key not in takes:
            near = get_close_matches(key, takes, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(takes)}"
            raise RecipeError(f"cleaned_corpus.{_TAKES}: {name} takes no option {key!r}; {hint}")
    try:
        # A filter that draws at random has to draw the same again.
        return kind(**{**({"seed": 0} if "seed" in takes else {}), **options})
    except (TypeError, ValueError, ImportError, re.error) as error:
        raise RecipeError(f"cleaned_corpus.{_TAKES}: {name} can't be made with {options or 'no options'}: {error}") from error


def judge(frame: pl.DataFrame, filters: Sequence[tuple[str, Any]]) -> tuple[pl.Series, pl.Series]:
    """(rule that dropped a document or null, its text) for each row of a frame with ``doc_id``, ``text``, ``lang``."""
    from datatrove.data import Document
    from datatrove.pipeline.filters.base_filter import get_filter_result

    rules: list[str | None] = []
    texts: list[str] = []
    for row in frame.iter_rows(named=True):
        told = {key: value for key, value in row.items() if not key.startswith("_") and key not in ("text", "doc_id")}
        told |= {"language": row["lang"], "language_score": row.get("lang_score")}
        document = Document(text=row["text"], id=row["doc_id"], metadata=told)
        rules.append(None)
        for name, theirs in filters:
            try:
                kept, reason = get_filter_result(theirs.filter(document))
            except ImportError as error:  # some ask for a package only now: word tokenizers
                raise RecipeError(f"cleaned_corpus.{_TAKES}: {name} can't judge: {error}") from error
            if not kept:
                rules[-1] = f"datatrove:{name}:{reason or 'dropped'}"
                break
        texts.append(document.text)
    return pl.Series("rule", rules, pl.String), pl.Series("text", texts, pl.String)
