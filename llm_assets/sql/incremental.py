"""Which crawls of an incremental model have to be made, and which of its rows an earlier table has already.

An incremental model is, by definition, its SQL run once a crawl over what is of that crawl. So the rows of a crawl are a
function of a few things: the model, DuckDB, the crawl's artefacts, and the rows of that crawl in the models that it reads.
Their hash is the crawl's mark, written beside the table in ``account/crawls.json``; rows with an equal mark are equal. Where
they are taken from is no part of the table's identity: a full build gives the same file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from llm_assets.core.artefact import Artefact
from llm_assets.core.jsonio import digest, read_json, write_json
from llm_assets.core.manifest import ACCOUNT_FOLDER, MANIFEST_FILE
from llm_assets.sql.build import Sources
from llm_assets.sql.project import Model, Project

MARKS_FILE = f"{ACCOUNT_FOLDER}/crawls.json"


@dataclass(frozen=True)
class Earlier:
    """A table made before, with its artefact, and the crawls whose rows in it are what would be made now."""

    table: Path | None = None
    crawls: frozenset[str] = frozenset()
    artefact: tuple[Artefact, ...] = ()


def marks(project: Project, model: Model, sources: Sources, refs: Mapping[str, Path]) -> dict[str, str]:
    """Crawl → mark. ``refs``: the tables of the models that it reads, each in its artefact."""
    read = {name: read_json(refs[name].parent / MARKS_FILE) for name in model.reads}
    artefacts = {
        (asset, artefact.partition): [artefact.identity, artefact.manifest().digest] if more else artefact.manifest().digest
        for asset, more in project.source_assets(model).items()
        for artefact in sources.get(asset, ())
    }
    crawls = sorted({crawl for _, crawl in artefacts} | {crawl for known in read.values() for crawl in known})
    base = [project.version(model), version("duckdb")]
    return {
        crawl: digest(
            [
                base,
                sorted((asset, mark) for (asset, of), mark in artefacts.items() if of == crawl),
                sorted((name, known.get(crawl, "")) for name, known in read.items()),
            ]
        )
        for crawl in crawls
    }


def write_marks(files: Path, found: Mapping[str, str]) -> None:
    """Leave the marks beside a table, below its artefact's ``files``."""
    write_json(files / MARKS_FILE, dict(found))


def earlier(store: Path | None, model: Model, table: str, found: Mapping[str, str]) -> Earlier:
    """Of the model's artefacts in the store (folder of all), the one that has most of the marks. ``table``: its file's name."""
    best = Earlier()
    for path in sorted(store.glob(f"{model.name}/*/*/{MARKS_FILE}")) if store is not None else []:
        files = path.parents[1]
        known = read_json(path)
        equal = frozenset(crawl for crawl, mark in found.items() if known.get(crawl) == mark)
        if len(equal) > len(best.crawls) and (files / MANIFEST_FILE).is_file() and (files / table).is_dir():
            best = Earlier(files / table, equal, (Artefact(model.name, files.parent.name, files.name, files),))
    return best
