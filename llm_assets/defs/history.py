"""Dagster's history in SQLite, held open while an asset is made.

Dagster opens a connection for each event, and SQLite writes its whole log back whenever the last one closes. One more
connection, which does nothing, makes an event cost less than half of that. With any other storage nothing is done.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage


@contextmanager
def held_open(instance: dg.DagsterInstance, run_id: str) -> Iterator[int]:
    """Hold the databases of a run's events open until the end of the block; how many they are."""
    storage = instance.event_log_storage
    found = (
        [Path(storage.path_for_shard(name)) for name in ("index", run_id)] if isinstance(storage, SqliteEventLogStorage) else []
    )
    with ExitStack() as stack:
        there = [path for path in found if path.is_file()]
        for path in there:
            connection = stack.enter_context(closing(sqlite3.connect(path)))
            connection.execute("select count(*) from sqlite_master").fetchone()  # it is opened by its first use
        yield len(there)
