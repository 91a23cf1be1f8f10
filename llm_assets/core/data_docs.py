"""Data Docs: great_expectations' own page on what a suite asked and found, as a file that needs no network and runs nothing.

The page lies beside the artefact (``account/expectations.html``); a list of those of all artefacts, with their samples by
rule, is made when it is asked for: by ``llm-assets data-docs`` as a file, or in a browser (``commands/site.py``). As
great_expectations renders it, a page loads scripts and styles from a dozen hosts, and writes values of the table into its
HTML as they are: a crawled page could put a script there. So values are escaped and cut before rendering, everything that
loads is taken out, a few styles are put in, and a content security policy forbids what might be left.
"""

import html
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_assets.core.jsonio import read_json, write_atomic
from llm_assets.core.manifest import ACCOUNT_FOLDER, GATES_FILE, MANIFEST_FILE
from llm_assets.core.oneline import one_line, shortened
from llm_assets.core.pages import EXPECTATIONS, SAMPLES
from llm_assets.core.suites import GX

if TYPE_CHECKING:
    from llm_assets.core.expectations import Answer

_CHARACTERS = 100
_TAIL_BYTES = 4_096
_STARTED = re.compile(rb'"started_at": "([0-9T:+-]+)"')
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_LOADS = re.compile(
    r"<(script|style|footer|iframe|svg|object)\b.*?</\1>|<(?:link|img|script|base|embed)\b[^>]*>", re.DOTALL | re.IGNORECASE
)
_AWAY = re.compile(r'\s(?:href|src|onclick|data-bs-target)="(?!#)[^"]*"', re.IGNORECASE)
_STYLE = (
    "body{font:14px/1.5 system-ui,sans-serif;max-width:72rem;margin:1rem auto;padding:0 1rem;color-scheme:light dark}"
    "table{border-collapse:collapse;width:100%;margin:.6rem 0}td,th{border:1px solid #8884;padding:.35rem .6rem;"
    "text-align:left;vertical-align:top}.fa-check-circle::before{content:'✓';color:#009E73;font-weight:bold}"
    ".fa-times::before{content:'✗';color:#D55E00;font-weight:bold}"
    ".fa-exclamation-triangle::before{content:'!';color:#E69F00}"
    ".modal,.navbar,.col-lg-2,button{display:none}ul{padding-left:1.2rem}li{list-style:none}a{color:inherit}"
    ".badge{border:1px solid #8886;border-radius:4px;padding:0 .3rem}.no{color:#D55E00;font-weight:bold}"
    ".wide{overflow-x:auto}nav{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;padding-bottom:.7rem;border-bottom:1px solid #8884}"
)


def write(files: Path, asset: str, answers: Sequence["Answer"]) -> None:
    """Render the results of one suite into ``account/expectations.html`` below ``files``."""
    folder = files / ACCOUNT_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / EXPECTATIONS, render(asset, answers).encode("utf-8", "replace"))


def render(asset: str, answers: Sequence["Answer"]) -> str:
    """The page as HTML: a table of all checks, then great_expectations' own rendering of those that were asked."""
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult
    from great_expectations.render.renderer import ValidationResultsPageRenderer

    results = [_harmless(answer.result) for answer in answers if answer.result is not None]
    good = sum(bool(result.success) for result in results)
    statistics = {
        "evaluated_expectations": len(results),
        "successful_expectations": good,
        "unsuccessful_expectations": len(results) - good,
        "success_percent": 100 * good / len(results) if results else None,
    }
    suite = ExpectationSuiteValidationResult(
        success=good == len(results), results=results, suite_name=asset, statistics=statistics, meta={}
    )
    page = _view().render(ValidationResultsPageRenderer(run_info_at_end=True).render(suite))
    body = _AWAY.sub("", _LOADS.sub("", page))
    title = f"{asset}: expectations"
    body = body.replace("<head>", f"<head>{_head(title)}", 1)
    return body.replace("<body>", f"<body><h1>{html.escape(title)}</h1>{_checks(answers)}", 1)


