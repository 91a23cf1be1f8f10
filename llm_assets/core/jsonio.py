"""JSON as this project writes it: sorted keys for hashes, indented for people, atomic on disk."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def canonical(value: Any) -> bytes:
    """The one byte string for a JSON value: sorted keys, no spaces, UTF-8. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, as hex."""
    return hashlib.sha256(canonical(value)).hexdigest()


def read_json(path: Path) -> Any:
    """Parse a UTF-8 JSON file."""
    return json.loads(path.read_text("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write for people (indented), by rename, so that a reader sees the old file or the new one whole."""
    write_atomic(path, json.dumps(value, indent=1, sort_keys=False, ensure_ascii=False).encode() + b"\n")


def write_atomic(path: Path, data: bytes) -> None:
    """Write, fsync, rename, fsync the folder: after a crash the file is whole, old or new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)  # noqa: PTH105 (tests stand in for it)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def fsync_folder(path: Path) -> None:
    """Make renames in this folder durable (a no-op on systems that can't open folders)."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
