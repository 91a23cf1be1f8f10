"""How much of an evaluation text a training text holds, by word sequences.

The measure is containment: of all runs of ``n`` words in an item's text, the share that one training text has too. Unlike
equality it sees a copy that was clipped, quoted or edited, and unlike a single shared run it is not set off by a stock phrase.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from llm_assets.core.artefact import Artefact
from llm_assets.core.jsonio import read_json
from llm_assets.stages.sft.articles import plain

TEXT_TASKS = ("topic", "describe", "perplexity")
TRANSLATE = "translate"


def runs(text: str, n: int) -> set[int]:
    """Hashes of all runs of ``n`` words (of the whole text where it is shorter); process-local."""
    words = plain(text).split()
    if not words:
        return set()
    return {hash(tuple(words[start : start + n])) for start in range(max(1, len(words) - n + 1))}


class HeldOut:
    """What ``eval_suite`` holds out: texts, and the strings of the translation task."""

    def __init__(self, texts: Iterable[str], strings: Iterable[str], n: int) -> None:
        self.n = n
        self.strings = {plain(text) for text in strings}
        distinct = sorted({plain(text) for text in texts} - {""})
        self._sizes: list[int] = []
        self._holders: dict[int, list[int]] = {}
        for number, text in enumerate(distinct):
            own = runs(text, n)
            self._sizes.append(len(own))
            for run in own:
                self._holders.setdefault(run, []).append(number)

    @classmethod
    def of(cls, suite: Artefact, n: int) -> "HeldOut":
        """From the artefact's task files; both sides of a translation are held out."""
        tasks = read_json(suite.file("suite.json"))["tasks"]
        texts: list[str] = []
        strings: list[str] = []
        for task, entry in tasks.items():
            for line in suite.file(entry["file"]).read_bytes().splitlines():
                item: dict[str, Any] = orjson.loads(line)
                if task == TRANSLATE:
                    strings += [item["text"], item["reference"]]
                else:
                    texts.append(item["text"])
        return cls(texts, strings, n)

    def overlap(self, text: str) -> float:
        """Largest share of one held-out text's runs that ``text`` holds, 0 to 1."""
        shared = Counter(number for run in runs(text, self.n) for number in self._holders.get(run, ()))
        return max((count / self._sizes[number] for number, count in shared.items()), default=0.0)

    def has_string(self, text: str) -> bool:
        """Whether the text is a held-out string, but for case and punctuation."""
        return plain(text) in self.strings


def worst(held_out: HeldOut, texts: Sequence[str]) -> tuple[float, int]:
    """The largest overlap of any text and where it is; ``(0.0, -1)`` for none."""
    found = max(((held_out.overlap(text), -index) for index, text in enumerate(texts)), default=(0.0, 1))
    return found[0], -found[1] if found[0] else -1
