"""Reports and manifests as Dagster metadata: numbers that can be plotted, plots as images, samples escaped.

Crawled text is never Markdown here: it goes in as plain text, 500 characters at most.
"""

import base64
import math
from pathlib import Path
from typing import Any

import dagster as dg

from llm_assets.core import pages
from llm_assets.core.artefact import Artefact
from llm_assets.core.produce import Outcome
from llm_assets.core.report import Gate
from llm_assets.core.suites import GX

# A data URI above this makes the asset page slow (measured by the design: 200 kB is still smooth).
MAX_PLOT_BYTES = 200_000
MAX_SAMPLE_CHARS = 500


def value(raw: Any) -> Any:
    """One metric as a metadata value; NaN and infinities become text, since the UI's JSON has none."""
    if isinstance(raw, bool):
        return dg.MetadataValue.bool(raw)
    if isinstance(raw, int):
        return dg.MetadataValue.int(raw)
    if isinstance(raw, float):
        return dg.MetadataValue.float(raw) if math.isfinite(raw) else dg.MetadataValue.text(str(raw))
    if isinstance(raw, dict | list):
        return dg.MetadataValue.json(_finite(raw))
    return dg.MetadataValue.text(str(raw)[:MAX_SAMPLE_CHARS])


def _finite(raw: Any) -> Any:
    if isinstance(raw, dict):
        return {str(key): _finite(item) for key, item in raw.items()}
    if isinstance(raw, list):
        return [_finite(item) for item in raw]
    return str(raw) if isinstance(raw, float) and not math.isfinite(raw) else raw


def plot(path: Path, title: str) -> Any:
    """A PNG as a data URI in Markdown; too large or missing: a sentence instead."""
    if not path.is_file():
        return dg.MetadataValue.text(f"the plot {path.name} was not written")
    data = path.read_bytes()
    if len(data) > MAX_PLOT_BYTES:
        return dg.MetadataValue.path(str(path))
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{base64.b64encode(data).decode()})")


def table(rows: list[dict[str, Any]]) -> Any:
    """Rows as a table; every cell is text or a number."""
    cells = [
        {key: cell if isinstance(cell, int | float | str | bool) else str(cell) for key, cell in row.items()} for row in rows
    ]
    columns = [
        dg.TableColumn(key, "float" if isinstance(cell, float) else "int" if isinstance(cell, int) else "string")
        for key, cell in (cells[0] if cells else {}).items()
    ]
    return dg.MetadataValue.table([dg.TableRecord(cell) for cell in cells], schema=dg.TableSchema(columns))


def of_outcome(outcome: Outcome) -> dict[str, Any]:
    """All metadata of a materialisation: what a person wants first comes first."""
    report, manifest = outcome.report, outcome.manifest
    found: dict[str, Any] = {title: plot(outcome.artefact.files / path, title) for title, path in report.plots.items()}
    found |= {name: dg.MetadataValue.url(address) for name, address in pages.addresses(outcome.artefact).items()}
    if outcome.waiting:
        found["waiting"] = dg.MetadataValue.text(str(outcome.waiting))
        found["waiting_tokens"] = dg.MetadataValue.int(outcome.waiting.tokens)
    found |= {key: value(number) for key, number in report.counts.items()}
    if report.counts.get("documents_in"):
        found["share_kept"] = dg.MetadataValue.float(report.counts.get("kept", 0) / report.counts["documents_in"])
    found |= {key: value(number) for key, number in report.metrics.items()}
    found |= {title: table(rows) for title, rows in report.tables.items() if rows}
    found |= {title: dg.MetadataValue.text(text[:MAX_SAMPLE_CHARS]) for title, text in report.samples.items()}
    found |= {
        "path": dg.MetadataValue.path(str(outcome.artefact.files)),
        "identity": dg.MetadataValue.text(manifest.identity),
        "bytes": dg.MetadataValue.int(sum(entry.bytes for entry in manifest.files.values())),
        "seconds": dg.MetadataValue.float(manifest.seconds),
        "peak_memory_mib": dg.MetadataValue.int(manifest.peak_memory_bytes >> 20),
        "gpu_hours": dg.MetadataValue.float(manifest.gpu_hours),
        "reused": dg.MetadataValue.bool(outcome.reused),
        "inputs": dg.MetadataValue.json([f"{i.asset}/{i.partition}/{i.identity}" for i in manifest.inputs]),
    }
    return {key.replace(":", "_").replace(" ", "_"): item for key, item in found.items()}


def check_result(artefact: Artefact, gate: Gate) -> dg.AssetCheckResult:
    """A gate as a check result; one that can't block is a warning. An expectation links to the page on what it found."""
    found = {key: value(item) for key, item in gate.metadata.items()}
    page = pages.addresses(artefact).get("data_docs") if gate.name.startswith(GX) else None
    return dg.AssetCheckResult(
        asset_key=artefact.asset,
        check_name=gate.name,
        passed=bool(gate.passed),
        severity=dg.AssetCheckSeverity.ERROR if gate.blocking else dg.AssetCheckSeverity.WARN,
        description=gate.message or None,
        metadata=found | ({"data_docs": dg.MetadataValue.url(page)} if page else {}),
    )
