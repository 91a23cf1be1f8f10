"""Views that an artefact gets whatever its stage: of its languages, and of its training beside earlier ones.

They follow from its report, its files and its forerunners in the store, and lie in ``account/``: they are no content.
"""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llm_assets.core import plots
from llm_assets.core.artefact import Artefact
from llm_assets.core.manifest import ACCOUNT_FOLDER, MANIFEST_FILE, Manifest
from llm_assets.core.report import Report
from llm_assets.core.store import Store

if TYPE_CHECKING:
    import polars as pl

HISTORY_FILE = "history.parquet"
LANGUAGES, CURVES = "Documents by language", "This and earlier runs"
EARLIER_RUNS = 4  # more lines than that hide each other
# What a training's history is followed by, the first that is there; and its name on the axis.
_FOLLOWED = {"loss_nats": "loss, nats", "reward_sd": "reward, standard deviations"}
_POINTS = 60  # a curve is the mean of so many parts of the training: single steps of five runs can't be told apart


def write(store: Store, own: Artefact, report: Report) -> None:
    """Draw what applies to what was made, and name it in its report."""
    drawn = {LANGUAGES: _languages(own, report), CURVES: _curves(store, own)}
    found = {title: path for title, path in drawn.items() if path}
    if found:
        report.plots = {**report.plots, **found}
        report.save(own.files)


def _languages(own: Artefact, report: Report) -> str:
    counted = report.metrics.get("documents_by_language")
    if not isinstance(counted, dict) or not counted:
        return ""
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    path = f"{ACCOUNT_FOLDER}/languages.png"
    plots.bars(own.files / path, [name for name, _ in ordered], [n for _, n in ordered], title=LANGUAGES, x="documents")
    return path


def _curves(store: Store, own: Artefact) -> str:
    mine = _history(own.files)
    if mine is None:
        return ""
    followed, frame = mine
    curves = {"this run": _curve(frame, followed)}
    for manifest in forerunners(store, own)[:EARLIER_RUNS]:
        theirs = None
        with suppress(FileNotFoundError):  # gc may take it away at any time
            theirs = _history(store.folder(own.asset, own.partition, manifest.identity))
        if theirs is not None and theirs[0] == followed:
            curves[_named(manifest, store.recipe)] = _curve(theirs[1], followed)
    path = f"{ACCOUNT_FOLDER}/curves.png"
    plots.line(own.files / path, curves, title=f"{own.asset}: {CURVES.lower()}", x="step", y=_FOLLOWED[followed])
    return path


def forerunners(store: Store, own: Artefact) -> list[Manifest]:
    """The manifests of the other artefacts of an asset and partition, accepted or not, the newest first."""
    paths = (store.root / own.asset / own.partition).glob(f"*/{MANIFEST_FILE}")
    found = []
    for path in paths:
        with suppress(FileNotFoundError):  # gc may take it away at any time
            found += [Manifest.load(path.parent)] if path.parent.name != own.identity else []
    return sorted(found, key=lambda manifest: (manifest.started_at, manifest.identity), reverse=True)


def followed(files: Path) -> tuple[str, list[float]] | None:
    """What a training was followed by and its curve; None for what is no training."""
    found = _history(files)
    return (found[0], _curve(found[1], found[0])[1]) if found else None


def _named(manifest: Manifest, recipe: str) -> str:
    day = manifest.started_at[:16].replace("T", " ")
    return f"{day} {manifest.identity[:6]}" + (f" ({manifest.recipe})" if manifest.recipe not in ("", recipe) else "")


def _history(files: Path) -> tuple[str, "pl.DataFrame"] | None:
    import polars as pl

    path = files / HISTORY_FILE
    if not path.is_file():
        return None
    columns = pl.read_parquet_schema(path)
    followed = next((name for name in _FOLLOWED if name in columns and "step" in columns), None)
    return (followed, pl.read_parquet(path, columns=["step", followed])) if followed else None


def _curve(frame: "pl.DataFrame", followed: str) -> tuple[list[float], list[float]]:
    """Means over equal parts of the training, each at its last step."""
    import polars as pl

    frame = frame.drop_nulls().sort("step").with_row_index("row")
    part = frame.with_columns(part=pl.col("row") * _POINTS // max(frame.height, _POINTS))
    means = part.group_by("part").agg(pl.col("step").max().cast(pl.Float64), pl.col(followed).mean()).sort("part")
    return means["step"].to_list(), means[followed].to_list()
