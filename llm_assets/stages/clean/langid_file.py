"""py3langid's model without py3langid: its file read into arrays, for the loops of ``langid_kernels``.

langid.py's method (Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool"): an automaton over bytes
finds features (strings that tell languages apart), and naive Bayes weighs them. Scores are those of py3langid 0.4 to rounding,
at many times its speed. The file is a compressed ``npz`` of plain arrays; unpacking its 68 MB takes four tenths of a second.
"""

import importlib.util
import io
import lzma
import unicodedata
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.errors import InputError
from llm_assets.stages.clean.langid_kernels import UNIT

Array = npt.NDArray[Any]
_FIELDS = ("ptc", "pc", "classes", "nextmove", "nextmove_row", "out_feat")


@dataclass(frozen=True)
class Bayes:
    """A model in arrays: ``F`` features, ``C`` columns (languages; one in two scripts has two), ``S`` states."""

    columns: tuple[str, ...]  # the language of each column
    weights: Array  # (F, C) int16: log probabilities times UNIT
    priors: Array  # (C,) float32
    moves: Array  # (rows, 256) uint32: the next state by byte
    rows: Array  # (S,) uint16: the row of each state
    features: Array  # (S,) int32: the feature that ends in a state, or -1


def model_file() -> Path:
    """Where the model of the py3langid package lies; ``InputError`` says how to get it."""
    spec = importlib.util.find_spec("py3langid")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(locations[0]) / "data" / "model.npz.xz" if locations else None
    if path is None or not path.is_file():
        raise InputError(
            "py3langid's model is not installed; run: pip install py3langid; or set "
            "cleaned_corpus.language.second_opinion_below: 0 to go without"
        )
    return path


def load(path: Path) -> Bayes:
    """Read a model file; ``InputError`` where it is of another kind or damaged."""
    try:
        with np.load(io.BytesIO(lzma.decompress(path.read_bytes())), allow_pickle=False) as found:
            weights, priors, names, moves, rows, features = (found[name] for name in _FIELDS)
    except (lzma.LZMAError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no model of py3langid 0.4, or damaged: {error}; install py3langid again") from error
    shapes_fit = weights.shape == (features.max() + 1, priors.size) and names.size == priors.size
    shapes_fit = shapes_fit and rows.size == features.size and moves.size == 256 * (int(rows.max()) + 1)
    if not shapes_fit or weights.dtype != np.float16:
        raise InputError(f"{path}: its arrays don't fit together as those of py3langid 0.4 do; install py3langid again")
    return Bayes(
        tuple(names.tolist()),
        _whole()[weights.view(np.uint16)],
        priors.astype(np.float32),
        moves.reshape(-1, 256),
        rows,
        features,
    )


def _whole() -> Array:
    """By its bits each half float times UNIT: (65536,) int16. Exact between 1 and 32, where the model's weights are."""
    with np.errstate(invalid="ignore"):  # what is no number
        halves = np.arange(1 << 16).astype(np.uint16).view(np.float16).astype(np.float32)
        found: Array = np.clip(np.nan_to_num(np.rint(halves * UNIT)), -(1 << 15), (1 << 15) - 1).astype(np.int16)
    return found


def spelled(texts: pl.Series) -> pl.Series:
    """Texts as the model knows them: composed (NFC), and in lower case where all is in capitals."""
    found = (unicodedata.normalize("NFC", text.lower() if text.isupper() else text) for text in texts.to_list())
    return pl.Series(list(found), dtype=pl.String)
