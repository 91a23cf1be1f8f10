"""Which shards are done: a marker a shard, holding what the shard was made of and which files it left.

datatrove's own markers are empty files, true of whatever ran last in their folder. Ours hold a key, the hash of everything that
decides a shard: the step and its code, its arguments, the recipe section without execution fields, the digests of the
inputs. A marker is believed if its key is today's and the files that it names are there in the size it names (a power cut
may leave a marker and lose the tail of a file). All others are removed with their files, and datatrove's beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_assets.core.artefact import Artefact
from llm_assets.core.code_guard import code_of_module
from llm_assets.core.jsonio import digest, read_json, write_json
from llm_assets.core.recipe.base import Section, identity_values


def shard_key(
    entry: str, arguments: Mapping[str, Any], tasks: int, config: Section | None = None, inputs: Sequence[Artefact] = ()
) -> str:
    """Hash of what decides the shards: 64 hex digits.

    ``arguments`` must be free of paths, which say where and not what; ``config`` counts without its execution fields,
    ``inputs`` by their content, ``entry`` (``module:function``) by its module's code and what that imports of stages and lm.
    """
    return digest(
        {
            "entry": entry,
            "code": code_of_module(entry.partition(":")[0]),
            "arguments": dict(arguments),
            "tasks": tasks,
            "config": identity_values(config) if config is not None else {},
            "inputs": [[artefact.asset, artefact.partition, artefact.digest()] for artefact in inputs],
        }
    )


class Markers:
    """The markers of one step's folder under one key."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder / "done"
        self.completions = folder / "datatrove" / "completions"
        self.key = key
        self._seen: set[str] = set()

    def set(self, rank: int, files: Iterable[Path]) -> None:
        """Mark a shard as done; ``files`` are those that it wrote."""
        sizes = {str(path): path.stat().st_size for path in files}
        write_json(self.folder / f"{rank:05d}.json", {"key": self.key, "files": sizes})

    def valid(self, rank: int) -> bool:
        """Whether the shard is done under this key and its files are whole."""
        return self._valid(self.folder / f"{rank:05d}.json")

    def count(self) -> int:
        """How many shards are done; each marker is read once, so that this may be asked often."""
        for path in self.folder.glob("[0-9]*.json"):
            if path.stem not in self._seen and self._valid(path):
                self._seen.add(path.stem)
        return len(self._seen)

    def missing(self, tasks: int) -> list[int]:
        """Ranks below ``tasks`` that are not done."""
        return [rank for rank in range(tasks) if not self.valid(rank)]

    def sweep(self) -> None:
        """Remove what another key left, files included, and let datatrove skip exactly the shards that are done."""
        for path in self.folder.glob("[0-9]*.json"):
            if not self._valid(path):
                for name in _files(path):
                    Path(name).unlink(missing_ok=True)
                path.unlink()
        for path in self.completions.glob("[0-9]*"):
            if not self.valid(int(path.name)):
                path.unlink()

    def _valid(self, path: Path) -> bool:
        told = _read(path)
        if told.get("key") != self.key:
            return False
        return all(Path(name).is_file() and Path(name).stat().st_size == size for name, size in told["files"].items())


def _files(path: Path) -> list[str]:
    return list(_read(path).get("files", {}))


def _read(path: Path) -> dict[str, Any]:
    try:
        told = read_json(path)
    except (FileNotFoundError, ValueError):  # not there, or no JSON: no marker of ours
        return {}
    return told if isinstance(told, dict) else {}
