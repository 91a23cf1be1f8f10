"""``llm-assets gc``: what the store and Dagster's history of runs need no longer. ``core/gc.py`` says what that is."""

import json
import re
import time
from collections.abc import Iterable
from dataclasses import asdict

from llm_assets.commands.instance import exists, instance
from llm_assets.core.errors import InputError, StoreError
from llm_assets.core.gc import Collected, Policy, collect
from llm_assets.core.produce import store_root
from llm_assets.core.recipe import load_recipe
from llm_assets.core.store import Store
from llm_assets.stages import all_specs

_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw]?)")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def seconds(age: str, option: str) -> float:
    """``90m``, ``12h``, ``7d``, ``2w`` or seconds, as seconds. ``InputError`` naming the option otherwise."""
    found = _AGE.fullmatch(age.strip())
    if found is None:
        raise InputError(f"{option} {age!r}: an age is a number and a unit of s, m, h, d or w, e.g. 12h or 30d")
    return float(found[1]) * _SECONDS[found[2]]


def run_gc(policy: Policy, *, runs_older_than_s: float, runs_keep: int, dry_run: bool = False, as_json: bool = False) -> str:
    """Collect and say what went, or would go. Raises what ``collect`` raises; nothing is removed then."""
    store = Store(store_root(), load_recipe().name)
    try:
        told = collect(store, policy, dry_run=dry_run)
    except OSError as error:
        raise StoreError(
            f"{error.filename or store.root}: {error.strerror}; the next 'llm-assets gc' goes on from here"
        ) from error
    runs, runs_kept = _runs(runs_older_than_s, runs_keep, dry_run)
    if as_json:
        known = {"dry_run": dry_run, "freed_bytes": told.freed_bytes, "runs": runs, "runs_kept": runs_kept}
        return json.dumps(asdict(told) | known, indent=1)
    return "\n".join(_lines(told, runs, runs_kept, dry_run))


def sources() -> frozenset[str]:
    """Assets whose current content is never removed."""
    return frozenset(spec.name for spec in all_specs().values() if spec.source)


def _runs(older_than_s: float, keep: int, dry_run: bool) -> tuple[list[str], int]:
    if not exists():
        return [], 0
    from llm_assets.commands.run_history import prune

    with instance() as dagster:
        checks = {spec.name: spec.checks for spec in all_specs().values()}
        done = prune(dagster, checks, before=time.time() - older_than_s, keep=keep, dry_run=dry_run)
    return list(done.run_ids), done.kept


def _lines(told: Collected, runs: list[str], runs_kept: int, dry_run: bool) -> Iterable[str]:
    verb = "would remove" if dry_run else "removed"
    for title, rows in (("artefacts that nothing reaches", told.removed), ("unfinished work", told.unfinished)):
        if rows:
            yield f"{verb} {title}:"
            yield from (f"  {size(one.bytes):>9}  {one.ref}" for one in rows)
    yield from (f"in use, stays: {ref}" for ref in told.held)
    yield from (f"{verb} the pointer {name}" for name in told.pointers)
    yield (
        f"{verb} {len(told.removed):,} artefacts and {len(told.unfinished):,} work folders, {size(told.freed_bytes)}; "
        f"{told.kept:,} artefacts stay, {size(told.kept_bytes)}"
    )
    yield f"{verb} {len(runs):,} runs of Dagster's history; {runs_kept:,} finished ones stay"


def size(count: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
