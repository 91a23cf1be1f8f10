"""``llm-assets takedown apply``: the drill, step by step. Each step looks at what is there, so that a killed one goes on.

Tombstones first, so that nothing comes in again; then crawl by crawl, oldest first: the WARC without the documents, and what is
made of it; then what is made of all crawls. Weights stay, and are named as affected. What beside them holds the text is changed
in place, and the receipt is written last. Superseded versions are left to ``llm-assets gc``, which is told that they must go.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError, LlmAssetsError, StoreBusy, StoreError
from llm_assets.core.freshness import Standing
from llm_assets.core.job import JOB_FILE
from llm_assets.core.jsonio import digest, read_json, write_atomic, write_json
from llm_assets.core.produce import accept_or_raise, produce
from llm_assets.core.recipe import Recipe
from llm_assets.core.spec import Input
from llm_assets.core.store import UNPARTITIONED, Store, named
from llm_assets.core.takedowns import RECEIPT_FILE, Replaced, Request, Takedowns
from llm_assets.core.tombstones import OWN_LIST, Tombstones
from llm_assets.stages import all_specs, spec_of
from llm_assets.stages.audit import receipts, scrub, selection, takedown
from llm_assets.stages.audit.compared import concerned_later
from llm_assets.stages.audit.lookup import current_inputs
from llm_assets.stages.audit.reading import MODELS, TABLES, training_rows
from llm_assets.stages.audit.search import search, tokenizers

NOTHING, DONE = "nothing to do", "done"
_TOKENS = "tokenized_dataset"
_LATE = (*takedown.COMPARED, _TOKENS)


class Absent(InputError):
    """Nothing that was crawled matches."""


class Hands(Protocol):
    """Who makes assets: Dagster, or a test."""

    def make(self, names: Sequence[str], crawl: str) -> None:
        """Materialise these assets (``crawl``: "" for what has none), those first that others read. Raises what stops it."""

    def tell(self, request: Request) -> None:
        """Show the affected models to whoever looks at them."""

    def history(self) -> list[Path]:
        """Folders, in the store or elsewhere, where a history of runs is kept."""

    def clean(self, change: Callable[[str], str]) -> None:
        """Let ``change`` go over every text of a history that is kept in no folder."""


@dataclass(frozen=True)
class Order:
    """What a person asks for."""

    asked: selection.Asked
    reason: str = ""
    by: str = ""
    even_if_absent: bool = False


def apply(
    store: Store, recipe: Recipe, order: Order, standings: Sequence[Standing], hands: Hands, say: Callable[[str], None]
) -> dict[str, Any]:
    """Take down what was asked; returns the signed receipt, which is in the store too.

    Raises ``Absent`` where nothing matches, ``StoreBusy`` where a run is at work on data, and what a stage or gate raises: said
    again, it goes on where it stopped.
    """
    _refuse_bucket(store)
    records = Takedowns(store.root)
    with _alone(records.folder):
        _refuse_busy(store)
        receipts.private_key(store.root)  # before anything is done: a key that can't be read is told now
        request = _going_on(records, store.recipe, order) or _begin(store, records, order, standings)
        say(f"take-down {request.id}: {len(request.documents):,} documents in {', '.join(request.crawls) or 'no crawl'}")
        _bury(store, request)
        hands.make(["tombstones"], "")
        if request.documents:
            _drop_unfinished(store, request)
            _make_crawls(store, recipe, records, request, hands, say)
            _make_datasets(store, records, request, hands)
            _remember(store, records, request)
            _scrub(store, records, request, hands, say)
            _share(store, request)
            hands.tell(request)
        receipt = receipts.sign(_receipt(store, records, request), receipts.private_key(store.root))
        write_json(records.folder / request.id / RECEIPT_FILE, receipt)
        return receipt


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreBusy("another take-down is at work in this store; wait for it, then say the same again") from None
    try:
        yield
    finally:
        lock.release()


def _refuse_bucket(store: Store) -> None:
    """Files are changed in place and records are kept in the root: of a mirror that would be this machine's copies alone."""
    if store.mirror is not None:
        raise StoreError(
            f"a take-down can't be applied to the store in {store.mirror.objects.url}: it changes files in place, which is "
            "done in a folder only. Name the documents in the file of tombstones.path, make what 'llm-assets takedown plan' "
            "lists anew (the crawls with --force), then run 'llm-assets gc' on every machine. Nothing was changed"
        )


