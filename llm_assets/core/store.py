"""The store: ``<root>/<asset>/<partition>/<identity>/`` holds one complete artefact each.

A run writes in ``.work/``, under a lock; the finished folder is renamed into place with its manifest already inside, so
the rename is the commit. Only after the gates have passed is ``CURRENT.<recipe>`` swapped: readers see complete, accepted
artefacts or none. Where the root mirrors a bucket (``core/mirror.py``), what is in the bucket counts: the put of the manifest
is the commit that others see, and a lease excludes other machines as the lock excludes other processes.
"""

import errno
import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from llm_assets.core import lease
from llm_assets.core.artefact import Artefact, Mirrored, WorkDir
from llm_assets.core.errors import StoreBusy, StoreError
from llm_assets.core.jsonio import fsync_folder, read_json, write_atomic, write_json
from llm_assets.core.lease import Lease
from llm_assets.core.manifest import GATES_FILE, MANIFEST_FILE, Manifest
from llm_assets.core.mirror import CURRENT, behind
from llm_assets.core.oneline import shortened
from llm_assets.core.report import Gate

UNPARTITIONED = "all"
INCOMING = "incoming"  # the work folder of a source, whose identity is known when it is there
# A folder of the store and of the inbox: never hidden, and shorter than file systems allow.
PARTITION_KEY = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,128}")
_CRAWL_ORDER = "crawl_order.json"


def named(asset: str, partition: str) -> str:
    """``asset[crawl]``, or ``asset`` where it has no crawls: as people read it."""
    return asset if partition == UNPARTITIONED else f"{asset}[{partition}]"


def check_partition_key(key: str) -> str:
    """Return the key, or raise ``StoreError`` saying what a key may be."""
    if not PARTITION_KEY.fullmatch(key) or key == UNPARTITIONED:
        raise StoreError(
            f"{shortened(repr(key), 60)} can't name a crawl; use 1 to 128 letters, digits, '.', '_' and '-' only "
            f"(e.g. wiki-2026-11), no '.' at the front, and not {UNPARTITIONED!r}"
        )
    return key


