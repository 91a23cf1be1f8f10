"""A store in a bucket, as one machine sees it: a folder that holds what was fetched, what was made here, and work in progress.

Stages see local paths only. What is in the bucket counts: an artefact is there once its ``manifest.json`` is (put last, after
all its files), and its folder here appears whole, or not at all, once every file has the digest that it was sent with. Layout
below the URL:

- ``<asset>/<partition>/<identity>/``: the artefact's files, ``.files.json`` (size and SHA-256 of each), ``manifest.json``,
  ``gates.json``
- ``.current/<recipe>/<asset>/<partition>``: the identity that readers see
- ``.crawls/<number>``: the name of the crawl that has this number
- ``.leases/<asset>/<partition>/<identity>.<n>``: who makes it now

Here, ``.remote/<asset>/<partition>/<identity>/`` holds the manifest, the report and the list of files (the head) of what was
looked at, ``stamps.json`` (size and time of the files that were checked: a file that differs is hashed again) and, until an
upload has ended, ``uploaded``: the names that are through.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

from filelock import FileLock

from llm_assets.core.errors import StoreError
from llm_assets.core.jsonio import read_json, write_atomic, write_json
from llm_assets.core.lease import machine_name
from llm_assets.core.manifest import GATES_FILE, MANIFEST_FILE, FileEntry, Manifest, hash_file
from llm_assets.core.objects import Objects, check_url
from llm_assets.core.report import REPORT_FILE

MARK, FILES, REMOTE, CURRENT = ".mirror.json", ".files.json", ".remote", ".current"
_UPLOADED, _STAMPS = "uploaded", "stamps.json"
_AT_ONCE = 32  # files between two looks at the lease
_CRAWLS = ".crawls"


def mirror_folder(url: str) -> Path:
    """The folder of this machine for a store in a bucket, made ready in ``LLM_ASSETS_CACHE`` (or the user's cache folder)."""
    url = check_url(url)
    chosen = os.environ.get("LLM_ASSETS_CACHE") or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/llm_assets"
    name = f"{re.sub('[^A-Za-z0-9]+', '-', url)}-{sha256(url.encode()).hexdigest()[:8]}"
    root = Path(chosen).expanduser().resolve() / name / "store"
    if not (root / MARK).is_file():
        try:
            write_json(root / MARK, {"url": url, "machine": uuid4().hex})
        except OSError as error:
            raise StoreError(f"{root} can't be written: {error.strerror}; set LLM_ASSETS_CACHE to a folder of yours") from error
    return root


def behind(root: Path) -> "Mirror | None":
    """The mirror that a folder is; None for a store that lies in it."""
    return Mirror(root) if (root / MARK).is_file() else None


class Mirror:
    """The bucket behind one folder. ``ref`` is ``asset/partition/identity``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        said = read_json(root / MARK)
        self.objects = Objects(said["url"])
        self.machine = machine_name(said["machine"])
        self._heads = root / REMOTE

    def about(self, ref: str) -> Path:
        """Where the head of an artefact is kept: its manifest and report."""
        return self._heads / ref

    # reading

    def head(self, ref: str) -> bool:
        """Whether the artefact is in the bucket; its head is then here. What is here of another, or of none any more, goes."""
        manifest = self.objects.read(f"{ref}/{MANIFEST_FILE}")
        kept, made = self.about(ref) / MANIFEST_FILE, self.root / ref / MANIFEST_FILE
        if manifest is None:
            if not self.is_pending(ref):
                self.forget(ref)
            return False
        if any(path.is_file() and path.read_bytes() != manifest for path in (kept, made)):
            self.forget(ref)
        if kept.is_file():
            return True
        for name in (FILES, REPORT_FILE):
            data = self.objects.read(f"{ref}/{name}")
            if data is not None:
                write_atomic(kept.with_name(name), data)
        write_atomic(kept, manifest)
        return True

    def fetch(self, ref: str) -> Path:
        """The folder of an artefact with all its files, each with the digest it was sent with; fetched where it is not."""
        about, target = self.about(ref), self.root / ref
        if not (about / MANIFEST_FILE).is_file() and not self.head(ref):
            raise StoreError(f"the artefact {ref} is not in {self.objects.url}; rebuild what refers to it")
        with FileLock(about / "fetch.lock"):
            whole = (target / MANIFEST_FILE).is_file()
            place = target if whole else about / "incoming"
            stamps = read_json(about / _STAMPS) if (about / _STAMPS).is_file() else {}
            wanted = self._wanted(ref)
            missing = [name for name, entry in wanted.items() if not _holds(place / name, entry, stamps.get(name))]
            self._download(ref, place, {name: wanted[name] for name in missing})
            checked = {name: _stamp(place / name) for name in wanted}
            if checked != stamps:
                write_json(about / _STAMPS, checked)
            if not whole:
                shutil.copyfile(about / MANIFEST_FILE, place / MANIFEST_FILE)
                target.parent.mkdir(parents=True, exist_ok=True)
                if target.exists():  # what was left of an artefact whose files were removed by hand
                    shutil.rmtree(target)
                place.rename(target)
        return target

    def _wanted(self, ref: str) -> dict[str, FileEntry]:
        path = self.about(ref) / FILES
        if not path.is_file():
            raise StoreError(f"{ref} in {self.objects.url} has no list of files; remove its manifest.json and rebuild it")
        return {name: FileEntry(**entry) for name, entry in read_json(path).items()}

    def _download(self, ref: str, place: Path, wanted: dict[str, FileEntry]) -> None:
        place.mkdir(parents=True, exist_ok=True)
        names = list(wanted)
        for batch in (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)):
            parts = {name: place / f"{name}.part" for name in batch}
            for part in parts.values():
                part.parent.mkdir(parents=True, exist_ok=True)
            self.objects.download([(f"{ref}/{name}", part) for name, part in parts.items()])
            for name, part in parts.items():
                if hash_file(part) != wanted[name]:
                    part.unlink()
                    raise StoreError(
                        f"{self.objects.url}/{ref}/{name} is not what was put there (its SHA-256 differs); "
                        "remove the artefact's manifest.json from the bucket and rebuild it"
                    )
                part.replace(place / name)

    def forget(self, ref: str) -> None:
        """Remove what is here of an artefact that is not in the bucket any more: manifests first."""
        for folder in (self.root / ref, self.about(ref)):
            (folder / MANIFEST_FILE).unlink(missing_ok=True)
            if folder.exists():
                shutil.rmtree(folder)

    def sizes(self) -> dict[str, int]:
        """Bytes in the bucket by ref, of artefacts and of what is left of uploads that were cut off."""
        found: dict[str, int] = {}
        for name, size in self.objects.below("").items():
            parts = name.split("/")
            if len(parts) > 3 and not name.startswith("."):
                ref = "/".join(parts[:3])
                found[ref] = found.get(ref, 0) + size
        return found

    def refs(self) -> list[str]:
        """All artefacts in the bucket."""
        end = f"/{MANIFEST_FILE}"
        return [name.removesuffix(end) for name in self.objects.below("") if name.endswith(end) and name.count("/") == 3]

    def pointers(self) -> dict[str, str]:
        """The refs that readers see, under whatever recipe, by the name of the pointer."""
        found = {}
        for name in self.objects.below(CURRENT):
            data = self.objects.read(name)
            if data is not None:
                found[name] = "/".join([*name.split("/")[2:], data.decode().strip()])
        return found

    def sweep(self) -> list[str]:
        """Forget what this machine still has of artefacts that are gone from the bucket; returns their refs."""
        there = set(self.refs())
        places = [*self.root.glob(f"*/*/*/{MANIFEST_FILE}"), *self._heads.glob(f"*/*/*/{MANIFEST_FILE}")]
        here = {"/".join(path.parts[-4:-1]) for path in places}
        gone = [ref for ref in sorted(here - there) if not self.is_pending(ref)]
        for ref in gone:
            self.forget(ref)
        return gone

    # writing

    def begin(self, ref: str) -> None:
        """Say that what is about to be committed here is to be uploaded."""
        write_atomic(self.about(ref) / _UPLOADED, b"")

    def is_pending(self, ref: str) -> bool:
        """Whether an upload of this machine has not come to its end."""
        return (self.about(ref) / _UPLOADED).exists()

    def pending(self, asset: str, partition: str) -> list[str]:
        """Artefacts of a partition that were committed here, and whose upload was cut off."""
        marks = (self._heads / asset / partition).glob(f"*/{_UPLOADED}")
        refs = sorted(f"{asset}/{partition}/{mark.parent.name}" for mark in marks)
        for ref in refs:
            if not (self.root / ref / MANIFEST_FILE).is_file():  # killed before its commit: there is nothing to upload
                (self.about(ref) / _UPLOADED).unlink()
        return [ref for ref in refs if (self.root / ref / MANIFEST_FILE).is_file()]

    def upload(self, ref: str, check: Callable[[], None]) -> None:
        """Put a committed artefact into the bucket: files, their list, and the manifest last, which makes it visible.

        ``check`` is called before each batch and raises where the lease was lost. A killed upload goes on with the files that
        are missing. Where another machine has committed the same identity meanwhile, its artefact counts and this one goes.
        """
        folder, about = self.root / ref, self.about(ref)
        wanted = _entries(folder)
        done = set((about / _UPLOADED).read_text("utf-8").splitlines())
        self._send(ref, [name for name in wanted if name not in done], check)
        there = self.objects.below(ref)  # what a killed upload had sent may have been collected as nobody's since
        self._send(ref, [name for name, entry in wanted.items() if there.get(f"{ref}/{name}") != entry.bytes], check)
        check()
        write_json(about / FILES, {name: entry.model_dump() for name, entry in wanted.items()})
        self.objects.upload([(about / FILES, f"{ref}/{FILES}")])
        write_json(about / _STAMPS, {name: _stamp(folder / name) for name in wanted})
        manifest = (folder / MANIFEST_FILE).read_bytes()
        ours = (
            self.objects.create(f"{ref}/{MANIFEST_FILE}", manifest) or self.objects.read(f"{ref}/{MANIFEST_FILE}") == manifest
        )
        (about / _UPLOADED).unlink()
        if not ours:
            self.forget(ref)
            self.head(ref)
            return
        for name in (REPORT_FILE, MANIFEST_FILE):
            if (folder / name).is_file():
                shutil.copyfile(folder / name, about / name)

    def _send(self, ref: str, names: list[str], check: Callable[[], None]) -> None:
        for batch in (names[start : start + _AT_ONCE] for start in range(0, len(names), _AT_ONCE)):
            check()
            self.objects.upload([(self.root / ref / name, f"{ref}/{name}") for name in batch])
            with open(self.about(ref) / _UPLOADED, "a", encoding="utf-8") as handle:
                handle.write("".join(f"{name}\n" for name in batch))

    def remove(self, ref: str) -> None:
        """Take an artefact out of the bucket and from this machine: its manifest first, so that no half of it is seen."""
        self.objects.remove([f"{ref}/{MANIFEST_FILE}"])
        self.objects.remove(list(self.objects.below(ref)))
        (self.about(ref) / _UPLOADED).unlink(missing_ok=True)
        self.forget(ref)

    # gates, pointers, numbers

    def read(self, name: str, here: Path) -> bytes | None:
        """A small object, and the same beside what is here, where people and pages look."""
        data = self.objects.read(name)
        if data is None:
            here.unlink(missing_ok=True)
        elif here.parent.is_dir() and not (here.is_file() and here.read_bytes() == data):
            write_atomic(here, data)
        return data

    def gates(self, ref: str) -> bytes | None:
        """``gates.json`` of an artefact, kept beside its head and its files, too."""
        data = self.read(f"{ref}/{GATES_FILE}", self.about(ref) / GATES_FILE)
        if data is not None and (self.root / ref).is_dir():
            write_atomic(self.root / ref / GATES_FILE, data)
        return data

    def crawls(self) -> Iterator[tuple[str, int]]:
        """(crawl, its number), in order. Numbers are never given again, so those that were read once are kept."""
        for number in self.objects.names(_CRAWLS):
            kept = self._heads / _CRAWLS / number
            data = kept.read_bytes() if kept.is_file() else self.objects.read(f"{_CRAWLS}/{number}")
            if data is not None:
                if not kept.is_file():
                    write_atomic(kept, data)
                yield data.decode(), int(number)

    def number_crawl(self, crawl: str) -> int:
        """The number of a crawl, given now where it has none: of two machines that want the same number, one gets it."""
        while True:
            order = dict(self.crawls())
            if crawl in order:
                return order[crawl]
            number = len(order) + 1
            if self.objects.create(f"{_CRAWLS}/{number:06}", crawl.encode()):
                return number


def _entries(folder: Path) -> dict[str, FileEntry]:
    """Every file of a committed artefact but its manifest and gates; the digests of its content are the manifest's."""
    known = Manifest.load(folder).files
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST_FILE, GATES_FILE))
    names = [path.relative_to(folder).as_posix() for path in paths]
    return {name: known.get(name) or hash_file(path) for name, path in zip(names, paths, strict=True)}


def _stamp(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _holds(path: Path, entry: FileEntry, stamp: list[int] | None) -> bool:
    """Whether a file is the one that was sent: untouched since it was checked, or of the right digest."""
    if not path.is_file():
        return False
    found = _stamp(path)
    return found == stamp or (found[0] == entry.bytes and hash_file(path) == entry)
