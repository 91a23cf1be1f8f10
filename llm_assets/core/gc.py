"""Retention: what no manifest reaches is removed from the store, and nothing else.

Roots are what some recipe's ``CURRENT`` names, what a living run reads, the newest accepted artefacts beside these (``keep``),
what is younger than a limit, and the newest of an asset and crawl where gates refused it: a person is to look at that one. What
a root's manifest names as an input stays too, and so on; the rest goes, and so do work folders that no process holds.

A folder is renamed into ``.trash`` first and deleted after: no reader ever sees half an artefact. Pointers and readers are
looked at again between the two, and what became reachable meanwhile is put back; whoever came later still finds it gone and
says so (``Store.accept``, ``readers.reading``). A killed collection is finished, or undone in the same way, by the next.
"""

import re
import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from llm_assets.core.errors import StoreBusy, StoreError
from llm_assets.core.jsonio import read_json
from llm_assets.core.manifest import GATES_FILE, MANIFEST_FILE, Manifest
from llm_assets.core.mirror import Mirror
from llm_assets.core.readers import in_use
from llm_assets.core.store import INCOMING, Store

TRASH, WORK = ".trash", ".work"
DAY_SECONDS = 86_400.0
_IDENTITY = re.compile(r"[0-9a-f]{16}(\.\d+)?")


@dataclass(frozen=True)
class Policy:
    """What may go.

    ``keep``: newest accepted artefacts of each asset and crawl that stay besides the current ones. ``older_than_s``: younger
    artefacts stay, all of them; ``unfinished_older_than_s``: so do work folders that were written to since (an interrupted
    training goes on from its checkpoints). ``must_go``: refs (``asset/partition/identity``) that go although they would stay,
    and the pointers to them too. ``sources``: assets whose current content is never removed.
    """

    keep: int = 1
    older_than_s: float = 0.0
    unfinished_older_than_s: float = 7 * DAY_SECONDS
    must_go: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Removal:
    """One folder: an artefact (``asset/partition/identity``) or a work folder (``.work/asset/partition/identity``)."""

    ref: str
    bytes: int


@dataclass(frozen=True)
class Collected:
    """What a collection did, or would do.

    ``held``: could go, but a process holds it. ``pointers``: ``CURRENT`` files that were removed. ``kept``: artefacts.
    """

    removed: tuple[Removal, ...] = ()
    unfinished: tuple[Removal, ...] = ()
    held: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    kept: int = 0
    kept_bytes: int = 0

    @property
    def freed_bytes(self) -> int:
        """Of artefacts and work folders."""
        return sum(one.bytes for one in (*self.removed, *self.unfinished))


@dataclass
class _Found:
    """One artefact folder, as far as a collection needs to know it."""

    ref: str
    folder: Path
    made: float
    inputs: list[str] | None  # None: the manifest is not there, or can't be read
    accepted: bool = False
    refused: bool = False
    size: int | None = None  # in a bucket

    @property
    def bytes(self) -> int:
        return _size(self.folder) if self.size is None else self.size

    @property
    def place(self) -> str:
        return self.ref.rpartition("/")[0]


@dataclass
class _View:
    """The store at one moment: artefacts by ref, and what ``CURRENT`` files name (a pointer's path → the ref)."""

    root: Path
    found: dict[str, _Found] = field(default_factory=dict)
    pointers: dict[Path, str] = field(default_factory=dict)