def _refuse_busy(store: Store) -> None:
    """A run at work may have read what is taken down: it would bring it back, or make a model that nobody names as affected."""
    for asset in (*takedown.OF_CRAWL, *takedown.OF_ALL, *MODELS):
        for lock in sorted((store.root / ".work" / asset).glob("*/*.lock")):
            crawl, identity = lock.parent.name, lock.name.removesuffix(".lock")
            if store.is_held(asset, crawl, identity):
                raise StoreBusy(
                    f"{named(asset, crawl)} is being made by a run, which may hold what is to be taken down; wait for it or "
                    "cancel it, then say the same again. Nothing was changed"
                )


def _going_on(records: Takedowns, recipe: str, order: Order) -> Request | None:
    begun = [one for one in records.requests() if not records.is_done(one.id)]
    return next((one for one in begun if one.asked == order.asked and one.recipe == recipe), None)


def _begin(store: Store, records: Takedowns, order: Order, standings: Sequence[Standing]) -> Request:
    inputs = current_inputs(store)
    found = takedown.reach(store, inputs, order.asked, standings)
    current = {one["doc_id"] for one in found.found.captures}
    if not current and not found.must_go and not order.even_if_absent and not is_buried(store, order.asked):
        raise Absent(absent(order.asked, [crawl.partition for crawl in inputs.many("raw_crawl")]))
    now = datetime.now(UTC)
    open_still = bool(current) or not is_buried(store, order.asked)  # else all is done but what 'gc' has to do
    request = Request(
        id=f"{now:%Y%m%dT%H%M%SZ}-{digest(order.asked)[:8]}",
        recipe=store.recipe,
        by=order.by,
        asked_at=now.isoformat(timespec="seconds"),
        reason=order.reason,
        asked=order.asked,
        documents=found.documents if open_still else {},
        crawls=tuple(found.crawls) if open_still else (),
        before=_state(store),
        affected=found.affected if open_still else {},
        must_go=tuple(found.must_go),
    )
    records.begin(request)
    return request


def absent(asked: selection.Asked, crawls: Sequence[str]) -> str:
    """What was looked for, and where."""
    what = ", ".join(f"{kind} {value}" for kind, values in asked.items() for value in values)
    return (
        f"no crawl holds a document of {what}; looked through {', '.join(crawls) or 'no crawl'}. "
        "To keep it out of crawls to come, say --even-if-absent"
    )


def is_buried(store: Store, asked: selection.Asked) -> bool:
    """Whether the current tombstones name all of it already."""
    stones = Tombstones.load(store.current("tombstones"))
    return all(value in stones.by_kind.get(kind, {}) for kind, values in asked.items() for value in values)


def _state(store: Store) -> dict[str, tuple[str, str]]:
    """Name → (identity, digest) of all that is current."""
    found = {}
    for name, spec in all_specs().items():
        for partition in store.partitions(name) if spec.partitioned else [UNPARTITIONED]:
            artefact = store.current(name, partition)
            if artefact is not None:
                found[named(name, partition)] = (artefact.identity, artefact.digest())
    return found


def _bury(store: Store, request: Request) -> None:
    """Append what is not yet named to the store's list of tombstones, which every recipe reads."""
    path = store.root / OWN_LIST
    before = path.read_bytes() if path.is_file() else b""
    known = {(row["kind"], row["value"]) for row in map(json.loads, before.splitlines())}
    said = {"reason": request.reason, "at": request.asked_at, "takedown": request.id}
    rows = [{"kind": kind, "value": value, **said} for kind, values in request.asked.items() for value in values]
    new = [json.dumps(row, ensure_ascii=False) for row in rows if (row["kind"], row["value"]) not in known]
    if new:
        write_atomic(path, before + "".join(f"{line}\n" for line in new).encode())


