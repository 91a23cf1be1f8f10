"""The pages beside the Dagster UI: one index, and what it lists. All are made when somebody asks, and load nothing from afar.

A new page is one entry in ``PAGES``: a file name, a title, a sentence, and a function from the store's folder to HTML. Pages
that artefacts hold (evaluation, training content, Data Docs, samples) are served from where they lie: ``core/pages.py``.
"""

import html
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llm_assets.core import data_docs, pages
from llm_assets.core.jsonio import write_atomic
from llm_assets.core.report import COLUMNS
from llm_assets.core.store import Store

FOLDER = pages.INDEX.partition("/")[0]


@dataclass(frozen=True)
class Page:
    """``name``: file below ``data_docs/``. ``render``: the page for the store at a folder. ``script``: its own file of script,
    which is served beside it under the page's name with ``.js``."""

    name: str
    title: str
    about: str
    render: Callable[[Path], str]
    script: Callable[[], Path] | None = None

    @property
    def script_name(self) -> str:
        """``sql.html`` → ``sql.js``."""
        return self.name.removesuffix(".html") + ".js"


def navigation(current: str) -> str:
    """Links to the index and all pages."""
    links = []
    for name, title in [("index.html", "Overview"), *((page.name, page.title) for page in PAGES)]:
        mark = ' aria-current="page"' if name == current else ""
        links.append(f'<a href="{name}"{mark}>{title}</a>')
    return f'<nav aria-label="Pages">{"".join(links)}</nav>\n'


def index(store: Path) -> str:
    """The front page: what there is to read, then the list of Data Docs and samples."""
    cards = "".join(f'<li><a href="{p.name}">{p.title}</a>: {p.about}</li>' for p in PAGES)
    reports = "".join(
        f'<li><a href="../{html.escape(path)}">{html.escape(title)}</a></li>' for title, path in pages.reports(store)
    )
    listed = f"<ul>{reports}</ul>" if reports else "<p>None yet: they come with eval_report and training_content_summary.</p>"
    above = f"{navigation('index.html')}<h1>Pages of this store</h1><ul>{cards}</ul><h2>Reports</h2>{listed}<h2>Data Docs</h2>"
    return data_docs.index_page(store, above)


def sql_docs(root: Path) -> str:
    """The documentation of ``dbt_like_sql/`` with what its current tables say."""
    from llm_assets.core.recipe import load_recipe
    from llm_assets.core.report import Report
    from llm_assets.sql.docs import Built, render
    from llm_assets.stages.audit.project import project

    store, models = Store(root, load_recipe().name), project()
    built = {}
    for name, model in models.models.items():
        made = store.current(name)
        if made is None:
            continue
        manifest, told = made.manifest(), Report.load(made.files).metrics.get(COLUMNS, {})
        lineage = {column: [(asset, of) for asset, of in said["from"]] for column, said in told.items()}
        built[name] = Built(
            rows=manifest.counts.get("rows", 0),
            made=manifest.started_at,
            gates=store.gates(made),
            types={column: said["type"] for column, said in told.items()},
            lineage=lineage if told and manifest.code_version == models.version(model) else None,
        )
    return render(models, built, navigation("sql.html"))


def _sql_script() -> Path:
    from llm_assets.sql.docs import SCRIPT

    return SCRIPT


def _status(root: Path) -> str:
    from llm_assets.commands.status import status_page

    return status_page(root, navigation("status.html"))


PAGES: tuple[Page, ...] = (
    Page(
        "status.html",
        "Status",
        "every asset and crawl: fresh, stale and why, refused by which check; and what a run would make",
        _status,
    ),
    Page(
        "sql.html",
        "SQL models",
        "tables of the warehouse, where each column comes from, and what tests said",
        sql_docs,
        _sql_script,
    ),
)


def write(store: Path) -> Path:
    """Write the index and all pages below ``data_docs/``, to be opened as files; returns the index."""
    target = store / pages.INDEX
    target.parent.mkdir(parents=True, exist_ok=True)
    for page in PAGES:
        write_atomic(target.with_name(page.name), page.render(store).encode("utf-8", "replace"))
        if page.script is not None:
            write_atomic(target.with_name(page.script_name), page.script().read_bytes())
    write_atomic(target, index(store).encode("utf-8", "replace"))
    return target