def collect(store: Store, policy: Policy, *, dry_run: bool = False, now: float | None = None) -> Collected:
    """Remove what ``policy`` lets go (``dry_run``: only say what). ``now``: seconds since the epoch, by default the clock's.

    Raises ``StoreBusy`` where another collection is at work or a process holds one of ``must_go``, and ``StoreError`` where
    ``must_go`` names a source's current content or a manifest that something needs can't be read; nothing is removed then.
    """
    now = time.time() if now is None else now
    if not store.root.is_dir():
        return Collected()
    with _alone(store.root):
        if not dry_run:
            _recover(store.root, policy)
        view = _look(store.root) if store.mirror is None else _look_in(store.mirror)
        reads = in_use(store.root)
        used = _reached(view, reads)
        staying = _reached(view, _roots(view, policy, now) | reads, policy.must_go)
        _check_readable(view, staying)
        doomed = sorted(ref for ref in view.found if ref not in staying)
        held = [ref for ref in doomed if ref in used or _is_held(store, ref)]
        _refuse(view, policy, held)
        going = [view.found[ref] for ref in doomed if ref not in held]
        pointers = [path for path, ref in view.pointers.items() if ref in policy.must_go]
        unfinished = _abandoned(store, policy, now)
        told = Collected(
            tuple(Removal(one.ref, one.bytes) for one in going),
            tuple(Removal(path.relative_to(store.root).as_posix(), _size(path)) for path in unfinished),
            tuple(held),
            tuple(path.relative_to(store.root).as_posix() for path in pointers),
            len(view.found) - len(going),
            sum(one.bytes for one in view.found.values() if one not in going),
        )
        if not dry_run and store.mirror is not None:
            _remove_from(store, store.mirror, view, policy, pointers, [one.ref for one in going])
            going = []
        if not dry_run:
            _remove(store, policy, pointers, [one.folder for one in going], unfinished)
        return told


def _remove(store: Store, policy: Policy, pointers: list[Path], folders: list[Path], unfinished: list[Path]) -> None:
    for pointer in pointers:  # first: a reader then sees nothing, not a pointer to nothing
        pointer.unlink(missing_ok=True)
    for folder in folders:
        _bin(store.root, folder)
    for folder in unfinished:
        with _locked(folder) as free:
            if free:
                _bin(store.root, folder)
    _recover(store.root, policy)


def _remove_from(store: Store, mirror: Mirror, view: _View, policy: Policy, pointers: list[Path], refs: list[str]) -> None:
    """The same in a bucket, where nothing can be renamed: each artefact under its lease, its manifest first."""
    mirror.objects.remove([path.relative_to(mirror.root).as_posix() for path in pointers])
    named = _reached(view, {*mirror.pointers().values(), *in_use(mirror.root)}, policy.must_go)
    for ref in (ref for ref in refs if ref not in named):
        asset, partition, identity = ref.split("/")
        try:
            with store.leased(asset, partition, identity):
                mirror.remove(ref)
        except StoreBusy:  # another machine has begun to make it since it was looked at
            continue
    mirror.sweep()


def _look_in(mirror: Mirror) -> _View:
    """All artefacts and pointers of a bucket; heads come to this machine. Half an upload is an artefact without manifest."""
    view = _View(mirror.root, pointers={mirror.root / name: ref for name, ref in mirror.pointers().items()})
    for ref, size in mirror.sizes().items():
        if mirror.head(ref):
            mirror.gates(ref)
        if not mirror.is_pending(ref):
            view.found[ref] = replace(_read(ref, mirror.about(ref)), size=size)
    return view


def _bin(root: Path, folder: Path) -> None:
    target = root / TRASH / folder.relative_to(root)
    target.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(target)


def _recover(root: Path, policy: Policy) -> None:
    """Put back from the trash what is named again, then empty it."""
    trash = root / TRASH
    if not trash.is_dir():
        return
    view, binned = _look(root), _look(trash)
    view.found |= {ref: one for ref, one in binned.found.items() if ref not in view.found}
    for ref in _reached(view, {*view.pointers.values(), *in_use(root)}, policy.must_go):
        if view.found[ref].folder.is_relative_to(trash):
            (trash / ref).rename(root / ref)
    shutil.rmtree(trash)


def _look(root: Path) -> _View:
    """All artefacts and pointers below a folder that is laid out as a store."""
    view = _View(root)
    for asset in _folders(root):
        for place in (path for path in asset.iterdir() if path.is_dir()):
            for path in place.iterdir():
                ref = path.relative_to(root).as_posix()
                if path.name.startswith("CURRENT.") and path.is_file():
                    view.pointers[path] = f"{place.relative_to(root).as_posix()}/{path.read_text('utf-8').strip()}"
                elif path.is_dir() and ((path / MANIFEST_FILE).is_file() or _IDENTITY.fullmatch(path.name)):
                    view.found[ref] = _read(ref, path)
    return view


