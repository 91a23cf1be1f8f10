"""The pages of a store that people look at in a browser, and their addresses: samples by rule, expectations, the list of both.

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
DOCS_URL = "LLM_ASSETS_DOCS_URL"
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 3001
_PART = r"(?!\.)[A-Za-z0-9._-]+"
_ALLOWED = re.compile(
    rf"{re.escape(INDEX)}|{_PART}/{_PART}/{_PART}/{ACCOUNT_FOLDER}/(?:{re.escape(SAMPLES)}|{re.escape(EXPECTATIONS)})"
)


def docs_url() -> str:
    """Where the pages are served, without a closing slash."""
    return (os.environ.get(DOCS_URL) or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}").rstrip("/")


def addresses(artefact: Artefact) -> dict[str, str]:
    """Name → address of each page that an artefact has."""
    pages = {"data_docs": EXPECTATIONS, "samples_by_rule": SAMPLES}
    there = {name: page for name, page in pages.items() if (artefact.files / ACCOUNT_FOLDER / page).is_file()}
    return {name: f"{docs_url()}/{quote(artefact.ref)}/{ACCOUNT_FOLDER}/{page}" for name, page in there.items()}


def served(store: Path, address: str) -> Path | None:
    """The file that the path of an address means; None for whatever is no page of the store."""
    name = unquote(address.partition("?")[0].partition("#")[0]).removeprefix("/")
    if not _ALLOWED.fullmatch(name):
        return None
    path = (store / name).resolve()
    return path if path.is_file() and path.is_relative_to(store.resolve()) else None
