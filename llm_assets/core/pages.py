"""The pages of a store that people look at in a browser, and their addresses: samples, expectations, reports, the index.

Only these are ever served: the store also holds raw crawls and the history of runs. ``LLM_ASSETS_DOCS_URL`` says where
``llm-assets ui`` (or ``llm-assets data-docs --serve``) serves them, for links from elsewhere.
"""

import os
import re
from pathlib import Path
from urllib.parse import quote, unquote

from llm_assets.core.artefact import Artefact
from llm_assets.core.manifest import ACCOUNT_FOLDER

SAMPLES, EXPECTATIONS = "samples.html", "expectations.html"
INDEX = "data_docs/index.html"
SQL_DOCS = "data_docs/sql.html"
# asset → the pages among its content, as a pattern of file names
REPORTS = {"eval_report": "report.html", "training_content_summary": "*.html"}
DOCS_URL = "LLM_ASSETS_DOCS_URL"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 3001
_PART = r"(?!\.)[A-Za-z0-9._-]+"
_ALLOWED = re.compile(
    rf"{re.escape(INDEX)}|{_PART}/{_PART}/{_PART}/{ACCOUNT_FOLDER}/(?:{re.escape(SAMPLES)}|{re.escape(EXPECTATIONS)})"
    rf"|(?:{'|'.join(REPORTS)})/{_PART}/{_PART}/{_PART}\.html"
)


def docs_url() -> str:
    """Where the pages are served, without a closing slash."""
    return (os.environ.get(DOCS_URL) or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}").rstrip("/")


def addresses(artefact: Artefact) -> dict[str, str]:
    """Name → address of each page that an artefact has."""
    pages = {"data_docs": EXPECTATIONS, "samples_by_rule": SAMPLES}
    there = {name: page for name, page in pages.items() if (artefact.files / ACCOUNT_FOLDER / page).is_file()}
    found = {name: f"{docs_url()}/{quote(artefact.ref)}/{ACCOUNT_FOLDER}/{page}" for name, page in there.items()}
    for path in sorted(artefact.files.glob(REPORTS.get(artefact.asset, ""))) if artefact.asset in REPORTS else []:
        found[path.stem] = f"{docs_url()}/{quote(artefact.ref)}/{quote(path.name)}"
    if (artefact.files / f"{artefact.asset}.parquet").exists():  # a table of the warehouse bears its model's name
        found["sql_docs"] = f"{docs_url()}/{SQL_DOCS}#{quote(artefact.asset)}"
    return found


def reports(store: Path) -> list[tuple[str, str]]:
    """(title, path below the store) of every report that some recipe's readers see."""
    found = []
    for asset, pattern in REPORTS.items():
        for pointer in sorted((store / asset).glob("*/CURRENT.*")):
            files = pointer.parent / pointer.read_text("utf-8").strip()
            for path in sorted(files.glob(pattern)):
                title = asset.replace("_", " ") if path.stem == "report" else f"{asset.replace('_', ' ')}: {path.stem}"
                found.append((f"{title} (recipe {pointer.suffix[1:]})", path.relative_to(store).as_posix()))
    return found


def served(store: Path, address: str) -> Path | None:
    """The file that the path of an address means; None for whatever is no page of the store."""
    name = unquote(address.partition("?")[0].partition("#")[0]).removeprefix("/")
    if not _ALLOWED.fullmatch(name):
        return None
    path = (store / name).resolve()
    return path if path.is_file() and path.is_relative_to(store.resolve()) else None
