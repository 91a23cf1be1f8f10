"""What a stage is handed: finished artefacts to read, and a work folder to write.

A stage is testable without a store: ``Inputs.of({"raw_crawl": [folder]})`` and ``WorkDir.at(tmp_path)``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from llm_assets.core.errors import StoreError
from llm_assets.core.manifest import MANIFEST_FILE, Manifest, content_digest, hash_files
from llm_assets.core.mirror import Mirror, behind


@dataclass(frozen=True)
class Artefact:
    """One complete artefact: ``files`` is its folder; ``partition`` is the crawl (or "all")."""

    asset: str
    partition: str
    identity: str
    files: Path

    @property
    def about(self) -> Path:
        """The folder with its manifest and report; looking there fetches nothing else of an artefact in a bucket."""
        return self.files

    def manifest(self) -> Manifest:
        """Its manifest, read now."""
        return Manifest.load(self.about)

    def digest(self) -> str:
        """Hash of its content: the manifest's, or of a folder without one (tests, notebooks) computed now."""
        if (self.about / MANIFEST_FILE).exists():
            return self.manifest().digest
        return content_digest(hash_files(self.files))

    def file(self, name: str) -> Path:
        """The path of one file; ``StoreError`` if the artefact has no such file."""
        path = self.files / name
        if not path.exists():
            raise StoreError(f"{self.asset}[{self.partition}] at {self.files} has no {name!r}; rebuild it")
        return path

    def shards(self, pattern: str = "shards/*.parquet") -> list[Path]:
        """Matching files, sorted by name."""
        return sorted(self.files.glob(pattern))

    @property
    def ref(self) -> str:
        """``asset/partition/identity``: how one artefact names another, relative to the store."""
        return f"{self.asset}/{self.partition}/{self.identity}"


class Mirrored(Artefact):
    """An artefact in a bucket: its files come to this machine when somebody first asks where they are."""

    _mirror: Mirror

    def __init__(self, asset: str, partition: str, identity: str, mirror: Mirror) -> None:
        for name, value in {"asset": asset, "partition": partition, "identity": identity, "_mirror": mirror}.items():
            object.__setattr__(self, name, value)

    @cached_property
    def files(self) -> Path:
        """Its folder, with all files fetched and checked."""
        return self._mirror.fetch(self.ref)

    @property
    def about(self) -> Path:
        """Its head on this machine."""
        return self._mirror.about(self.ref)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Artefact) and self.ref == other.ref

    def __hash__(self) -> int:
        return hash(self.ref)


@dataclass(frozen=True)
class Waiting:
    """New crawls that an asset does not read yet, by its recipe: how many tokens they would add, and what they wait for."""

    crawls: tuple[str, ...]
    tokens: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{', '.join(self.crawls)} with {self.tokens:,} new tokens: {' and '.join(self.reasons)}"


@dataclass(frozen=True)
class Inputs:
    """The artefacts a run reads, by asset name; lists are in crawl order. ``waiting``: what it could read, and leaves."""

    artefacts: Mapping[str, Sequence[Artefact]] = field(default_factory=dict)
    store: Path | None = None  # root of the store, for refs between artefacts
    waiting: Waiting | None = None

    @classmethod
    def of(cls, folders: Mapping[str, Sequence[Path]], store: Path | None = None) -> "Inputs":
        """From plain folders, for tests and notebooks; without a manifest the folder's name is taken as the partition."""
        found: dict[str, list[Artefact]] = {}
        for asset, paths in folders.items():
            found[asset] = []
            for path in paths:
                if (path / MANIFEST_FILE).exists():
                    manifest = Manifest.load(path)
                    found[asset].append(Artefact(asset, manifest.partition, manifest.identity, path))
                else:
                    found[asset].append(Artefact(asset, path.name, "0", path))
        return cls(found, store)

    def one(self, asset: str) -> Artefact:
        """The one artefact of an input; ``StoreError`` when there is none, or more."""
        found = self.artefacts.get(asset, ())
        if len(found) != 1:
            raise StoreError(f"exactly one {asset} is needed, {len(found)} found; materialise {asset} first")
        return found[0]

    def maybe(self, asset: str) -> Artefact | None:
        """The artefact of an optional input, or None."""
        found = self.artefacts.get(asset, ())
        return found[0] if found else None

    def many(self, asset: str) -> list[Artefact]:
        """All artefacts of an input (may be none)."""
        return list(self.artefacts.get(asset, ()))

    def resolve(self, ref: str) -> Path:
        """The folder that a ref (``asset/partition/identity``) names: among the inputs, else in the store."""
        folder = self.lookup(ref)
        if folder is None:
            raise StoreError(f"the artefact {ref} is not in the store; rebuild what refers to it")
        return folder

    def lookup(self, ref: str) -> Path | None:
        """What ``resolve`` finds; None where the artefact is in the store no more."""
        for found in self.artefacts.values():
            for artefact in found:
                if artefact.ref == ref:
                    return artefact.files
        if self.store is None:
            return None
        mirror = behind(self.store)
        if mirror is not None:
            return mirror.fetch(ref) if mirror.head(ref) else None
        return self.store / ref if (self.store / ref / MANIFEST_FILE).exists() else None


@dataclass(frozen=True)
class WorkDir:
    """Where a run writes. ``files`` becomes the artefact; ``private`` (checkpoints, spill) is read back by nobody else.

    ``partition`` is the crawl being made, or "all"; ``asset`` tells an entry that serves several assets which it is making.
    """

    files: Path
    private: Path
    partition: str = "all"
    asset: str = ""

    @classmethod
    def at(cls, folder: Path, partition: str = "all", asset: str = "") -> "WorkDir":
        """Make both folders below ``folder`` (kept as they are if a killed run left them)."""
        files, private = folder / "files", folder / "private"
        files.mkdir(parents=True, exist_ok=True)
        private.mkdir(parents=True, exist_ok=True)
        return cls(files, private, partition, asset)
