"""What the evaluation suite asks must not be in the corpus: the items, their runs of words, and their exact texts.

An item whose text is long enough is looked for by overlap: any run of ``contamination_words`` words in common (13, after Brown
et al. 2020, "Language Models are Few-Shot Learners", appendix C). A shorter one, or a task that ``suite.json`` marks
``"decontaminate": "exact"``, is looked for as a whole text only.
"""

from dataclasses import dataclass

import numpy as np
import orjson
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.stages.dedup import kernels
from llm_assets.stages.dedup.fingerprints import EvalRuns, exact_hashes, normalise, word_hashes


@dataclass(frozen=True)
class Suite:
    """The items that are held out."""

    ids: list[str]
    texts: list[str]
    whole_only: list[bool]  # looked for as a whole text, not by overlap
    runs: EvalRuns
    exact: dict[tuple[int, int], int]  # exact hash → item

    def by_overlap(self) -> list[str]:
        """Texts of the items that are looked for by overlap."""
        return [text for text, whole in zip(self.texts, self.whole_only, strict=True) if not whole]


def load_suite(artefact: Artefact, width: int) -> Suite:
    """Read the items of ``eval_suite``. Raises ``InputError`` where a line has no ``item_id`` or ``text``."""
    about = artefact.files / "suite.json"
    tasks = read_json(about).get("tasks", {}) if about.is_file() else {}
    exact_tasks = {
        entry.get("file", f"tasks/{name}.jsonl") for name, entry in tasks.items() if entry.get("decontaminate") == "exact"
    }
    ids: list[str] = []
    texts: list[str] = []
    whole_only: list[bool] = []
    for path in artefact.shards("tasks/*.jsonl"):
        for number, line in enumerate(path.read_bytes().splitlines(), start=1):
            try:
                item = orjson.loads(line)
                ids.append(str(item["item_id"]))
                texts.append(str(item["text"]))
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}, line {number}: an evaluation item needs item_id and text; rebuild eval_suite"
                ) from error
            whole_only.append(f"tasks/{path.name}" in exact_tasks)
    return _suite(ids, texts, whole_only, width)


def _suite(ids: list[str], texts: list[str], whole_only: list[bool], width: int) -> Suite:
    normalised = normalise(pl.Series(texts, dtype=pl.String)).to_list()
    found, ends = kernels.windows(*word_hashes(normalised), width)
    owner = np.searchsorted(ends, np.arange(found.size), side="right")
    wanted = ~np.asarray(whole_only, bool)[owner]
    hashes, first = np.unique(found[wanted], return_index=True)  # of items with the same run, the first
    exact: dict[tuple[int, int], int] = {}
    for number, (high, low) in enumerate(exact_hashes(normalised).tolist()):
        exact.setdefault((high, low), number)
    return Suite(ids, texts, whole_only, EvalRuns(hashes, owner[wanted][first].astype(np.int64), width), exact)
