"""``llm-assets trace``: what was made of documents, and which documents a step or a token is of. Dagster is not imported."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from llm_assets.commands.explain import address_of, is_file, table
from llm_assets.core.errors import InputError, LlmAssetsError
from llm_assets.core.oneline import one_line, shortened
from llm_assets.core.produce import store_root
from llm_assets.core.recipe import load_recipe
from llm_assets.core.store import Store
from llm_assets.core.takedowns import Takedowns
from llm_assets.stages.audit import selection, trace
from llm_assets.stages.audit.lookup import current_inputs, look_up
from llm_assets.stages.audit.reading import Use

_SHOWN = 20  # lines of each kind that a person is shown; JSON has all
_STEPS = 10
_SHA = re.compile(r"(sha256:)?[0-9a-fA-F]{64}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)+(:\d+)?")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_ALSO = ("eval_report", "deployment")


def run_trace(what: str, model: str, step: str, shard: str, token: int, as_json: bool = False) -> str:
    """One of three questions: ``what`` (forward), ``model`` and ``step``, ``shard`` (crawl/number) and ``token``.

    Raises ``InputError`` where nothing matches or the question is none, ``LlmAssetsError`` before anything was crawled.
    """
    recipe = load_recipe()
    store = Store(store_root(), recipe.name)
    if not store.partitions("raw_crawl"):
        raise LlmAssetsError(f"nothing was crawled yet under the recipe {store.recipe!r}; run 'llm-assets demo' first")
    if sum(map(bool, (what, model, shard))) != 1:
        raise InputError(
            "ask one thing: a URL, document id, file, sha256 or host; --model with --step; or --shard with --token"
        )
    if model:
        return _backward(store, model, step, as_json)
    inputs = current_inputs(store)
    if shard:
        crawl, _, number = shard.rpartition("/")
        if not crawl or not number.isdigit() or token < 0:
            raise InputError("--shard is CRAWL/NUMBER, such as wiki-2026-11/0, with --token, counted from 0")
        found = trace.at_token(inputs, crawl, int(number), token)
        if as_json:
            return json.dumps(found, ensure_ascii=False, indent=1)
        place = f"token {found['token_of_document']:,} of its {found['length']:,}"
        return f"{_plain(found['url'])}\n  document {found['doc_id']}, {place}, in {found['ref']}"
    for asset in _ALSO:
        inputs.artefacts[asset] = [one for one in [store.current(asset)] if one]  # type: ignore[index]
    told = trace.forward(inputs, _captured(store, inputs, recipe.raw_crawl, what))
    return json.dumps(told.as_json(), ensure_ascii=False, indent=1) if as_json else _tell(told)


def _captured(store: Store, inputs: Any, raw: Any, what: str) -> pl.DataFrame:
    """The captures that a question means. ``InputError`` with the nearest URLs, or what was looked through."""
    path = Path(what)
    what = (is_file(path) and address_of(path, raw, store)) or what
    kind = "sha256" if _SHA.fullmatch(what) else "host" if _HOST.fullmatch(what) else ""
    crawls = inputs.many("raw_crawl")
    if kind:
        found = selection.captures(crawls, selection.stones_of(selection.asked([(kind, what)])))
        if found.is_empty():
            names = ", ".join(crawl.partition for crawl in crawls)
            raise InputError(f"no crawl holds a document of the {kind} {what}; looked through {names}")
        return found
    records = Takedowns(store.root)
    gone = [one.documents[what]["crawl"] for one in records.requests() if what in one.documents and records.is_done(one.id)]
    if gone:  # the models that read it stay, and so does what is known of that
        return pl.DataFrame([{"crawl": gone[0], "doc_id": what, "url": "", "record_type": "taken down"}])
    documents = look_up(inputs, what).documents
    if not documents:
        raise InputError(f"nothing of {what!r} is stored; 'llm-assets explain' says why")
    return selection.captures(crawls, selection.stones_of({"doc_id": documents}))


def _backward(store: Store, name: str, step: str, as_json: bool) -> str:
    asked = _RANGE.fullmatch(step)
    if not asked:
        raise InputError(f"--step {step!r}: give a number, such as 100, or a range, such as 100-110")
    first, last = int(asked[1]), int(asked[2] or asked[1])
    model = trace.model_named(store, name)
    rows, note = trace.steps_of(current_inputs(store), model, first, last)
    if as_json:
        read = [asdict(row) for row in rows]
        return json.dumps({"model": model.ref, "note": note, "read": read}, ensure_ascii=False, indent=1)
    lines = [table([_cells(row) for row in rows])]
    documents = len({row.doc_id for row in rows})
    lines += ["", f"{model.ref}: {len(rows):,} pieces of {documents:,} documents"]
    return "\n".join([*lines, *([note] if note else [])])


def _cells(row: trace.Piece | trace.Row) -> dict[str, str]:
    if isinstance(row, trace.Row):
        other = {"rejected of": row.rejected_doc_id} if row.rejected_doc_id else {}
        return {"step": str(row.step), "id": row.id, "document": row.doc_id, **other, "url": _plain(row.url)}
    tokens = f"{row.start}-{row.end - 1}"
    place = f"{row.ref}/tokens-{row.shard:05d}.npy@{row.place}"
    return {"step": str(row.step), "row": str(row.row), "document": row.doc_id, "its tokens": tokens, "shard": place,
            "url": _plain(row.url)}  # fmt: skip


def _tell(found: trace.Forward) -> str:
    lines = [f"{len(found.captures):,} documents:"]
    lines += _some(f"  {one['crawl']}  {one['doc_id']}  {one['record_type']}  {_plain(one['url'])}" for one in found.captures)
    lines += _part("text in", (f"{held.ref}/{held.file}: {held.documents:,}" for held in found.shards))
    lines += _part(
        "tokens in",
        (f"{t.ref}/tokens-{t.shard:05d}.npy: {t.start:,} to {t.start + t.length - 1:,} ({t.doc_id})" for t in found.tokens),
    )
    counts = Counter((pair.ref, pair.split, pair.kind) for pair in found.pairs)
    lines += _part("rows made of them", (f"{ref} {split}: {n:,} × {kind}" for (ref, split, kind), n in counts.items()))
    lines += _part("read by", map(use_line, models_of(found)))
    lines += _part("made of these models", (f"{ref} (of {', '.join(models)})" for ref, models in found.made.items()))
    lines += _part("taken down by", found.takedowns)
    return "\n".join(lines)


def models_of(found: trace.Forward) -> list[dict[str, Any]]:
    """A row a model, the data and the models between: how many of the documents in the data were read, in which steps."""
    rows: dict[tuple[str, ...], list[Use]] = {}
    for use in found.uses:
        rows.setdefault((use.model, use.data, *use.through), []).append(use)
    return [
        {
            "model": uses[0].model,
            "data": uses[0].data,
            "through": list(uses[0].through),
            "documents": len({use.doc_id for use in uses}),
            "read": len({use.doc_id for use in uses if use.read}),
            "steps": None if any(use.steps is None for use in uses) else sorted({s for use in uses for s in use.steps or ()}),
        }
        for uses in rows.values()
    ]


def use_line(row: dict[str, Any]) -> str:
    """One of ``models_of``, for a person."""
    steps = row["steps"]
    more = f" and {len(steps) - _STEPS:,} more" if steps and len(steps) > _STEPS else ""
    said = "no step came to them"
    if steps is None:
        said = "steps unknown"
    elif steps:
        said = f"in the steps {', '.join(f'{step:,}' for step in steps[:_STEPS])}{more}"
    through = f", through {' and '.join(row['through'])}" if row["through"] else ""
    return f"{row['model']}: {row['read']:,} of {row['documents']:,} documents of {row['data']}, {said}{through}"


def _part(title: str, lines: Iterable[str]) -> list[str]:
    shown = _some(f"  {line}" for line in lines)
    return ["", f"{title}:", *shown] if shown else []


def _some(lines: Iterable[str]) -> list[str]:
    found = list(lines)
    more = [f"  … and {len(found) - _SHOWN:,} more (--json has all)"] if len(found) > _SHOWN else []
    return found[:_SHOWN] + more


def _plain(text: str) -> str:
    return shortened(one_line(text), 300)
