"""How a stage tells how far it is. A stage gets a ``Progress`` and never knows who listens.

The console draws a bar, the Dagster skin turns messages into live observations, tests pass ``Silent``.
"""

from typing import Protocol


class Progress(Protocol):
    """What a stage may call. Calls are cheap; listeners rate-limit."""

    def update(self, done: int, total: int | None, unit: str, /, **metrics: float) -> None:
        """``done`` of ``total`` (None: unknown) in ``unit`` ("pages", "steps"…), with current metrics (``loss=2.31``)."""
        ...

    def note(self, text: str) -> None:
        """One line a person may want to read."""
        ...


class Silent:
    """Listens to nothing."""

    def update(self, done: int, total: int | None, unit: str, /, **metrics: float) -> None:
        """Ignored."""

    def note(self, text: str) -> None:
        """Ignored."""


class Recording:
    """Keeps every call, for tests."""

    def __init__(self) -> None:
        self.updates: list[tuple[int, int | None, str, dict[str, float]]] = []
        self.notes: list[str] = []

    def update(self, done: int, total: int | None, unit: str, /, **metrics: float) -> None:
        """Appended to ``updates``."""
        self.updates.append((done, total, unit, metrics))

    def note(self, text: str) -> None:
        """Appended to ``notes``."""
        self.notes.append(text)
