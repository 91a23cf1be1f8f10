"""Claims: what a stage says was learned, with the numbers that decide it.

A stage puts ``Claim.row()`` dicts under ``metrics["claims"]``; the demo prints them from the manifests and fails if
one that applies does not hold. A claim that can't be judged at the size of a recipe says so (``applies`` false) and is
never counted as held.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Claim:
    """One statement about held-out data.

    ``value`` was measured, ``against`` is what it is held against, ``interval`` (low, high) the interval that decides, if any.
    """

    name: str
    statement: str
    value: float
    against: float
    passed: bool
    applies: bool = True
    interval: tuple[float, float] | None = None
    note: str = ""

    def row(self) -> dict[str, Any]:
        """As a JSON value for ``Report.metrics["claims"]``."""
        found = asdict(self)
        found["interval"] = list(self.interval) if self.interval is not None else None
        return found


def read_claims(metrics: Mapping[str, Any]) -> list[Claim]:
    """The claims among the metrics of a manifest."""
    found = []
    for row in metrics.get("claims", []):
        interval = row.get("interval")
        found.append(
            Claim(
                name=row["name"],
                statement=row["statement"],
                value=row["value"],
                against=row["against"],
                passed=bool(row["passed"]),
                applies=bool(row.get("applies", True)),
                interval=(interval[0], interval[1]) if interval else None,
                note=row.get("note", ""),
            )
        )
    return found
