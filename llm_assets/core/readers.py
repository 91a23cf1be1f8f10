"""Who reads what now. A run writes down the artefacts that it reads, under a lock of its own, for as long as it reads them.

``gc`` takes these for roots: an artefact that stopped being current in mid-run is not taken from under its reader. The lock
ends with its process, so that a killed reader holds nothing.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import StoreError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.manifest import MANIFEST_FILE

_FOLDER = ".readers"
_numbers = count()


@contextmanager
def reading(root: Path, artefacts: Iterable[Artefact]) -> Iterator[None]:
    """Keep ``gc`` off these artefacts, and off all that their manifests name.

    Raises ``StoreError`` where one went between the caller's look-up and the note.
    """
    found = list(artefacts)
    if not found:
        yield
        return
    note = root / _FOLDER / f"{os.uname().nodename}-{os.getpid()}-{next(_numbers)}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(note.with_suffix(".lock"))
    with lock:
        try:
            write_json(note, [artefact.ref for artefact in found])
            gone = [artefact.ref for artefact in found if not (artefact.about / MANIFEST_FILE).is_file()]
            if gone:
                raise StoreError(f"{', '.join(gone)} was removed from the store while this run began; start it again")
            yield
        finally:
            note.unlink(missing_ok=True)
            Path(lock.lock_file).unlink(missing_ok=True)


def in_use(root: Path) -> set[str]:
    """The refs that living readers wrote down. Notes that a killed reader left are removed."""
    found: set[str] = set()
    for note in sorted((root / _FOLDER).glob("*.json")):
        lock = FileLock(note.with_suffix(".lock"))
        try:
            with lock.acquire(timeout=0):
                note.unlink(missing_ok=True)
                Path(lock.lock_file).unlink(missing_ok=True)
        except Timeout:
            if note.is_file():
                found.update(read_json(note))
    return found
