"""What the evaluation suite asks must not be in the corpus: the items, their runs of words, and their exact texts.

An item whose text is long enough is looked for by overlap: any run of ``contamination_words`` words in common (13, after Brown
et al. 2020, "Language Models are Few-Shot Learners", appendix C). A shorter one of at least ``contamination_min_words`` (8, the
least that they took) is looked for as a run of all its words. One that is shorter still, such as a short answer, or a task that
``suite.json`` marks ``"decontaminate": "exact"``, is looked for as a whole text only.
"""

from dataclasses import dataclass

import numpy as np
import orjson
import polars as pl

from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import InputError
from llm_assets.core.jsonio import read_json
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.stages.dedup import kernels
from llm_assets.stages.dedup.fingerprints import EvalRuns, Runs, exact_hashes, word_hashes
from llm_assets.stages.dedup.plain import encoded, normalise


@dataclass(frozen=True)
class Suite:
    """The items that are held out."""

    ids: list[str]
    texts: list[str]
    widths: list[int]  # of the runs by which an item is looked for; 0: as a whole text only
    runs: EvalRuns
    exact: dict[tuple[int, int], int]  # exact hash → item

    def by_width(self) -> dict[int, list[str]]:
        """Texts of the items that are looked for by runs, by their width."""
        found: dict[int, list[str]] = {}
        for text, width in zip(self.texts, self.widths, strict=True):
            if width:
                found.setdefault(width, []).append(text)
        return found


def load_suite(artefact: Artefact, config: DedupedShardsConfig) -> Suite:
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
    return _suite(ids, texts, whole_only, config)


def _suite(ids: list[str], texts: list[str], whole_only: list[bool], config: DedupedShardsConfig) -> Suite:
    normalised = normalise(pl.Series(texts, dtype=pl.String))
    words, ends = word_hashes(normalised.to_list())
    lengths = np.diff(ends, prepend=0)
    least = min(config.contamination_min_words, config.contamination_words)
    searched = (lengths >= least) & ~np.asarray(whole_only, bool)
    widths = np.where(searched, np.minimum(lengths, config.contamination_words), 0)
    tables = []
    for width in sorted({int(width) for width in widths if width}, reverse=True):
        found, stops = kernels.windows(words, ends, width)
        owner = np.searchsorted(stops, np.arange(found.size), side="right")
        mine = widths[owner] == width
        hashes, first = np.unique(found[mine], return_index=True)  # of items with the same run, the first
        tables.append(Runs(width, hashes, owner[mine][first].astype(np.int32)))
    exact: dict[tuple[int, int], int] = {}
    for number, (high, low) in enumerate(exact_hashes(*encoded(normalised)).tolist()):
        exact.setdefault((high, low), number)
    return Suite(ids, texts, widths.tolist(), EvalRuns(tuple(tables)), exact)
