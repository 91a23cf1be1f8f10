"""The Dagster instance of a store: its home is ``<store>/.dagster``, so that history lives with the artefacts.

``dagster.yaml`` of the checkout is copied there at every start; edit the one in the checkout.
"""

import os
import re
from pathlib import Path

import dagster as dg

from llm_assets.core.errors import StoreError
from llm_assets.core.jsonio import write_atomic
from llm_assets.core.produce import project_root, store_root

_MINIMAL = b"telemetry:\n  enabled: false\n"


def home_folder() -> Path:
    """Where the instance is or will be; ``StoreError`` where ``DAGSTER_HOME`` is no absolute path."""
    chosen = os.environ.get("DAGSTER_HOME")
    home = Path(chosen) if chosen else store_root() / ".dagster"
    if not home.is_absolute():
        raise StoreError(f"DAGSTER_HOME is {str(home)!r}; it must be an absolute path")
    return home


def exists() -> bool:
    """Whether there is an instance: a history in files, or settings that put it elsewhere (Postgres)."""
    settings = home_folder() / "dagster.yaml"
    elsewhere = settings.is_file() and re.search(r"^(storage|run_storage):", settings.read_text("utf-8"), re.MULTILINE)
    return bool(elsewhere) or (home_folder() / "history").is_dir()


def dagster_home() -> Path:
    """Make ``DAGSTER_HOME`` ready and export it (an exported one is kept). Raises ``StoreError`` if it can't be written."""
    chosen, home = os.environ.get("DAGSTER_HOME"), home_folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        shipped = project_root() / "dagster.yaml"
        content = shipped.read_bytes() if shipped.is_file() else _MINIMAL
        target = home / "dagster.yaml"
        if not chosen and (not target.exists() or target.read_bytes() != content):
            write_atomic(target, content)
    except OSError as error:
        raise StoreError(f"{home} can't be written: {error.strerror}; set LLM_ASSETS_STORE to a folder of yours") from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home


def instance() -> dg.DagsterInstance:
    """The instance at ``DAGSTER_HOME``."""
    dagster_home()
    return dg.DagsterInstance.get()
