"""The account of an artefact with a ledger: which rule dropped what, how much of the crawl is left, and samples for the eye.

``produce`` adds it to whatever a stage made, so no stage has to: the table "Fate by rule" and the plot "Retention funnel" in
the report, and ``account/`` in the artefact's folder with the plot, the samples and the row index. All of it follows from the
artefact's content and its inputs', so it is no content itself: another way to show things never makes an artefact another.
"""

from typing import Any

import polars as pl

from llm_assets.core import plots, rowindex, samples
from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.ledger import LEDGER_FILE
from llm_assets.core.manifest import ACCOUNT_FOLDER
from llm_assets.core.report import REPORT_FILE, Gate, Report
from llm_assets.core.spec import FOLLOWS_GATE, AssetSpec

TABLE, FUNNEL, STEPS = "Fate by rule", "Retention funnel", "funnel"
MET = "URLs met"
_RULES = 40  # rules of the table that dropped something, those that dropped most


def write(spec: AssetSpec, own: Artefact, inputs: Inputs, report: Report) -> None:
    """Add the account to a report and to the folder of what was made. Does nothing where there is no ledger."""
    if not (own.files / LEDGER_FILE).is_file():
        return
    ledger = pl.read_parquet(own.files / LEDGER_FILE)
    before = inputs.many(spec.follows) if spec.follows else []
    steps = funnel(spec.name, report.counts, [_steps(artefact) for artefact in before])
    folder = own.files / ACCOUNT_FOLDER
    folder.mkdir(exist_ok=True)
    plots.funnel(
        folder / "funnel.png",
        [(step["step"], step["documents"], step["dropped"]) for step in steps],
        title=f"What is left of the crawl after {spec.name}",
    )
    report.plots = {FUNNEL: f"{ACCOUNT_FOLDER}/funnel.png", **report.plots}
    report.tables = {TABLE: by_rule(ledger), **report.tables}
    report.metrics[STEPS] = steps
    samples.write(folder, f"{spec.name} · {own.partition}: samples by rule", ledger, own, before)
    rowindex.write(own.files)
    report.save(own.files)


def by_rule(ledger: pl.DataFrame) -> list[dict[str, Any]]:
    """A row a rule, those that dropped most first and the kept last: documents, share, what was measured against what."""
    rows = (
        ledger.group_by("kept", "rule")
        .agg(
            documents=pl.len(),
            low=pl.col("value").min(),
            median=pl.col("value").median(),
            high=pl.col("value").max(),
            thresholds=pl.col("threshold").drop_nulls().unique().sort(),
        )
        .sort(["kept", "documents", "rule"], descending=[False, True, False])
    )
    shown = pl.concat([rows.filter(~pl.col("kept")).head(_RULES), rows.filter("kept")])
    return [
        {
            "rule": row["rule"],
            "fate": "kept" if row["kept"] else "dropped",
            "documents": row["documents"],
            "share": f"{row['documents'] / ledger.height:.2%}",
            "measured": _measured(row),
            "threshold": " or ".join(_number(value) for value in row["thresholds"][:4]),
        }
        for row in shown.iter_rows(named=True)
    ]


def funnel(asset: str, counts: dict[str, int], before: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The steps so far and this one: ``step``, ``documents`` left, and what each rule ``dropped`` since the step before.

    The steps of several crawls are added. What the step before kept and this one did not take in (images and unchanged pages
    are no pages to extract) counts as "not for this step".
    """
    steps: list[dict[str, Any]] = []
    for step in (step for crawl in before for step in crawl):
        known = next((found for found in steps if found["step"] == step["step"]), None)
        if known is None:
            steps.append({**step, "dropped": dict(step["dropped"])})
        else:
            known["documents"] += step["documents"]
            for rule, n in step["dropped"].items():
                known["dropped"][rule] = known["dropped"].get(rule, 0) + n
    came = counts["documents_in"]
    dropped = {key.removeprefix("dropped:"): n for key, n in counts.items() if key.startswith("dropped:")}
    if not steps:
        steps.append({"step": MET if asset == "raw_crawl" else f"into {asset}", "documents": came, "dropped": {}})
    elif steps[-1]["documents"] > came:
        dropped = {"not for this step": steps[-1]["documents"] - came, **dropped}
    return [*steps, {"step": asset, "documents": counts["kept"], "dropped": dropped}]


def follows_gate(spec: AssetSpec, own: Artefact, inputs: Inputs) -> Gate:
    """What the stage before kept is what came in: the same documents, none lost, none from elsewhere, none twice.

    Of a raw crawl, only new pages (or, for the images, new images) have to be taken in.
    """
    mine = pl.read_parquet(own.files / LEDGER_FILE, columns=["doc_id"])
    before = inputs.many(spec.follows)
    frames = [pl.read_parquet(artefact.file(LEDGER_FILE), columns=["doc_id", "kept"]) for artefact in before]
    kept = pl.concat([pl.DataFrame(schema={"doc_id": pl.String, "kept": pl.Boolean}), *frames]).filter("kept")
    kind = "image" if spec.name == "image_dataset" else "page"
    due = pl.concat([kept.clear(), *(_due(artefact, frame, kind) for artefact, frame in zip(before, frames, strict=True))])
    lost = due.join(mine, on="doc_id", how="anti")["doc_id"]
    strangers = mine.join(kept, on="doc_id", how="anti")["doc_id"]
    twice = mine.height - mine["doc_id"].n_unique()
    message = (
        f"{mine.height:,} documents came in, of {kept.height:,} that {spec.follows} kept and {due.height:,} that were due; "
        f"{lost.len():,} were lost, {strangers.len():,} come from elsewhere, {twice:,} twice"
    )
    found = {"documents_in": mine.height, "due": due.height, "lost": lost[:10].to_list(), "strangers": strangers[:10].to_list()}
    return Gate(FOLLOWS_GATE, not (lost.len() or strangers.len() or twice), message, found)


def _due(artefact: Artefact, ledger: pl.DataFrame, kind: str) -> pl.DataFrame:
    kept = ledger.filter("kept")
    index = artefact.files / "index.parquet"
    if not index.is_file():
        return kept
    new = pl.scan_parquet(index).filter((pl.col("record_type") == "response") & (pl.col("kind") == kind))
    return kept.join(new.select("doc_id").collect(), on="doc_id", how="semi")


def _steps(artefact: Artefact) -> list[dict[str, Any]]:
    """The funnel that an earlier artefact reported; none for one that was made before there were funnels."""
    if not (artefact.files / REPORT_FILE).is_file():
        return []
    found: list[dict[str, Any]] = Report.load(artefact.files).metrics.get(STEPS, [])
    return found


def _measured(row: dict[str, Any]) -> str:
    if row["median"] is None:
        return ""
    low, middle, high = (_number(row[name]) for name in ("low", "median", "high"))
    return low if low == high else f"{low} to {high}, median {middle}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"
