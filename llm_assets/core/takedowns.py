"""What was taken down: ``<store>/takedowns/<id>/``, append-only, beside the artefacts, which never change.

``request.json`` is written before anything is done: what was asked and by whom, which documents, what was current then, which
models had read them. ``replaced.jsonl`` grows as artefacts are made anew without them, ``redacted.jsonl`` as files that stay
are changed. ``receipt.json``, signed, is the last. ``remembered/`` keeps, for data that must go, which documents a training
read of it: ids and counts, no text.

A reader of an older crawl that was made anew is told what it read before, if nothing that was removed concerned it
(``as_read``): so its identity stays, and it isn't rebuilt.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_assets.core.artefact import Artefact, Inputs
from llm_assets.core.jsonio import fsync_folder, read_json, write_json

if TYPE_CHECKING:
    import polars as pl

FOLDER = "takedowns"
REQUEST_FILE, RECEIPT_FILE, REPLACED_FILE = "request.json", "receipt.json", "replaced.jsonl"
REDACTED_FILE = "redacted.jsonl"
_REMEMBERED = "remembered"
EVERYONE = ""  # among the concerned: readers that are no crawl


@dataclass(frozen=True)
class Replaced:
    """An artefact that was made anew. ``concerned``: the later crawls that what was removed, or came back, concerns."""

    asset: str
    partition: str
    old: str
    old_digest: str
    new: str
    new_digest: str
    concerned: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What was asked, and what was found when it was.

    ``asked``: kind → values, as tombstones have them. ``documents``: doc_id → crawl and payload digest. ``before``: name of an
    asset and crawl → (identity, digest) of all that was current. ``affected``: ref of a model → how it came to read them.
    ``must_go``: refs of the versions that hold them. ``crawls``: those that hold them.
    """

    id: str
    recipe: str
    by: str
    asked_at: str
    reason: str
    asked: dict[str, list[str]]
    documents: dict[str, dict[str, str]] = field(default_factory=dict)
    crawls: tuple[str, ...] = ()
    before: dict[str, tuple[str, str]] = field(default_factory=dict)
    affected: dict[str, dict[str, Any]] = field(default_factory=dict)
    must_go: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Request":
        """From what ``request.json`` holds."""
        before = {name: (identity, digest) for name, (identity, digest) in data["before"].items()}
        return cls(**{**data, "before": before, "crawls": tuple(data["crawls"]), "must_go": tuple(data["must_go"])})


class Takedowns:
    """All records below a store's root."""

    def __init__(self, root: Path) -> None:
        self.folder = root / FOLDER

    def begin(self, request: Request) -> None:
        """Write a request down."""
        write_json(self.folder / request.id / REQUEST_FILE, asdict(request))

    def requests(self) -> list[Request]:
        """All of them, oldest first."""
        return [Request.of(read_json(path)) for path in sorted(self.folder.glob(f"*/{REQUEST_FILE}"))]

    def is_done(self, name: str) -> bool:
        """Whether a take-down has its receipt."""
        return (self.folder / name / RECEIPT_FILE).is_file()

    def replace(self, name: str, replaced: Replaced) -> None:
        """Add a line to what a take-down replaced."""
        self._append(name, REPLACED_FILE, asdict(replaced))

    def redact(self, name: str, file: Mapping[str, str]) -> None:
        """Add a line to the files that a take-down changed in place: ``file``, and its sha256 ``before`` and ``after``."""
        self._append(name, REDACTED_FILE, file)

    def redacted(self, name: str) -> list[dict[str, str]]:
        """The files that a take-down changed in place."""
        path = self.folder / name / REDACTED_FILE
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []

    def _append(self, name: str, file: str, row: Mapping[str, Any]) -> None:
        with open(self.folder / name / file, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(row) + "\n")
            handle.flush()
            os.fsync(handle.fileno())
        fsync_folder(self.folder / name)

    def replaced(self, name: str = "*") -> Iterator[Replaced]:
        """What one take-down, or all of them, replaced."""
        for path in sorted(self.folder.glob(f"{name}/{REPLACED_FILE}")):
            for line in path.read_text("utf-8").splitlines():
                row = json.loads(line)
                yield Replaced(**{**row, "concerned": tuple(row["concerned"])})

    def affected(self) -> dict[str, list[str]]:
        """Ref of each model that read what was taken down → the take-downs, oldest first."""
        found: dict[str, list[str]] = {}
        for request in self.requests():
            for ref in request.affected:
                found.setdefault(ref, []).append(request.id)
        return found

    def must_go(self) -> set[str]:
        """Refs of the artefacts that hold what was taken down, and that no reader needs any more."""
        return {ref for request in self.requests() if self.is_done(request.id) for ref in request.must_go}

    def remember(self, name: str, ref: str, table: "pl.DataFrame") -> None:
        """Keep the documents that trainings read of a data artefact: ``doc_id``, ``rows``, ``readings``."""
        path = self.folder / name / _REMEMBERED / f"{ref.replace('/', '.')}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        table.write_parquet(path)

    def remembered(self, ref: str) -> "pl.DataFrame | None":
        """What was kept of a data artefact that is gone."""
        import polars as pl  # a code server reads what was taken down, and needs no tables

        paths = sorted(self.folder.glob(f"*/{_REMEMBERED}/{ref.replace('/', '.')}.parquet"))
        if not paths:
            return None

        return pl.read_parquet(paths[0])


def as_read(artefact: Artefact, inputs: Inputs, config: object) -> str:
    """Fingerprint of an older crawl: the digest that it had when what concerns the reading crawl changed last."""
    same = next((inputs.one(name) for name in ("cleaned_corpus", "raw_crawl") if inputs.many(name)), None)
    return _before(artefact, inputs, EVERYONE if same is None else same.partition)


def as_learnt(artefact: Artefact, inputs: Inputs, config: object) -> str:
    """Fingerprint of a crawl that a vocabulary was learnt from: a take-down does not change it, as it does not a model."""
    return _before(artefact, inputs, EVERYONE)


def _before(artefact: Artefact, inputs: Inputs, reader: str) -> str:
    digest = artefact.manifest().digest
    if inputs.store is None or not (inputs.store / FOLDER).is_dir():
        return digest
    made = {
        one.new_digest: one
        for one in Takedowns(inputs.store).replaced()
        if (one.asset, one.partition) == (artefact.asset, artefact.partition)
    }
    seen: set[str] = set()
    while digest in made and digest not in seen and reader not in made[digest].concerned:
        seen.add(digest)
        digest = made[digest].old_digest
    return digest