class Store:
    """All artefacts below one root folder, seen through one recipe's CURRENT pointers."""

    def __init__(self, root: Path, recipe: str) -> None:
        self.root = root
        self.recipe = recipe
        self.mirror = behind(root)
        self._leases: dict[tuple[str, str], Lease] = {}  # by asset and partition, of what this process makes now

    # reading

    def folder(self, asset: str, partition: str, identity: str) -> Path:
        """Where an artefact is or would be."""
        return self.root / asset / partition / identity

    def find(self, asset: str, partition: str, identity: str) -> Artefact | None:
        """The complete artefact of this identity, accepted or not; None where there is none."""
        if self.mirror is not None:
            there = self.mirror.head(f"{asset}/{partition}/{identity}")
            return Mirrored(asset, partition, identity, self.mirror) if there else None
        files = self.folder(asset, partition, identity)
        if not (files / MANIFEST_FILE).is_file():
            return None
        return Artefact(asset, partition, identity, files)

    def rebuilds(self, asset: str, partition: str, identity: str) -> list[Artefact]:
        """The artefact of an identity and its forced rebuilds ``<identity>.<n>``, oldest first."""
        return [artefact for _, artefact in self._rebuilds(asset, partition, identity)]

    def next_rebuild(self, asset: str, partition: str, identity: str) -> str:
        """The identity of the next forced rebuild; ``gc`` may have left gaps between the earlier ones."""
        made = self._rebuilds(asset, partition, identity)
        return f"{identity}.{made[-1][0] + 1 if made else 0}"

    def _rebuilds(self, asset: str, partition: str, identity: str) -> list[tuple[int, Artefact]]:
        found = []
        for name in self.identities(asset, partition):
            stem, _, number = name.partition(".")
            if stem == identity and (number or "0").isdecimal():
                artefact = self.find(asset, partition, name)
                found += [(int(number or 0), artefact)] if artefact else []
        return sorted(found, key=lambda pair: pair[0])

    def identities(self, asset: str, partition: str) -> list[str]:
        """The names of all folders of a partition, complete or not, sorted."""
        if self.mirror is not None:
            return self.mirror.objects.names(f"{asset}/{partition}")
        place = self.root / asset / partition
        return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.is_dir() else []

    def manifests(self, asset: str) -> list[Path]:
        """The manifests of an asset that this machine has, in no order: in a folder all, of a bucket those it has looked at."""
        place = self.root if self.mirror is None else self.mirror.about("")
        return list((place / asset).glob(f"*/*/{MANIFEST_FILE}"))

    def _pointer(self, asset: str, partition: str) -> Path:
        return self.root / asset / partition / f"CURRENT.{self.recipe}"

    def current(self, asset: str, partition: str = UNPARTITIONED) -> Artefact | None:
        """The accepted artefact that readers see; None before the first. ``StoreError`` where the pointer dangles."""
        identity = self._current(asset, partition)
        if identity is None:
            return None
        artefact = self.find(asset, partition, identity)
        if artefact is None:
            place = self.root if self.mirror is None else self.mirror.objects.url
            raise StoreError(
                f"{asset}[{partition}]: CURRENT names {identity}, which is not in {place}; materialise {asset} again"
            )
        return artefact

    def _current(self, asset: str, partition: str) -> str | None:
        pointer = self._pointer(asset, partition)
        if self.mirror is not None:
            data = self.mirror.read(self._pointer_object(asset, partition), pointer)
            return None if data is None else data.decode().strip()
        try:
            return pointer.read_text("utf-8").strip()
        except FileNotFoundError:
            return None

    def _pointer_object(self, asset: str, partition: str) -> str:
        return f"{CURRENT}/{self.recipe}/{asset}/{partition}".removesuffix("/")

    def partitions(self, asset: str) -> list[str]:
        """Partitions with a current artefact, in crawl order (crawls without a number come last, by name)."""
        if self.mirror is not None:
            return self.in_crawl_order(self.mirror.objects.names(self._pointer_object(asset, "")))
        pointers = (self.root / asset).glob(f"*/CURRENT.{self.recipe}")
        return self.in_crawl_order(pointer.parent.name for pointer in pointers)

    def in_crawl_order(self, crawls: Iterable[str]) -> list[str]:
        """Crawls by their number; those without one come last, by name."""
        order = self.crawl_order()
        return sorted(crawls, key=lambda name: (order.get(name, len(order) + 1), name))

    def used(self, asset: str, holders: Iterable[str]) -> list[Artefact]:
        """The current artefact of an asset without crawls, and those that the current ones of ``holders`` were made of.

        By identity; what is not in the store any more is left out.
        """
        waiting = [found for name in (asset, *holders) if (found := self.current(name)) is not None]
        known: dict[str, Artefact] = {}
        while waiting:
            one = waiting.pop()
            if one.ref not in known:
                known[one.ref] = one
                above = [entry for entry in one.manifest().inputs if entry.partition == UNPARTITIONED]
                made_of = (self.find(entry.asset, entry.partition, entry.identity) for entry in above)
                waiting += [artefact for artefact in made_of if artefact is not None]
        return sorted((one for one in known.values() if one.asset == asset), key=lambda one: one.identity)

    def gates(self, artefact: Artefact) -> list[Gate]:
        """The results of the last judging of an artefact; empty before it."""
        if self.mirror is not None:
            data = self.mirror.gates(artefact.ref)
            return [Gate(**gate) for gate in json.loads(data)] if data else []
        path = artefact.files / GATES_FILE
        return [Gate(**gate) for gate in read_json(path)] if path.exists() else []

    def is_held(self, asset: str, partition: str, identity: str) -> bool:
        """Whether a process is making this identity now."""
        path = self.work_folder(asset, partition) / f"{identity}.lock"
        if self.mirror is not None:
            held = lease.read(self.mirror.objects, _lease_key(asset, partition, identity))
            if held is not None and held.machine != self.mirror.machine:
                return held.until > time.time()
        if not path.exists():
            return False
        try:
            with FileLock(path).acquire(timeout=0):
                return False
        except Timeout:
            return True

    def is_begun(self, asset: str, partition: str, identity: str) -> bool:
        """Whether an unfinished run left its work folder."""
        return (self.work_folder(asset, partition) / identity).is_dir()

    def work_folder(self, asset: str, partition: str) -> Path:
        """Where work on an asset and crawl is done: a folder and a lock for each identity."""
        return self.root / ".work" / asset / partition

    # writing

    @contextmanager
    def work(self, asset: str, partition: str, identity: str) -> Iterator[WorkDir]:
        """The work folder of one identity under its lock. A killed run's folder is handed out as it was left.

        Raises ``StoreBusy`` when another process holds the lock, ``StoreError`` when the store can't be written.
        """
        place = self.work_folder(asset, partition)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the store {self.root} can't be written: {error.strerror}; set LLM_ASSETS_STORE") from error
        lock = FileLock(place / f"{identity}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise StoreBusy(
                f"{asset}[{partition}] is being made by another run; wait for it or cancel it, then try again"
            ) from None
        try:
            with self.leased(asset, partition, identity):
                yield WorkDir.at(place / identity, partition, asset)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise StoreError(
                    f"no space left while making {asset}[{partition}] below {self.root}; free some "
                    "('llm-assets gc' lists what can go) and start again: the run goes on where it was"
                ) from error
            raise
        finally:
            lock.release()

    @contextmanager
    def leased(self, asset: str, partition: str, identity: str) -> Iterator[None]:
        """Keep other machines from making this; nothing to do where the store is a folder."""
        if self.mirror is None:
            yield
            return
        key = _lease_key(asset, partition, identity)
        held = Lease(self.mirror.objects, key, self.mirror.machine, named(asset, partition), lease.SECONDS)
        held.acquire()
        self._leases[asset, partition] = held
        try:
            yield
        finally:
            del self._leases[asset, partition]
            held.release()

    def finished(self, asset: str, partition: str, identity: str) -> Artefact | None:
        """Looked at under the lock: what another run made of this identity meanwhile; None where there is still none.

        An upload of this machine that was cut off is ended here. ``identity`` "" (a source, whose content decides it): there is
        something only where its upload was cut off.
        """
        if self.mirror is not None:
            found = self.mirror.pending(asset, partition)
            mine = [f"{asset}/{partition}/{identity}"] if identity else found
            for ref in (ref for ref in mine if ref in found):
                self.mirror.upload(ref, self._leases[asset, partition].check)
                identity = ref.rpartition("/")[2]
        return self.find(asset, partition, identity) if identity else None

    def publish(self, work: WorkDir, manifest: Manifest) -> Artefact:
        """Move a finished work folder into the store: manifest inside, fsync, one rename; then drop the work folder.

        Where the store is in a bucket, it is uploaded then.
        """
        target = self.folder(manifest.asset, manifest.partition, manifest.identity)
        target.parent.mkdir(parents=True, exist_ok=True)
        manifest.save(work.files)
        for folder in {path.parent for path in work.files.rglob("*")}:
            fsync_folder(folder)
        if target.exists():  # only a folder without a manifest can be here: the caller looked, under the lock
            shutil.rmtree(target)
        made = Artefact(manifest.asset, manifest.partition, manifest.identity, target)
        if self.mirror is not None:
            self.mirror.begin(made.ref)
        work.files.rename(target)
        fsync_folder(target.parent)
        self.drop(work)
        if self.mirror is None:
            return made
        self.mirror.upload(made.ref, self._leases[made.asset, made.partition].check)
        return Mirrored(made.asset, made.partition, made.identity, self.mirror)

    def drop(self, work: WorkDir) -> None:
        """Remove a work folder that nobody goes on with."""
        shutil.rmtree(work.files.parent)

    def judge(self, artefact: Artefact, gates: list[Gate]) -> None:
        """Record gate results beside the manifest."""
        path = artefact.files / GATES_FILE
        write_json(
            path,
            [
                {"name": g.name, "passed": g.passed, "message": g.message, "metadata": g.metadata, "blocking": g.blocking}
                for g in gates
            ],
        )
        if self.mirror is not None:
            self.mirror.objects.write(f"{artefact.ref}/{GATES_FILE}", path.read_bytes())

    def accept(self, artefact: Artefact) -> None:
        """Swap ``CURRENT``: from here on readers see this artefact.

        Raises ``StoreError``, and leaves the pointer as it was, where ``gc`` took the artefact away meanwhile.
        """
        before = self._current(artefact.asset, artefact.partition)
        self._point(artefact.asset, artefact.partition, artefact.identity)
        if self._is_there(artefact):
            return
        self._point(artefact.asset, artefact.partition, before)
        raise StoreError(f"{artefact.ref} was removed from the store while it was judged; start its run again")

    def forget(self, asset: str, partition: str) -> None:
        """Remove ``CURRENT``: readers see nothing any more; the artefact stays until ``gc``."""
        self._point(asset, partition, None)

    def _point(self, asset: str, partition: str, identity: str | None) -> None:
        pointer = self._pointer(asset, partition)
        name = self._pointer_object(asset, partition)
        if identity is None:
            if self.mirror is not None:
                self.mirror.objects.remove([name])
            pointer.unlink(missing_ok=True)
            return
        data = identity.encode() + b"\n"
        if self.mirror is not None:
            self.mirror.objects.write(name, data)
        write_atomic(pointer, data)

    def _is_there(self, artefact: Artefact) -> bool:
        if self.mirror is not None:
            return self.mirror.objects.read(f"{artefact.ref}/{MANIFEST_FILE}") is not None
        return (artefact.files / MANIFEST_FILE).is_file()

    # crawl order

    def crawl_order(self) -> dict[str, int]:
        """Crawl → number, from 1; append-only (a number is given when a crawl's dedup index first commits)."""
        if self.mirror is not None:
            return dict(self.mirror.crawls())
        path = self.root / _CRAWL_ORDER
        return dict(read_json(path)) if path.exists() else {}

    def number_crawl(self, crawl: str) -> int:
        """Give the crawl the next number, or return the one it has."""
        if self.mirror is not None:
            return self.mirror.number_crawl(crawl)
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f".{_CRAWL_ORDER}.lock"):
            order = self.crawl_order()
            if crawl not in order:
                order[crawl] = len(order) + 1
                write_json(self.root / _CRAWL_ORDER, order)
            return order[crawl]


def _lease_key(asset: str, partition: str, identity: str) -> str:
    return f".leases/{asset}/{partition}/{identity}"
