"""Progress inside a Dagster run: live observations for the UI, and whoever else listens (the demo's console).

An ``AssetObservation`` every few seconds carries step, total, speed, the seconds left and metrics: the UI plots the loss
while it runs, and the run's page says in a sentence (``so_far``) how far it is.
"""

import time
from typing import Protocol

import dagster as dg

from llm_assets.core import pace
from llm_assets.core.produce import Outcome
from llm_assets.defs.metadata import value as metadata_of


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

SECONDS_BETWEEN_OBSERVATIONS = 5.0
# A long step is looked at less often, so that a week of training writes some hundreds of events and not a hundred thousand.
_SHARE_BETWEEN_OBSERVATIONS = 0.01


class DagsterProgress:
    """A ``Progress`` that writes observations into the run's event log."""

    def __init__(self, context: dg.AssetExecutionContext, asset: str) -> None:
        self._context = context
        self._asset = asset
        self._started = self._last = time.monotonic()
        self._pacer = pace.Pacer()

    def update(self, done: int, total: int | None, unit: str, /, **metrics: float) -> None:
        """Tell listeners at once, the event log every few seconds."""
        for listener in LISTENERS:
            listener.on_progress(self._asset, done, total, unit, metrics)
        now = time.monotonic()
        found = self._pacer.at(now, done, total, unit)
        rest = max(SECONDS_BETWEEN_OBSERVATIONS, (now - self._started) * _SHARE_BETWEEN_OBSERVATIONS)
        if now - self._last < rest:
            return
        self._last = now
        self._observe(done, total, unit, found, metrics)

    def _observe(self, done: int, total: int | None, unit: str, found: pace.Pace, metrics: dict[str, float]) -> None:
        key = unit.replace(" ", "_")
        figures = ", ".join(f"{name.replace('_', ' ')} {number:.4g}" for name, number in metrics.items())
        so_far = pace.said(done, total, unit, found) + (f"; {figures}" if figures else "")
        metadata: dict[str, float | int | str] = {"so_far": so_far, f"{key}_done": done}
        if total:
            metadata |= {f"{key}_total": total, "share_done": done / total}
        if found.per_second is not None:
            metadata[f"{key}_per_second"] = found.per_second
        if found.seconds_left is not None:
            metadata["seconds_left"] = round(found.seconds_left, 1)
        self._context.log_event(
            dg.AssetObservation(
                asset_key=self._asset,
                metadata={name: metadata_of(number) for name, number in {**metadata, **metrics}.items()},
                partition=self._context.partition_key if self._context.has_partition_key else None,
            )
        )

    def note(self, text: str) -> None:
        """Into the run's log."""
        self._context.log.info(text)
