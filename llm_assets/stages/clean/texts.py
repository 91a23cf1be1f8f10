"""Texts of a shard as the compiled loops take them: bytes one after another, and where each text begins and ends."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl


def utf8(texts: pl.Series) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(bytes uint8, bounds (n + 1,) int64) of n texts; a null is an empty text."""
    filled = texts.fill_null("")
    data = np.frombuffer("".join(filled).encode("utf-8") or b"\0", np.uint8)
    bounds = np.zeros(texts.len() + 1, np.int64)
    np.cumsum(filled.str.len_bytes().to_numpy(), out=bounds[1:])
    return data, bounds
