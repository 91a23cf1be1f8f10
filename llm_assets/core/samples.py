"""Documents to look at: for each rule ten that it dropped and ten that passed, as a page for the eye and as JSON lines.

Which ones is decided by hashes, never by their place in the crawl: the dropped with the smallest document ids (which are
hashes), and of the hundred kept with the smallest ids those ten that a hash of rule and id puts first, so that each rule
shows others.
Texts are cut at 500 characters; addresses, e-mail addresses, long numbers and long tokens in them are masked, and of documents
that were taken down or opted out no text is shown at all.
"""

import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.jsonio import write_atomic
from llm_assets.core.oneline import shortened
from llm_assets.core.pages import SAMPLES
from llm_assets.core.shards import rows_of

LINES = "samples.jsonl"
EACH = 10  # dropped and kept documents of a rule
CHARACTERS = 500
_POOL = 100  # kept documents of which each rule shows ten
_RULES = 60  # rules shown, those that dropped most first
_WITHHELD = ("tombstone", "optout")
_MASKS = (
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+|\bwww\.\S+", re.IGNORECASE), "[link]"),
    (re.compile(r"[^\s@<>()]+@[^\s@<>()]+\.\w+"), "[e-mail]"),
    (re.compile(r"\+?\d(?:[ .()/:-]{0,2}\d){8,}"), "[number]"),
    (re.compile(r"\b[\w-]{32,}\b"), "[token]"),
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # even a mistake in escaping could load or run nothing
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:84rem;padding:0 1rem;color-scheme:light dark}"
    "h2{margin-top:2.2rem;border-bottom:1px solid #8884}.two{display:grid;grid-template-columns:1fr 1fr;gap:1.2rem}"
    "article{border:1px solid #8884;border-radius:6px;padding:.5rem .8rem;margin:.5rem 0;overflow-wrap:anywhere}"
    "article p{margin:.3rem 0;white-space:pre-wrap}small{opacity:.75}"
)


def write(folder: Path, title: str, ledger: pl.DataFrame, own: Artefact, inputs: Sequence[Artefact]) -> None:
    """Write both files of a stage into ``folder``.

    Kept documents show what the stage made of them (``own``), dropped ones what came in (``inputs``); a stage without texts,
    such as the crawl, shows addresses and figures.
    """
    chosen = choose(ledger)
    wanted = {row[name] for _, row in chosen for name in ("doc_id", "related_doc") if row[name]}
    kept = _texts(own, {row["doc_id"] for _, row in chosen if row["kept"] and row["doc_id"]})
    known = {**_all_texts(inputs, wanted - set(kept)), **kept}
    shown = {doc: plain(text or "") for doc, text in known.items()}
    rows = [_shown(rule, row, shown) for rule, row in chosen]
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomic(folder / LINES, lines.encode("utf-8", "replace"))
    write_atomic(folder / SAMPLES, _page(title, rows).encode("utf-8", "replace"))


def choose(ledger: pl.DataFrame) -> list[tuple[str, dict[str, Any]]]:
    """(rule, ledger row) of every sample: by rule, the dropped before the kept. The order of the ledger plays no part."""
    order = ["doc_id", "url"]
    dropped = ledger.filter(~pl.col("kept"))
    rules = dropped.group_by("rule").len().sort(["len", "rule"], descending=[True, False])["rule"].head(_RULES).to_list()
    pool = list(ledger.filter(pl.col("kept")).bottom_k(_POOL, by=order).sort(order).iter_rows(named=True))
    found: list[tuple[str, dict[str, Any]]] = []
    for rule in rules:
        mine = dropped.filter(pl.col("rule") == rule).bottom_k(EACH, by=order).sort(order)
        found += [(rule, row) for row in mine.iter_rows(named=True)]
        found += [(rule, row) for row in sorted(pool, key=lambda row: _hash(rule, row))[:EACH]]
    return found or [("kept", row) for row in pool[:EACH]]


def plain(text: str) -> str:
    """An excerpt that gives nothing away: masked, without control characters, 500 characters at most."""
    for pattern, name in _MASKS:
        text = pattern.sub(name, text[: 4 * CHARACTERS])
    lines = (line if line.isprintable() else "".join(map(_visible, line)) for line in text.split("\n"))
    return shortened("\n".join(lines).strip(), CHARACTERS)


def _visible(char: str) -> str:
    return char if char.isprintable() else " "


def _hash(rule: str, row: dict[str, Any]) -> bytes:
    return hashlib.blake2b(f"{rule}\n{row['doc_id']}\n{row['url']}".encode("utf-8", "replace"), digest_size=8).digest()


def _shown(rule: str, row: dict[str, Any], texts: dict[str, str]) -> dict[str, Any]:
    """``texts``: excerpts by document."""
    withheld = not row["kept"] and row["rule"].startswith(_WITHHELD)
    text, twin = ("" if withheld else texts.get(row[name] or "", "") for name in ("doc_id", "related_doc"))
    figures = {name: row[name] for name in ("doc_id", "value", "threshold", "related_doc")}
    said = {"url": row["url"][:CHARACTERS], "detail": row["detail"], "text": text, "related_text": twin}
    return {"rule": rule, "kept": row["kept"], **figures, **said}


def _all_texts(artefacts: Iterable[Artefact], wanted: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for artefact in artefacts:
        found |= _texts(artefact, wanted - set(found))
    return found


def _texts(artefact: Artefact, wanted: set[str]) -> dict[str, str]:
    """Texts by document. Only shards that hold a wanted document have their texts read, one at a time."""
    found: dict[str, str] = {}
    for shard in artefact.shards() if wanted else ():
        if not {"doc_id", "text"} <= pl.read_parquet_schema(shard).keys():
            return {}
        mine = rows_of(shard, wanted, ["doc_id", "text"])
        found.update(mine.select("doc_id", pl.col("text").str.slice(0, 4 * CHARACTERS)).iter_rows())
    return found


def _page(title: str, rows: list[dict[str, Any]]) -> str:
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style><h1>{html.escape(title)}</h1>"
    ]
    for rule in dict.fromkeys(row["rule"] for row in rows):
        mine = [row for row in rows if row["rule"] == rule]
        sides = [("dropped", [row for row in mine if not row["kept"]]), ("kept", [row for row in mine if row["kept"]])]
        columns = "".join(f"<div><h3>{name}</h3>{''.join(map(_article, side))}</div>" for name, side in sides)
        parts.append(f'<h2>{html.escape(rule)}</h2><div class="two">{columns}</div>')
    return "".join([*parts, "" if rows else "<p>Nothing came in.</p>", "</html>\n"])


def _article(row: dict[str, Any]) -> str:
    value = "" if row["value"] is None else f"{row['value']:.4g}"
    against = "" if row["threshold"] is None else f" against {row['threshold']:.4g}"
    related = f"see {row['related_doc']}" if row["related_doc"] else ""
    about = " · ".join(part for part in (row["url"], row["doc_id"], value + against, related, row["detail"]) if part)
    text = f"<p>{html.escape(row['text'])}</p>" if row["text"] else ""
    twin = f"<small>the other:</small><p>{html.escape(row['related_text'])}</p>" if row["related_text"] else ""
    return f"<article><small>{html.escape(about)}</small>{text}{twin}</article>"