def _folders(place: Path) -> list[Path]:
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))


def _read(ref: str, folder: Path) -> _Found:
    path = folder / MANIFEST_FILE
    try:
        told = Manifest.load(folder)
    except (OSError, ValueError):
        return _Found(ref, folder, 0.0, None)
    inputs = [f"{one.asset}/{one.partition}/{one.identity}" for one in told.inputs]
    made = datetime.fromisoformat(told.started_at).timestamp() if told.started_at else path.stat().st_mtime
    judged = (folder / GATES_FILE).is_file()
    blocked = judged and any(gate["blocking"] and not gate["passed"] for gate in read_json(folder / GATES_FILE))
    return _Found(ref, folder, made, inputs, judged and not blocked, blocked)


def _roots(view: _View, policy: Policy, now: float) -> set[str]:
    roots = set(view.pointers.values())
    roots |= {one.ref for one in view.found.values() if now - one.made < policy.older_than_s}
    places: dict[str, list[_Found]] = {}
    for one in sorted(view.found.values(), key=lambda one: one.made, reverse=True):
        places.setdefault(one.place, []).append(one)
    for newest_first in places.values():
        beside = [one.ref for one in newest_first if one.accepted and one.ref not in roots]
        roots.update(beside[: policy.keep])
        if newest_first[0].refused:
            roots.add(newest_first[0].ref)
    return roots


def _reached(view: _View, roots: Iterable[str], without: Collection[str] = ()) -> set[str]:
    """The roots and all that their manifests name, and so on; not those of ``without``, nor what only they name."""
    reached: set[str] = set()
    ahead = list(roots)
    while ahead:
        ref = ahead.pop()
        if ref in view.found and ref not in reached and ref not in without:
            reached.add(ref)
            ahead.extend(view.found[ref].inputs or ())
    return reached


def _check_readable(view: _View, refs: Iterable[str]) -> None:
    damaged = sorted(ref for ref in refs if view.found[ref].inputs is None)
    if damaged:
        raise StoreError(
            f"{', '.join(damaged)} is in use, but its {MANIFEST_FILE} can't be read, so that nobody knows what it needs; "
            "nothing was removed. Make it again with --force, then try again"
        )


def _refuse(view: _View, policy: Policy, held: list[str]) -> None:
    current = set(view.pointers.values())
    kept = sorted(ref for ref in policy.must_go & current if ref.partition("/")[0] in policy.sources)
    if kept:
        raise StoreError(
            f"{', '.join(kept)} is the current content of a source, which is never removed; make its successor current first, "
            "under each recipe that names it. Nothing was removed"
        )
    busy = sorted(policy.must_go & set(held))
    if busy:
        raise StoreBusy(f"{', '.join(busy)} must go, but a run holds it; wait for the run or cancel it. Nothing was removed")


def _is_held(store: Store, ref: str) -> bool:
    asset, partition, identity = ref.split("/")
    return store.is_held(asset, partition, identity) or store.is_held(asset, partition, INCOMING)


def _abandoned(store: Store, policy: Policy, now: float) -> list[Path]:
    """Work folders that no process holds, and that were last written to long enough ago."""
    found = []
    work = store.root / WORK
    for asset in _folders(work) if work.is_dir() else []:
        for place in (path for path in asset.iterdir() if path.is_dir()):
            for folder in _folders(place):
                idle = now - _last_written(folder)
                if idle >= policy.unfinished_older_than_s and not store.is_held(asset.name, place.name, folder.name):
                    found.append(folder)
    return found


def _last_written(folder: Path) -> float:
    return max(path.lstat().st_mtime for path in (folder, *folder.rglob("*")))


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


@contextmanager
def _locked(work_folder: Path) -> Iterator[bool]:
    """Whether the lock of a work folder could be taken; it is held meanwhile."""
    lock = FileLock(work_folder.with_name(f"{work_folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    lock = FileLock(root / ".gc.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreBusy(f"another 'llm-assets gc' is at work in {root}; wait for it") from None
    try:
        yield
    finally:
        lock.release()
