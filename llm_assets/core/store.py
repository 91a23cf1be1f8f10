"""The store: ``<root>/<asset>/<partition>/<identity>/`` holds one complete artefact each.

A run writes in ``.work/``, under a lock; the finished folder is renamed into place with its manifest already inside, so
the rename is the commit. Only after the gates have passed is ``CURRENT.<recipe>`` swapped: readers see complete, accepted
artefacts or none.
"""

import errno
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from llm_assets.core.artefact import Artefact, WorkDir
from llm_assets.core.errors import StoreBusy, StoreError
from llm_assets.core.jsonio import fsync_folder, read_json, write_atomic, write_json
from llm_assets.core.manifest import GATES_FILE, MANIFEST_FILE, Manifest
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

    # reading

    def folder(self, asset: str, partition: str, identity: str) -> Path:
        """Where an artefact is or would be."""
        return self.root / asset / partition / identity

    def find(self, asset: str, partition: str, identity: str) -> Artefact | None:
        """The complete artefact of this identity, accepted or not; None where there is none."""
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
        names = [identity, *(path.name for path in (self.root / asset / partition).glob(f"{identity}.*"))]
        numbers = {int(name.partition(".")[2] or 0): name for name in names if (name.partition(".")[2] or "0").isdecimal()}
        found = [(number, self.find(asset, partition, name)) for number, name in sorted(numbers.items())]
        return [(number, artefact) for number, artefact in found if artefact is not None]

    def _pointer(self, asset: str, partition: str) -> Path:
        return self.root / asset / partition / f"CURRENT.{self.recipe}"

    def current(self, asset: str, partition: str = UNPARTITIONED) -> Artefact | None:
        """The accepted artefact that readers see; None before the first. ``StoreError`` where the pointer dangles."""
        try:
            identity = self._pointer(asset, partition).read_text("utf-8").strip()
        except FileNotFoundError:
            return None
        artefact = self.find(asset, partition, identity)
        if artefact is None:
            raise StoreError(
                f"{asset}[{partition}]: CURRENT names {identity}, which is not in {self.root}; materialise {asset} again"
            )
        return artefact

    def partitions(self, asset: str) -> list[str]:
        """Partitions with a current artefact, in crawl order (crawls without a number come last, by name)."""
        pointers = (self.root / asset).glob(f"*/CURRENT.{self.recipe}")
        return self.in_crawl_order(pointer.parent.name for pointer in pointers)

    def in_crawl_order(self, crawls: Iterable[str]) -> list[str]:
        """Crawls by their number; those without one come last, by name."""
        order = self.crawl_order()
        return sorted(crawls, key=lambda name: (order.get(name, len(order) + 1), name))

    def gates(self, artefact: Artefact) -> list[Gate]:
        """The results of the last judging of an artefact; empty before it."""
        path = artefact.files / GATES_FILE
        return [Gate(**gate) for gate in read_json(path)] if path.exists() else []

    def is_held(self, asset: str, partition: str, identity: str) -> bool:
        """Whether a process is making this identity now."""
        path = self.work_folder(asset, partition) / f"{identity}.lock"
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

    def publish(self, work: WorkDir, manifest: Manifest) -> Artefact:
        """Move a finished work folder into the store: manifest inside, fsync, one rename; then drop the work folder."""
        target = self.folder(manifest.asset, manifest.partition, manifest.identity)
        target.parent.mkdir(parents=True, exist_ok=True)
        manifest.save(work.files)
        for folder in {path.parent for path in work.files.rglob("*")}:
            fsync_folder(folder)
        if target.exists():  # only a folder without a manifest can be here: the caller looked, under the lock
            shutil.rmtree(target)
        work.files.rename(target)
        fsync_folder(target.parent)
        self.drop(work)
        return Artefact(manifest.asset, manifest.partition, manifest.identity, target)

    def drop(self, work: WorkDir) -> None:
        """Remove a work folder that nobody goes on with."""
        shutil.rmtree(work.files.parent)

    def judge(self, artefact: Artefact, gates: list[Gate]) -> None:
        """Record gate results beside the manifest."""
        write_json(
            artefact.files / GATES_FILE,
            [
                {"name": g.name, "passed": g.passed, "message": g.message, "metadata": g.metadata, "blocking": g.blocking}
                for g in gates
            ],
        )

    def accept(self, artefact: Artefact) -> None:
        """Swap ``CURRENT``: from here on readers see this artefact.

        Raises ``StoreError``, and leaves the pointer as it was, where ``gc`` took the artefact away meanwhile.
        """
        pointer = self._pointer(artefact.asset, artefact.partition)
        before = pointer.read_bytes() if pointer.exists() else b""
        write_atomic(pointer, artefact.identity.encode() + b"\n")
        if (artefact.files / MANIFEST_FILE).is_file():
            return
        if before:
            write_atomic(pointer, before)
        else:
            pointer.unlink()
        raise StoreError(f"{artefact.ref} was removed from the store while it was judged; start its run again")

    def forget(self, asset: str, partition: str) -> None:
        """Remove ``CURRENT``: readers see nothing any more; the artefact stays until ``gc``."""
        self._pointer(asset, partition).unlink(missing_ok=True)

    # crawl order

    def crawl_order(self) -> dict[str, int]:
        """Crawl → number, from 1; append-only (a number is given when a crawl's dedup index first commits)."""
        path = self.root / _CRAWL_ORDER
        return dict(read_json(path)) if path.exists() else {}

    def number_crawl(self, crawl: str) -> int:
        """Give the crawl the next number, or return the one it has."""
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f".{_CRAWL_ORDER}.lock"):
            order = self.crawl_order()
            if crawl not in order:
                order[crawl] = len(order) + 1
                write_json(self.root / _CRAWL_ORDER, order)
            return order[crawl]