def _drop_unfinished(store: Store, request: Request) -> None:
    """Unfinished work that read what is taken down will never be gone on with, and may hold it; crawls begin again anyway."""
    work = store.root / ".work"
    for folder in sorted(path for path in work.glob("*/*/*") if path.is_dir()):
        asset, partition = folder.parts[-3:-1]
        job = folder / JOB_FILE
        read = {f"{a}/{p}/{i}" for rows in read_json(job)["inputs"].values() for a, p, i, _ in rows} if job.is_file() else set()
        data = asset in (*takedown.OF_CRAWL, *takedown.OF_ALL)
        if asset == "raw_crawl" or not read.isdisjoint(request.must_go) or (data and not job.is_file()):
            with store.work(asset, partition, folder.name) as held:
                store.drop(held)


def _make_crawls(
    store: Store, recipe: Recipe, records: Takedowns, request: Request, hands: Hands, say: Callable[[str], None]
) -> None:
    stones = selection.stones_of(request.asked)
    for crawl in store.partitions("raw_crawl"):
        raw = store.current("raw_crawl", crawl)
        mine = selection.captures([raw], stones).height if raw else 0
        if mine:
            rewrite(store, recipe, crawl)
        concerned = any(crawl in one.concerned for one in records.replaced(request.id))
        if mine or crawl in request.crawls or concerned:
            made = [one for one in takedown.OF_CRAWL if named(one, crawl) in request.before]
            made = [one for one in made if one in _LATE or mine or _reads(request, crawl)]
            hands.make([one for one in made if one != _TOKENS], crawl)
            if _TOKENS in made and _keeps_some(store, crawl):
                hands.make([_TOKENS], crawl)
            elif _TOKENS in made:
                say(f"{crawl} has no document left: it goes out of the mix")
                store.forget(_TOKENS, crawl)
        _record(store, records, request, takedown.OF_CRAWL, crawl)


def _keeps_some(store: Store, crawl: str) -> bool:
    """Whether a crawl has any document left: token shards of none are refused by their gates, as they should be."""
    survivors = store.current("deduped_shards", crawl)
    return survivors is not None and survivors.manifest().counts.get("kept", 0) > 0


def _reads(request: Request, crawl: str) -> bool:
    """Whether the crawl itself holds documents, and does not only name them."""
    return any(one["crawl"] == crawl for one in request.documents.values())


def rewrite(store: Store, recipe: Recipe, crawl: str) -> None:
    """Make a crawl current without what the tombstones cover. Nothing is fetched."""
    spec = replace(
        spec_of("raw_crawl"),
        entry="llm_assets.stages.crawl.removal:run",
        inputs=(Input("tombstones"), Input("raw_crawl", "same")),
    )
    config = recipe.raw_crawl.model_copy(update={"min_pages": 0})  # a crawl may have had nothing else
    accept_or_raise(produce(store, spec, config, partition=crawl, force=True))


def _record(store: Store, records: Takedowns, request: Request, assets: Sequence[str], crawl: str) -> None:
    """Write down what was made anew, and which later crawls that concerns."""
    known = {(one.asset, one.partition, one.new_digest) for one in records.replaced(request.id)}
    order = store.partitions("raw_crawl")
    for asset in assets:
        now, before = store.current(asset, crawl), request.before.get(named(asset, crawl))
        if now is None or before is None or now.digest() == before[1] or (asset, crawl, now.digest()) in known:
            continue
        later: tuple[str, ...] = ()
        if asset in takedown.COMPARED:
            old = Artefact(asset, crawl, before[0], store.folder(asset, crawl, before[0]))
            after = [one for one in order[order.index(crawl) + 1 :] if store.current(asset, one)]
            later = tuple(concerned_later(old, now, [one for name in after if (one := store.current(asset, name))]))
        records.replace(request.id, Replaced(asset, crawl, *before, now.identity, now.digest(), later))


