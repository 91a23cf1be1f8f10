"""The manifest: what an artefact is, what it was made of, and what making it cost.

It is written last. A folder in the store without one is not an artefact.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from llm_assets.core.jsonio import digest, read_json, write_json

MANIFEST_FILE = "manifest.json"
GATES_FILE = "gates.json"  # written after the manifest by whoever judges the artefact; not part of the content
ACCOUNT_FOLDER = "account"  # views of the content for people and for questions (samples, row index, data docs); no content


class FileEntry(BaseModel):
    """One file: size in bytes and ``sha256`` as hex."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str


class InputEntry(BaseModel):
    """One input: which artefact was read, and the fingerprint of it that the identity took in."""

    model_config = ConfigDict(frozen=True)

    asset: str
    partition: str
    identity: str
    digest: str
    fingerprint: str


class Manifest(BaseModel):
    """What is known of one artefact. ``digest`` is over its files' names and contents (the Dagster data version)."""

    model_config = ConfigDict(frozen=True)

    asset: str
    partition: str
    identity: str
    digest: str
    code_version: str
    libraries: dict[str, str] = {}
    config: dict[str, Any] = {}
    inputs: list[InputEntry] = []
    files: dict[str, FileEntry] = {}
    counts: dict[str, int] = {}
    metrics: dict[str, Any] = {}
    started_at: str = ""
    seconds: float = 0.0
    device: str = "cpu"
    gpu_hours: float = 0.0
    peak_memory_bytes: int = 0
    run_id: str = ""
    recipe: str = ""
    format: int = 1

    def save(self, folder: Path) -> None:
        """Write ``manifest.json`` atomically."""
        write_json(folder / MANIFEST_FILE, self.model_dump(mode="json"))

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read ``manifest.json``; FileNotFoundError where the folder is no artefact."""
        return cls.model_validate(read_json(folder / MANIFEST_FILE))


def hash_file(path: Path) -> FileEntry:
    """Size and SHA-256 of one file, which is on disk afterwards (fsync)."""
    hasher = hashlib.sha256()
    size = 0
    with open(path, "rb") as handle:
        while chunk := handle.read(1 << 20):
            hasher.update(chunk)
            size += len(chunk)
        os.fsync(handle.fileno())
    return FileEntry(bytes=size, sha256=hasher.hexdigest())


# report.json carries timings and gates.json is written later: neither is content.
_NOT_CONTENT = {MANIFEST_FILE, GATES_FILE, "report.json"}


def hash_files(folder: Path) -> dict[str, FileEntry]:
    """Hash and fsync every content file below the folder, by relative POSIX name, sorted."""
    account = folder / ACCOUNT_FOLDER
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in _NOT_CONTENT and account not in p.parents)
    with ThreadPoolExecutor(max_workers=4) as pool:
        entries = list(pool.map(hash_file, paths))
    return {path.relative_to(folder).as_posix(): entry for path, entry in zip(paths, entries, strict=True)}


def content_digest(files: dict[str, FileEntry]) -> str:
    """SHA-256 over the sorted (name, sha256) pairs, as hex."""
    return digest({name: entry.sha256 for name, entry in files.items()})
