"""Reports and manifests as Dagster metadata: numbers that can be plotted, plots as images, samples escaped.

Crawled text is never Markdown here: it goes in as plain text, 500 characters at most.
"""

import base64
import math
from pathlib import Path
from typing import Any

import dagster as dg

from llm_assets.core import pages, plots, views
from llm_assets.core.artefact import Artefact
from llm_assets.core.claims import Claim, read_claims
from llm_assets.core.produce import Outcome
from llm_assets.core.report import COLUMNS, Gate
from llm_assets.core.suites import GX

# A data URI above this makes the asset page slow (measured by the design: 200 kB is still smooth).
MAX_PLOT_BYTES = 200_000
MAX_SAMPLE_CHARS = 500
NOT_SHOWN = {"funnel", "claims", COLUMNS}  # the one is drawn, the others are tables


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


def sparkline(name: str, values: list[float]) -> Any:
    """A curve as a small picture in the table itself, with its first and its last value."""
    picture = base64.b64encode(plots.sparkline_svg(values).encode()).decode()
    ends = f" {values[0]:.4g} → {values[-1]:.4g}" if values else ""
    return dg.MetadataValue.md(f"![{name}](data:image/svg+xml;base64,{picture}){ends}")


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


def columns(name: str, told: dict[str, Any], rows: int | None) -> dict[str, Any]:
    """What Dagster knows of tables: columns with types and descriptions, what each comes from, the name, the number of rows."""
    schema = [dg.TableColumn(column, str(of["type"]), of["description"]) for column, of in told.items()]
    deps = {
        column: [dg.TableColumnDep(dg.AssetKey(asset), above) for asset, above in of["from"]] for column, of in told.items()
    }
    found = {
        "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(schema)),
        "dagster/column_lineage": dg.MetadataValue.column_lineage(dg.TableColumnLineage(deps)),
        "dagster/table_name": dg.MetadataValue.text(name),
    }
    return found | ({"dagster/row_count": dg.MetadataValue.int(rows)} if rows is not None else {})


def of_outcome(outcome: Outcome) -> dict[str, Any]:
    """All metadata of a materialisation: what a person wants first comes first.

    The tables of counts and claims are narrow: the overview of an asset cuts off what is wider.
    """
    report, manifest, before = outcome.report, outcome.manifest, outcome.before
    rows = changes(report.counts, before)
    found: dict[str, Any] = {"counts": table(rows)} if rows else {}
    if before is not None:
        found["compared_with"] = dg.MetadataValue.text(before.ref)
    if report.counts.get("documents_in"):
        found["share_kept"] = dg.MetadataValue.float(report.counts.get("kept", 0) / report.counts["documents_in"])
    claims = [_claim(claim) for claim in read_claims(report.metrics)]
    found |= {"claims": table(claims)} if claims else {}
    followed = views.followed(outcome.artefact.files)
    if followed is not None:
        found[followed[0]] = sparkline(*followed)
    if outcome.waiting:
        found["waiting"] = dg.MetadataValue.text(str(outcome.waiting))
        found["waiting_tokens"] = dg.MetadataValue.int(outcome.waiting.tokens)
    found |= {
        "seconds": dg.MetadataValue.float(manifest.seconds),
        "gpu_hours": dg.MetadataValue.float(manifest.gpu_hours),
        "peak_memory_mib": dg.MetadataValue.int(manifest.peak_memory_bytes >> 20),
        "reused": dg.MetadataValue.bool(outcome.reused),
    }
    found |= {name: dg.MetadataValue.url(address) for name, address in pages.addresses(outcome.artefact).items()}
    found |= {title: plot(outcome.artefact.files / path, title) for title, path in report.plots.items()}
    found |= {title: table(rows) for title, rows in report.tables.items() if rows}
    found |= {key: value(number) for key, number in report.metrics.items() if key not in NOT_SHOWN}
    found |= {key: value(number) for key, number in report.counts.items()}
    found |= {title: dg.MetadataValue.text(text[:MAX_SAMPLE_CHARS]) for title, text in report.samples.items()}
    found |= {
        "path": dg.MetadataValue.path(str(outcome.artefact.files)),
        "identity": dg.MetadataValue.text(manifest.identity),
        "bytes": dg.MetadataValue.int(sum(entry.bytes for entry in manifest.files.values())),
        "inputs": dg.MetadataValue.json([f"{i.asset}/{i.partition}/{i.identity}" for i in manifest.inputs]),
    }
    if COLUMNS in report.metrics:
        found |= columns(outcome.artefact.asset, report.metrics[COLUMNS], report.counts.get("rows"))
    return {key.replace(":", "_").replace(" ", "_"): item for key, item in found.items()}


def changes(counts: dict[str, int], before: Artefact | None) -> list[dict[str, Any]]:
    """A row a count: its share of what came in (where documents came in) and its change (where there was one before)."""
    earlier = before.manifest().counts if before is not None else {}
    came = counts.get("documents_in", 0)
    rows = []
    for name in (*counts, *(name for name in earlier if name not in counts)):
        now = counts.get(name, 0)
        part = came and (name == "kept" or name.startswith("dropped:"))
        row = {"count": name.replace("_", " ").replace(":", ": "), "now": f"{now:,}" + (f" ({now / came:.1%})" if part else "")}
        if before is not None:
            row["change"] = _change(now, earlier.get(name, 0))
        rows.append(row)
    return rows


def _change(now: int, then: int) -> str:
    if now == then:
        return "="
    return f"{now - then:+,}" + (f" ({now / then - 1:+.1%})" if then else " (new)")


def _claim(claim: Claim) -> dict[str, Any]:
    interval = " ({:.4g} … {:.4g})".format(*claim.interval) if claim.interval else ""
    holds = ("yes" if claim.passed else "NO") if claim.applies else "not judged"
    return {
        "claim": claim.statement + (f" ({claim.note})" if claim.note else ""),
        "holds": f"{holds}: {claim.value:.4g}{interval} against {claim.against:.4g}",
    }


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