@cache
def _view() -> Any:
    """The renderer, which compiles its templates at their first use."""
    from great_expectations.render.view import DefaultJinjaPageView

    return DefaultJinjaPageView()


def _checks(answers: Sequence["Answer"]) -> str:
    """The checks as Dagster names them; messages come with their values escaped for Markdown."""
    rows = []
    for gate in (answer.gate for answer in answers):
        fate = "holds" if gate.passed else f'<span class="no">{"fails" if gate.blocking else "warns"}</span>'
        rows.append(f"<tr><td>{gate.name}</td><td>{fate}</td><td>{html.escape(html.unescape(gate.message))}</td></tr>")
    return f"<table><tr><th>check</th><th></th><th>found</th></tr>{''.join(rows)}</table>"


def _head(title: str) -> str:
    return (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style>"
    )


def _harmless(result: Any) -> Any:
    """A copy whose values from the table are escaped and short."""
    copied = deepcopy(result)
    copied.result = _escaped(copied.result)
    return copied


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    if isinstance(value, str):
        cut = shortened(one_line(value), _CHARACTERS)
        return html.escape(cut).replace("$", "&#36;").replace("{", "&#123;").replace("://", ":&#8203;//")
    return value


def index_page(store: Path, above: str = "<h1>Data Docs</h1>") -> str:
    """The list of every artefact that has a page, newest of a partition first. A view: made whenever somebody asks for it.

    ``above``: HTML that stands before the list.
    """
    rows = []
    for files in {page.parents[1] for name in (EXPECTATIONS, SAMPLES) for page in store.glob(f"*/*/*/{ACCOUNT_FOLDER}/{name}")}:
        if (files / MANIFEST_FILE).is_file():
            rows.append(_row(store, files))
    rows.sort(key=lambda row: row[2], reverse=True)
    rows.sort(key=lambda row: row[:2])
    names = ("asset", "partition", "made", "artefact", "current in", "samples", "expectations", "")
    head = "".join(f"<th>{name}</th>" for name in names)
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    opened = f'<!doctype html><html lang="en"><head><meta charset="utf-8">{_head("Data Docs")}</head><body>{above}'
    listed = f'<div class="wide"><table><tr>{head}</tr>{cells}</table></div>' if rows else "<p>No artefact has a page yet.</p>"
    return f"{opened}{listed}</body></html>\n"


def _row(store: Path, files: Path) -> tuple[str, ...]:
    """The cells of one artefact, as HTML."""
    asset, partition, identity = files.relative_to(store).parts
    current = sorted(pointer.suffix[1:] for pointer in files.parent.glob("CURRENT.*") if _names(pointer, identity))
    started = _started(files / MANIFEST_FILE)
    samples, found = (_link(store, files, page, text) for page, text in ((SAMPLES, "samples"), (EXPECTATIONS, "Data Docs")))
    told = (asset, partition, started, identity, ", ".join(current))
    return (*map(html.escape, told), samples, found, _fates(files) if found else "")


def _started(manifest: Path) -> str:
    """When it was made, from the end of the manifest: the whole of one that lists a million images takes seconds to read."""
    with open(manifest, "rb") as handle:
        handle.seek(max(0, manifest.stat().st_size - _TAIL_BYTES))
        found = _STARTED.findall(handle.read())
    return str(found[-1].decode()) if found else ""


def _link(store: Path, files: Path, page: str, text: str) -> str:
    path = files / ACCOUNT_FOLDER / page
    return f'<a href="../{html.escape(path.relative_to(store).as_posix())}">{text}</a>' if path.is_file() else ""


def _names(pointer: Path, identity: str) -> bool:
    return pointer.read_text("utf-8").strip() == identity


def _fates(files: Path) -> str:
    gates = read_json(files / GATES_FILE) if (files / GATES_FILE).is_file() else []
    mine = [gate for gate in gates if gate["name"].startswith(GX)]
    failed = [html.escape(gate["name"]) for gate in mine if not gate["passed"]]
    return f'<span class="no">{", ".join(failed)}</span>' if failed else f"{len(mine)} hold"
