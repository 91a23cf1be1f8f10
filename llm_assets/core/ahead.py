"""What the next asset needs is loaded while this one is made.

Compiled loops, models and parser processes take a second or two to load, on one core, before a stage can begin; the stage
before it waits for processes and native code meanwhile. Loading changes no result: what was not loaded is when it is needed.
"""

import threading
from collections.abc import Iterable

from llm_assets.core.recipe.base import Section
from llm_assets.core.spec import AssetSpec, load_entry


def load(making: AssetSpec, coming: Iterable[tuple[AssetSpec, Section]]) -> None:
    """Begin to load what the assets need, of those that are to be made later, that follow the one being made."""
    wanted = [(spec.loads, section) for spec, section in coming if spec.loads and spec.follows == making.name]
    if wanted:
        threading.Thread(target=_load, args=(wanted,), name="ahead").start()


def _load(wanted: list[tuple[str, Section]]) -> None:
    for entry, section in wanted:
        try:
            load_entry(entry)(section)
        except Exception:  # raised again by the stage, which will load the same, where somebody can be told
            return
