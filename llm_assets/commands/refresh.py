"""The second snapshot: run the data assets for it, and judge from manifests that a refresh costs what is new.

Two promises are checked, and a false one is exit code 1: pages extracted = new + changed pages only, and not a byte (nor a
modification time) of the first snapshot's files has changed.
"""

from pathlib import Path

import polars as pl
from rich.table import Table

from llm_assets.commands.console import ConsoleListener
from llm_assets.commands.demo import snapshots
from llm_assets.commands.run import DATA_PARTITIONED, Part, data_parts, run_parts
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.manifest import hash_files
from llm_assets.core.store import Store
from llm_assets.defs import settings

State = dict[str, tuple[str, int]]


def frozen_state(store: Store, crawl: str) -> State:
    """Digest and modification time of every file that the data assets of one crawl hold."""
    state: State = {}
    for asset in DATA_PARTITIONED:
        artefact = store.current(asset, crawl)
        if artefact is None:
            raise LlmAssetsError(f"{asset}[{crawl}] is not there yet; run 'llm-assets demo' first")
        for name, entry in hash_files(artefact.files).items():
            state[f"{artefact.ref}/{name}"] = (entry.sha256, (artefact.files / name).stat().st_mtime_ns)
    return state


def new_and_changed(index: Path) -> tuple[int, int]:
    """Page responses (new or changed) and page revisits (unchanged) of a raw crawl's index."""
    pages = pl.read_parquet(index, columns=["kind", "record_type"]).filter(pl.col("kind") == "page")
    responses = pages.filter(pl.col("record_type") == "response").height
    return responses, pages.height - responses


def run_refresh() -> int:
    """Run and judge; 0 if both promises hold."""
    keys = snapshots()
    if len(keys) < 2:
        raise LlmAssetsError("the recipe names no second snapshot (raw_crawl.snapshots); there is nothing to refresh with")
    first, later = keys[0], keys[1]
    store = settings.store()
    before = frozen_state(store, first)
    with ConsoleListener() as listener:
        parts = [*data_parts(), Part("train", ("training_mix",)), Part("refresh_check"), Part("audit")]
        if not run_parts(parts, later, listener):
            return 1
        after = frozen_state(store, first)
        extracted = store.current("extracted_pages", later)
        raw = store.current("raw_crawl", later)
        if extracted is None or raw is None:
            raise LlmAssetsError(f"the crawl {later} was not made; look at the run in the UI")
        responses, revisits = new_and_changed(raw.file("index.parquet"))
        seen = extracted.manifest().counts["documents_in"]
        checks = [
            ("pages looked at by extraction = new + changed pages", f"{seen:,} = {responses:,}", seen == responses),
            ("unchanged pages cost a revisit record only", f"{revisits:,} revisits", revisits > 0),
            (f"files of {first}: same digests, same times", f"{len(before):,} files", before == after),
        ]
        table = Table(title=f"Refresh: {later} after {first}", title_justify="left")
        table.add_column("what must hold")
        table.add_column("measured")
        table.add_column("")
        for what, measured, holds in checks:
            table.add_row(what, measured, "[green]yes[/]" if holds else "[red]NO[/]")
        listener.console.print(table)
    return 0 if all(holds for *_, holds in checks) else 1
