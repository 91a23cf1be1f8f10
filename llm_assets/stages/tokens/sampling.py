"""Samples and splits that are functions of a name, not of an order: the same document falls the same way in every run."""

import hashlib
from collections.abc import Iterable


def unit_interval(key: str, salt: str) -> float:
    """A number in [0, 1), uniform over keys: the first 64 bits of BLAKE2b(salt, key)."""
    hasher = hashlib.blake2b(f"{salt}\n{key}".encode("utf-8", "surrogateescape"), digest_size=8)
    return int.from_bytes(hasher.digest(), "big") / 2**64


def unit_intervals(keys: Iterable[str], salt: str) -> list[float]:
    """``unit_interval`` of each key."""
    return [unit_interval(key, salt) for key in keys]
