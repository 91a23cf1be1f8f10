"""Makes what a take-down needs as Dagster runs, so that the UI has its history; and shows the affected models there."""

from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
from dagster._core.storage.event_log import SqlEventLogStorage, SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable
from sqlalchemy import select, update

from llm_assets.commands.console import ConsoleListener
from llm_assets.commands.demo import first_crawl
from llm_assets.commands.instance import dagster_home, instance
from llm_assets.commands.run import DATA_PARTITIONED, Part, all_parts, run_parts, selected
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.store import Store, named
from llm_assets.core.takedowns import Request


class DagsterHands:
    """See ``takedown_apply.Hands``."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def make(self, names: Sequence[str], crawl: str) -> None:
        """One run for a crawl's assets; for others, one for each job that has some of them."""
        if not names:
            return
        parts = [Part("data_refresh", tuple(names), partitioned=True)] if set(names) <= set(DATA_PARTITIONED) else []
        with ConsoleListener() as listener:
            if not run_parts(parts or selected(all_parts(), names), crawl or first_crawl(), listener):
                why = "; ".join(f"{name}: {said}" for name, said in listener.failures.items())
                where = ", ".join(named(name, crawl) if crawl else name for name in names)
                raise LlmAssetsError(
                    f"the take-down stopped while it made {where}: {why}. Mend it and say the same again: it goes on"
                )

    def tell(self, request: Request) -> None:
        """An observation on each affected model that is current: its page shows it."""
        with instance() as dagster:
            for ref, how in request.affected.items():
                asset, partition, identity = ref.split("/")
                current = self.store.current(asset, partition)
                if current is not None and current.identity == identity:
                    told = {"takedown": request.id, "affected": ref, "documents": how["documents"], "reason": request.reason}
                    dagster.report_runless_asset_event(dg.AssetObservation(asset, metadata=told))

    def history(self) -> list[Path]:
        """The Dagster home."""
        return [dagster_home()]

    def clean(self, change: Callable[[str], str]) -> None:
        """Events in a database of its own, such as Postgres."""
        with instance() as dagster:
            if not isinstance(dagster.event_log_storage, SqliteEventLogStorage):
                clean_events(dagster, change)


def clean_events(dagster: dg.DagsterInstance, change: Callable[[str], str]) -> None:
    """Let ``change`` go over each event, newest materialisation and check evaluation of an instance."""
    storage = dagster.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        raise LlmAssetsError(
            f"Dagster's events are in a {type(storage).__name__}, which no take-down can clean; use SQLite or Postgres"
        )
    columns = (
        SqlEventLogStorageTable.c.event,
        AssetKeyTable.c.last_materialization,
        AssetCheckExecutionsTable.c.evaluation_event,
    )
    with storage.index_connection() as connection:
        for column in columns:
            key = column.table.c.id
            for (number,) in connection.execute(select(key).where(column.is_not(None))).fetchall():
                before = connection.execute(select(column).where(key == number)).scalar_one()
                after = change(before)
                if after != before:
                    connection.execute(update(column.table).where(key == number).values({column.name: after}))
