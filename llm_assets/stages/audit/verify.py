"""Whether a receipt is genuine, and whether the store still bears it out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.core.ledger import LEDGER_FILE
from llm_assets.core.store import Store
from llm_assets.core.takedowns import Takedowns
from llm_assets.core.tombstones import Tombstones
from llm_assets.stages.audit import receipts, selection, takedown

_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """One thing that must hold, and what was found."""

    what: str
    holds: bool
    said: str


def verify(store: Store, receipt: Mapping[str, Any], public_key: Path | None = None) -> list[Finding]:
    """All that a receipt says and that can be looked up. Raises ``InputError`` where no public key can be read."""
    key, where = receipts.public_key(store.root, public_key)
    if not receipts.is_signed_by(receipt, key):
        return [Finding("signature", False, f"not by the key of {where}, or changed since; nothing else was looked at")]
    stones = Tombstones.load(store.current("tombstones"))
    asked: dict[str, list[str]] = dict(receipt["asked"])
    missing = [
        f"{kind} {value}" for kind, values in asked.items() for value in values if value not in stones.by_kind.get(kind, {})
    ]
    return [
        Finding("signature", True, f"by the key of {where}"),
        Finding("tombstones", not missing, _list("all are current", "missing", missing)),
        *_clean(store, asked, set(receipt["documents"])),
        _superseded(store, receipt["must_go"]),
        _models(store, receipt["affected_models"], receipt["id"]),
    ]


def _clean(store: Store, asked: dict[str, list[str]], documents: set[str]) -> Iterator[Finding]:
    wanted = selection.stones_of(asked)
    crawls = [one for name in store.partitions("raw_crawl") if (one := store.current("raw_crawl", name))]
    rows = selection.captures(crawls, wanted)
    said = _list(f"{len(crawls)} current crawls hold none of it", "held by", sorted(set(rows["crawl"])))
    yield Finding("crawls", rows.is_empty(), said)
    ids = list(documents)
    holding = []
    for asset in (*takedown.OF_CRAWL[1:], *takedown.OF_ALL):
        for artefact in (one for name in store.partitions(asset) if (one := store.current(asset, name))):
            ledger = pl.scan_parquet(artefact.file(LEDGER_FILE)).filter(pl.col("doc_id").is_in(ids), "kept")
            if not ledger.head(1).collect().is_empty():
                holding.append(artefact.ref)
    yield Finding("data", not holding, _list("no current data keeps any of the documents", "kept by", holding))


def _superseded(store: Store, must_go: list[str]) -> Finding:
    left = [ref for ref in must_go if (store.root / ref).is_dir()]
    return Finding("superseded versions", not left, _list("all are gone", "still there (run 'llm-assets gc')", left))


def _models(store: Store, affected: Mapping[str, Any], name: str) -> Finding:
    known = Takedowns(store.root).affected()
    unnamed = [ref for ref in affected if name not in known.get(ref, ())]
    changed = [
        ref for ref, how in affected.items() if (found := store.find(*ref.split("/"))) and found.digest() != how["digest"]
    ]
    good = f"{len(affected)} are named as affected, with the weights that they had" if affected else "none had read any of it"
    return Finding("models", not unnamed and not changed, _list(good, "not as they were", unnamed + changed))


def _list(good: str, bad: str, names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{bad}: {', '.join(names[:_NAMED])}{more}" if names else good
