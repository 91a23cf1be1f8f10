"""Makes what a take-down needs as Dagster runs, so that the UI has its history; and shows the affected models there."""

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

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
        parts = [Part("data_refresh", tuple(names), partitioned=True)] if set(names) <= set(DATA_PARTITIONED) else []
        with ConsoleListener() as listener:
            if names and not run_parts(parts or selected(all_parts(), names), crawl or first_crawl(), listener):
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
