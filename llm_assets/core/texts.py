"""Texts of a shard as the compiled loops take them: bytes one after another, and where each text begins and ends."""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa


def utf8(texts: pl.Series) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """(bytes uint8, bounds (n + 1,) int64) of n texts; a null is an empty text."""
    array = texts.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    _, bounds, data = array.buffers()
    bounds = np.frombuffer(bounds, np.int64, len(array) + 1, 8 * array.offset) if bounds else np.zeros(1, np.int64)
    return np.frombuffer(data, np.uint8) if data and data.size else np.zeros(1, np.uint8), bounds


def from_utf8(data: npt.NDArray[Any], bounds: npt.NDArray[Any]) -> pl.Series:
    """The n texts again."""
    array = pa.LargeStringArray.from_buffers(bounds.size - 1, pa.py_buffer(bounds), pa.py_buffer(data))
    return pl.Series(array, dtype=pl.String)
