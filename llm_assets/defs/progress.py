"""Progress inside a Dagster run: live observations for the UI, and whoever else listens (the demo's console).

An ``AssetObservation`` every few seconds carries step, total and metrics: the UI plots the loss while it runs.
"""

import time
from typing import Protocol

import dagster as dg

from llm_assets.core.produce import Outcome


class Listener(Protocol):
    """Hears every message of every running asset of this process."""

    def on_start(self, asset: str, partition: str) -> None:
        """An asset starts."""
        ...

    def on_finish(self, asset: str, partition: str, outcome: Outcome) -> None:
        """An asset was made or reused (its gates may have refused it)."""
        ...

    def on_fail(self, asset: str, partition: str, message: str) -> None:
        """An asset's run raised."""
        ...

    def on_progress(self, asset: str, done: int, total: int | None, unit: str, metrics: dict[str, float]) -> None:
        """One update."""
        ...


LISTENERS: list[Listener] = []  # the command line adds itself before it runs anything in this process

_SECONDS_BETWEEN_OBSERVATIONS = 5.0


class DagsterProgress:
    """A ``Progress`` that writes observations into the run's event log."""

    def __init__(self, context: dg.AssetExecutionContext, asset: str) -> None:
        self._context = context
        self._asset = asset
        self._last = time.monotonic()

    def update(self, done: int, total: int | None, unit: str, /, **metrics: float) -> None:
        """Tell listeners at once, the event log every few seconds."""
        for listener in LISTENERS:
            listener.on_progress(self._asset, done, total, unit, metrics)
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_OBSERVATIONS:
            return
        self._last = now
        metadata: dict[str, float | int] = {f"{unit}_done": done, **metrics}
        if total:
            metadata[f"{unit}_total"] = total
        partition = self._context.partition_key if self._context.has_partition_key else None
        self._context.log_event(dg.AssetObservation(asset_key=self._asset, metadata=metadata, partition=partition))

    def note(self, text: str) -> None:
        """Into the run's log."""
        self._context.log.info(text)
