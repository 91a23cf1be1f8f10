"""Checkpoints of a training: each is whole or it does not exist, wherever the process was killed (case B25).

A checkpoint is two files: ``step-00000120.pt`` (tensors and plain values) and, written after it, the marker
``step-00000120.json`` with its size and SHA-256. Both are written under another name, fsynced and renamed. A state without its
marker, or one that no longer matches it, is passed over for the one before.

Checkpoints are private to the run that wrote them, and are read without unpickling code (``weights_only``).
"""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch

from llm_assets.core.jsonio import fsync_folder, read_json, write_json

_BLOCK = 1 << 20  # bytes


def _state_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}.pt"


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with open(path, "rb") as handle:
        while block := handle.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()


def save(folder: Path, step: int, state: dict[str, Any], *, keep: int = 2) -> Path:
    """Write the state of one step and drop all but the ``keep`` newest complete ones.

    ``state``: nested dicts and lists of tensors, numbers, strings, bools and None. Returns the path of the state.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}; at least one checkpoint must stay")
    folder.mkdir(parents=True, exist_ok=True)
    path = _state_path(folder, step)
    marker = path.with_suffix(".json")
    marker.unlink(missing_ok=True)  # an older state of the same step must not vouch for the new one
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as handle:
            torch.save(state, handle)
            handle.flush()
            os.fsync(handle.fileno())
        record = {"step": step, "bytes": temporary.stat().st_size, "sha256": _sha256(temporary)}
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(folder)
    write_json(marker, record)
    _drop_old(folder, keep)
    return path


def _drop_old(folder: Path, keep: int) -> None:
    complete = steps(folder)
    for step in complete[:-keep]:
        path = _state_path(folder, step)
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
    oldest = complete[-keep:][0]
    for leftover in [*folder.glob("step-*.pt"), *folder.glob(".step-*.tmp")]:  # of a killed run
        digits = leftover.name.lstrip(".").removeprefix("step-").partition(".")[0]
        if leftover.suffix == ".tmp" or (digits.isdigit() and int(digits) < oldest):
            leftover.unlink(missing_ok=True)


def steps(folder: Path) -> list[int]:
    """Steps that have a marker, ascending. Whether their states are whole is only known by reading them."""
    found = (path.stem.removeprefix("step-") for path in folder.glob("step-*.json"))
    return sorted(int(digits) for digits in found if digits.isdigit())


def newest(folder: Path, map_location: str | torch.device = "cpu") -> tuple[int, dict[str, Any]] | None:
    """The newest complete checkpoint as ``(step, state)``, or None. A damaged one is passed over."""
    for step in reversed(steps(folder)):
        path = _state_path(folder, step)
        if _is_whole(path):
            return step, torch.load(path, map_location=map_location, weights_only=True)
    return None


def _is_whole(path: Path) -> bool:
    try:
        record = read_json(path.with_suffix(".json"))
        return bool(path.stat().st_size == record["bytes"] and _sha256(path) == record["sha256"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False
