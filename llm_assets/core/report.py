"""What a stage says about its run, and what a gate says about its artefact.

Both travel as JSON: from the training subprocess to the parent, into the manifest, and into the
asset's metadata in the UI.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from llm_assets.core.jsonio import read_json, write_json

REPORT_FILE = "report.json"
# metric of a table's asset: column → its type, description, and the columns it comes ``from`` ([asset, column] each)
COLUMNS = "columns"


@dataclass
class Report:
    """Counts and metrics of one run.

    ``counts``: whole numbers that must add up (documents in = kept + dropped by each rule).
    ``metrics``: any other figures, JSON values, units in the name (``loss_nats``, ``bits_per_byte``).
    ``plots``: title → path of a PNG (≤ 200 kB), relative to the artefact's files.
    ``tables``: title → rows, shown as a table (small: at most some dozens of rows).
    ``samples``: title → plain text or excerpt; escaped by whoever shows it, 500 characters at most are shown.
    """

    counts: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    plots: dict[str, str] = field(default_factory=dict)
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    samples: dict[str, str] = field(default_factory=dict)

    def save(self, files: Path) -> None:
        """Write ``report.json`` into the artefact's files."""
        write_json(files / REPORT_FILE, asdict(self))

    @classmethod
    def load(cls, files: Path) -> "Report":
        """Read back what ``save`` wrote."""
        return cls(**read_json(files / REPORT_FILE))


@dataclass
class Gate:
    """The result of one check on a finished artefact.

    A ``blocking`` gate that has not ``passed`` stops the line: ``CURRENT`` is not swapped and nothing downstream runs.
    ``message`` is one sentence for a person: what was found, what is allowed, what to do.
    """

    name: str
    passed: bool
    message: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    blocking: bool = True
