"""Notices code that changed while its code version did not.

An artefact's identity takes in its stage's code version, which a person raises. So that nobody forgets, ``code_versions.json``
holds for each asset the version and a hash of the syntax trees (comments and formatting don't count) of the modules
that decide its result. After raising a version: ``llm-assets code-versions``. A change that cannot alter a result (a move,
a new name) needs no rebuild: ``--same-results`` records it with its reason.
"""

import ast
import hashlib
import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.spec import AssetSpec

PACKAGE = Path(__file__).parents[1]
DECIDING = ("llm_assets.stages.", "llm_assets.lm.", "llm_assets.sql.")
_IMPORTS = re.compile(rb"^[ \t]*(?:from (llm_assets[\w.]*) import (\([^)]*\)|[^\n]*)|import (llm_assets[^\n]*))", re.MULTILINE)
_WORDS = re.compile(r"[\w.]+")
RECORD = Path(__file__).with_name("code_versions.json")


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node) is not None
        ):
            node.body = node.body[1:] or [ast.Pass()]
    return tree


def _files(module: str) -> list[Path]:
    found = find_spec(module)
    if found is None or found.origin is None:
        raise ValueError(f"a spec names the code {module!r}, which is no module")
    origin = Path(found.origin)
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def _imported(tree: ast.Module) -> set[str]:
    """The modules of the floors that decide results (stages, lm, sql) that a module imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith(DECIDING) and _is_module(name)}


@cache
def _is_module(name: str) -> bool:
    relative = PACKAGE.parent / name.replace(".", "/")
    return relative.with_suffix(".py").is_file()


def deciding_files(spec: AssetSpec) -> list[Path]:
    """The files whose code decides an asset's content: the entry's module, ``spec.code``, and what these import, at any depth,
    of the floors that decide results. Gates are not among them, unless the entry imports them.
    """
    return _closure((spec.module, *spec.code), _read)


def _read(path: Path) -> tuple[set[str], bytes]:
    """What a file imports, and its syntax tree as bytes. A file is read once, until it changes."""
    state = path.stat()
    return _parsed(path, state.st_mtime_ns, state.st_size)


@cache
def _parsed(path: Path, _time: int, _size: int) -> tuple[set[str], bytes]:
    tree = ast.parse(path.read_bytes())
    return _imported(tree), ast.dump(_without_docstrings(tree)).encode()


def _closure(modules: Iterable[str], read: Callable[[Path], tuple[set[str], bytes]]) -> list[Path]:
    waiting = {path for module in modules for path in _files(module)}
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        found.add(path)
        for module in read(path)[0]:
            waiting |= set(_files(module)) - found
    return sorted(found)


def _as_text(path: Path) -> tuple[set[str], bytes]:
    """As ``_read``, but the file as it stands: parsing takes a fifth of a second for a stage, which each launch would pay."""
    text = path.read_bytes()
    names: set[str] = set()
    for module, members, alone in _IMPORTS.findall(text):
        names |= {module.decode(), *_WORDS.findall(alone.decode())}
        names |= {f"{module.decode()}.{name}" for name in _WORDS.findall(members.decode())}
    return {name for name in names if name.startswith(DECIDING) and _is_module(name)}, text


def code_hash(spec: AssetSpec) -> str:
    """SHA-256 over the syntax trees of ``deciding_files``, 16 hex digits."""
    return _hash(deciding_files(spec), _read)


def code_of_module(module: str) -> str:
    """A hash of the text of one module and of what it imports of the floors that decide results. Comments count."""
    return _hash(_closure((module,), _as_text), _as_text)


def _hash(paths: Iterable[Path], read: Callable[[Path], tuple[set[str], bytes]]) -> str:
    hasher = hashlib.sha256()
    for path in paths:
        inside = path.is_relative_to(PACKAGE.parent)
        hasher.update((path.relative_to(PACKAGE.parent).as_posix() if inside else path.name).encode())
        hasher.update(read(path)[1])
    return hasher.hexdigest()[:16]


def current(specs: dict[str, AssetSpec]) -> dict[str, dict[str, str]]:
    """Version and code hash of every asset, as the record holds them."""
    return {name: {"version": spec.code_version, "code": code_hash(spec)} for name, spec in sorted(specs.items())}


def changed_without_version(specs: dict[str, AssetSpec]) -> list[str]:
    """Sentences on assets whose code changed and whose version did not, or that are not on record."""
    record = read_json(RECORD) if RECORD.exists() else {}
    found = []
    for name, now in current(specs).items():
        then = record.get(name)
        if then is None:
            found.append(f"{name} is not on record; run: llm-assets code-versions")
        elif then["code"] != now["code"]:
            todo = "" if then["version"] != now["version"] else "raise its code_version, then "
            found.append(f"the code of {name} changed; {todo}run: llm-assets code-versions")
    return found


def write_record(specs: dict[str, AssetSpec], same_results: str = "") -> Path:
    """Write the record; returns where.

    ``same_results``: why changed code gives the results it gave, kept beside each asset whose version stays. Without it
    a changed asset of the old version is an ``InputError``, and nothing is written.
    """
    record = read_json(RECORD) if RECORD.exists() else {}
    found = current(specs)
    for name, now in found.items():
        then = record.get(name, now)
        if then["version"] != now["version"]:
            continue
        if then["code"] == now["code"]:
            found[name] = then
        elif same_results.strip():
            now["same_results"] = same_results.strip()
        else:
            raise InputError(
                f"the code of {name} changed and its code_version is still {now['version']}: raise it, or say why nothing needs"
                ' rebuilding with --same-results "why"'
            )
    write_json(RECORD, found)
    return RECORD
