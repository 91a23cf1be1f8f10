"""``llm-assets explain``: hands the current artefacts to the audit stage and prints what it finds.

Dagster is not imported: an answer is there before Dagster would be.
"""

import json
from pathlib import Path
from urllib.parse import quote

from llm_assets.core import inbox
from llm_assets.core.errors import InputError, LlmAssetsError
from llm_assets.core.produce import store_root
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.store import Store

_MOST_LINES = 100_000


def run_explain(what: str, as_json: bool = False) -> str:
    """The fate of a URL, a document id or a document of one's own in a crawl's folder; or, of any other file, of each line.

    As text (of lines a table), or JSON. Raises ``LlmAssetsError`` where nothing was crawled yet, ``InputError`` where no crawl
    met what was asked (of a file, lines that no crawl met are rows of the table).
    """
    from llm_assets.stages.audit import explain

    recipe = load_recipe()
    store = Store(store_root(), recipe.name)
    if not store.partitions("raw_crawl"):
        raise LlmAssetsError(f"nothing was crawled yet under the recipe {store.recipe!r}; run 'llm-assets demo' first")
    path = Path(what)
    there = is_file(path)
    address = address_of(path, recipe.raw_crawl, store) if there else ""
    what = address or what
    if there and not address:
        queries = queries_in(path)
        answers = list(zip(queries, explain.explain_all(store.root, store.recipe, queries), strict=True))
        if as_json:
            return json.dumps([explain.as_json(*answer) for answer in answers], ensure_ascii=False, indent=1)
        return table([row for answer in answers for row in explain.rows_of(*answer)])
    if as_json:
        (answer,) = explain.explain_all(store.root, store.recipe, [what])
        if isinstance(answer, str):
            raise InputError(answer)
        return json.dumps(explain.as_json(what, answer), ensure_ascii=False, indent=1)
    return explain.explain(store.root, store.recipe, what)


def is_file(path: Path) -> bool:
    """Whether what was asked is a file. A URL may be longer than a file name can be."""
    try:
        return path.is_file()
    except OSError:
        return False


def address_of(path: Path, raw: RawCrawlConfig, store: Store) -> str:
    """The address that a file has as a document of a crawl, if it lies in the folder of one; else ""."""
    for crawl in dict.fromkeys([*store.partitions("raw_crawl"), *raw.local.folders]):
        folder = inbox.crawl_folder(raw.local.folders, raw.inbox, store.root, crawl).resolve()
        if path.resolve().is_relative_to(folder):
            name = path.resolve().relative_to(folder).as_posix()
            return f"https://{raw.local.collections.get(crawl, crawl)}.invalid/{quote(name)}"
    return ""


def queries_in(path: Path) -> list[str]:
    """The lines of a file that are neither empty nor start with ``#``. ``InputError`` where it is no text or has too many."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text ({error.reason}); give one URL or document id a line") from error
    found = [line for line in lines if line and not line.startswith("#")]
    if not 1 <= len(found) <= _MOST_LINES:
        raise InputError(f"{path} holds {len(found):,} URLs or document ids; 1 to {_MOST_LINES:,} are answered at a time")
    return found


def table(rows: list[dict[str, str]]) -> str:
    """Rows under their names, columns wide enough for what stands in them; the last one runs on."""
    shown = [{name: name for name in rows[0]}, *rows]
    widths = {name: max(len(row[name]) for row in shown) for name in list(rows[0])[:-1]}
    return "\n".join("  ".join(text.ljust(widths.get(name, 0)) for name, text in row.items()) for row in shown)
