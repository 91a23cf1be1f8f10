"""``tombstones``: what must be in no corpus, from the file that the recipe names and the store's own list of take-downs.

Every recipe of a store reads the store's list, so that what was taken down under one comes in by none.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import canonical_url
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.crawl import TombstonesConfig
from llm_assets.core.report import Gate, Report
from llm_assets.core.tombstones import KINDS, OWN_LIST, TOMBSTONES, TOMBSTONES_FILE

_HEX = {"doc_id": re.compile(r"[0-9a-f]{32}"), "sha256": re.compile(r"[0-9a-f]{64}")}
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def run(inputs: Inputs, out: WorkDir, config: TombstonesConfig, progress: Progress) -> Report:
    """Read, check and normalise the file. Raises ``InputError`` naming the line and what is allowed."""
    lists = [Path(config.path).expanduser()] if config.path else []
    own = inputs.store / OWN_LIST if inputs.store else None
    if own is not None and own.is_file():
        lists.append(own)
    reasons = {(kind, value): reason for path in lists for kind, value, reason in _rows(path)}
    rows = sorted((*named, reason) for named, reason in reasons.items())
    frame = pl.DataFrame(rows, schema=TOMBSTONES, orient="row")
    frame.write_parquet(out.files / TOMBSTONES_FILE)
    counts = {"tombstones": frame.height}
    counts.update({f"kind_{kind}": frame.filter(pl.col("kind") == kind).height for kind in KINDS})
    return Report(counts)


def gates(inputs: Inputs, files: Path, config: TombstonesConfig, report: Report) -> list[Gate]:
    """Every row names something that the matcher can find; and the table holds what was read."""
    frame = pl.read_parquet(files / TOMBSTONES_FILE)
    bad = [row for row in frame.iter_rows() if not is_valid(row[0] or "", row[1] or "")]
    whole = frame.height == report.counts.get("tombstones")
    message = f"{frame.height} tombstones, {len(bad)} that no document could match"
    return [Gate("tombstones_valid", not bad and whole, message, {"tombstones": frame.height, "bad": len(bad)})]


def is_valid(kind: str, value: str) -> bool:
    """Whether a normalised value is one that a document can have."""
    if kind in _HEX:
        return bool(_HEX[kind].fullmatch(value))
    if kind == "host":
        return bool(_HOST.fullmatch(value))
    if kind != "url":
        return False
    try:
        return canonical_url(value) == value
    except ValueError:
        return False


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"tombstones.path: there is no file {path}; correct the path, or leave it empty for none") from None
    for number, row in _parsed(path, text):
        kind = str(row.get("kind") or "").strip().lower()
        given = str(row.get("value") or "").strip()
        value = _normal(kind, given)
        if not is_valid(kind, value):
            raise InputError(
                f"{path.name}, line {number}: kind {kind!r} with value {given[:80]!r} names nothing; "
                f"kind is one of {', '.join(KINDS)}, value 32 hex digits (doc_id), 64 hex digits (sha256), an absolute URL "
                "or a host name"
            )
        yield kind, value, str(row.get("reason") or "").strip()


def _normal(kind: str, value: str) -> str:
    if kind == "url":
        try:
            return canonical_url(value)
        except ValueError:
            return value
    return value.lower().removeprefix("sha256:").rstrip(".")


def _parsed(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    if path.suffix == ".csv":
        yield from enumerate(csv.DictReader(io.StringIO(text)), start=2)
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise InputError(
                f'{path.name}, line {number}: not a JSON object like {{"kind": "url", "value": "https://…", "reason": "…"}}'
            )
        yield number, row
