"""The stages: pure functions from artefacts to artefacts, one room each.

A stage's ``__init__`` is light: a docstring and its ``SPECS``. Stages never import each other; they
meet through artefacts in the store. ``all_specs()`` is the only place that knows every room.
"""

from functools import cache
from importlib import import_module

from llm_assets.core.spec import AssetSpec

ROOMS = (
    "crawl",
    "extract",
    "clean",
    "dedup",
    "images",
    "tokens",
    "pretrain",
    "sft",
    "reward",
    "rl",
    "evals",
    "export",
    "serving",
    "audit",
)


@cache
def all_specs() -> dict[str, AssetSpec]:
    """Every asset of every room, by asset name, in graph order within a room."""
    specs: dict[str, AssetSpec] = {}
    for room in ROOMS:
        for spec in import_module(f"llm_assets.stages.{room}").SPECS:
            if spec.name in specs:
                raise ValueError(f"two stages declare the asset {spec.name!r}")
            specs[spec.name] = spec
    return specs


def spec_of(name: str) -> AssetSpec:
    """The spec of one asset; a ``ValueError`` names the near misses."""
    specs = all_specs()
    if name not in specs:
        from difflib import get_close_matches

        near = ", ".join(get_close_matches(name, specs, n=3)) or ", ".join(specs)
        raise ValueError(f"no asset is named {name!r}; did you mean: {near}?")
    return specs[name]