def _make_datasets(store: Store, records: Takedowns, request: Request, hands: Hands) -> None:
    """What is made of all crawls, and the audit tables."""
    hands.make([one for one in takedown.OF_ALL if one in request.before], "")
    tables = [name for name, spec in all_specs().items() if spec.room == "audit" and name in request.before]
    if tables:
        hands.make(tables, "")
    _record(store, records, request, takedown.OF_ALL, UNPARTITIONED)
    left = sorted(ref for ref in request.must_go if _is_current(store, ref))
    if left:
        raise LlmAssetsError(
            f"{', '.join(left)} is still current and holds what is taken down; make it anew, then say the same again"
        )


def _is_current(store: Store, ref: str) -> bool:
    asset, partition, identity = ref.split("/")
    current = store.current(asset, partition)
    return current is not None and current.identity == identity


def _remember(store: Store, records: Takedowns, request: Request) -> None:
    """Which documents trainings read of data that goes: so that 'trace' still answers for the models that stay."""
    for ref in request.must_go:
        if ref.partition("/")[0] in TABLES and (store.root / ref).is_dir():
            records.remember(request.id, ref, training_rows(store.root / ref, ref))


def _scrub(store: Store, records: Takedowns, request: Request, hands: Hands, say: Callable[[str], None]) -> None:
    """Take the texts out of all that stays; each file that was changed is written down, with its digests."""
    needles = takedown.needles_of(store.root, request.must_go, request.documents)
    mark = f"[taken down: {request.id}]"
    apart = [
        store.root / name for name in (*takedown.OF_CRAWL, "instruction_dataset", "preference_dataset", "eval_suite", ".trash")
    ]
    decoders = tokenizers(store.root)
    for root in (store.root, *(one for one in hands.history() if not one.is_relative_to(store.root))):
        for hit in list(search(root, needles, apart)):
            before = _sha256(hit.path)
            scrub.scrub(hit.path, needles, mark, decoders)
            name = hit.path.relative_to(store.root).as_posix() if root == store.root else str(hit.path)
            say(f"taken out of {name}")
            records.redact(request.id, {"file": name, "before": before, "after": _sha256(hit.path)})
    hands.clean(lambda value: scrub.changed(value, needles, mark, decoders))


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _share(store: Store, request: Request) -> None:
    """Other recipes that had the same crawl get the same one without the documents."""
    for ref in request.must_go:
        asset, crawl, identity = ref.split("/")
        now = store.current(asset, crawl) if asset == "raw_crawl" else None
        for pointer in (store.root / asset / crawl).glob("CURRENT.*") if now else ():
            if pointer.read_text("utf-8").strip() == identity and now is not None:
                Store(store.root, pointer.suffix[1:]).accept(now)


def _receipt(store: Store, records: Takedowns, request: Request) -> dict[str, Any]:
    replaced = list(records.replaced(request.id))
    made = {named(one.asset, one.partition) for one in replaced}
    after = _state(store)
    stones = store.current("tombstones")
    kept = {name: before[1] for name, before in request.before.items() if after.get(name) == before and _is_data(name)}
    return {
        "format": 1,
        "id": request.id,
        "outcome": DONE if request.documents else NOTHING,
        "asked": request.asked,
        "by": request.by,
        "reason": request.reason,
        "recipe": request.recipe,
        "asked_at": request.asked_at,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "documents": request.documents,
        "crawls": list(request.crawls),
        "tombstones": stones.digest() if stones else "",
        "replaced": [vars(one) | {"concerned": list(one.concerned)} for one in replaced],
        "retired": sorted(name for name in request.before if name not in after and name not in made),
        "unchanged": kept,
        "redacted": records.redacted(request.id),
        "affected_models": request.affected,
        "must_go": list(request.must_go),
    }


def _is_data(name: str) -> bool:
    return name.partition("[")[0] in (*takedown.OF_CRAWL, *takedown.OF_ALL, "tokenizer", "eval_suite")
