"""What the code location was started with: the recipe, the store, the crawls partition.

Read once a process. Change ``LLM_ASSETS_RECIPE`` or ``LLM_ASSETS_STORE`` and reload the code location.
"""

from functools import cache

import dagster as dg

from llm_assets.core.produce import store_root
from llm_assets.core.recipe import Recipe, load_recipe
from llm_assets.core.store import Store

CRAWLS = "crawl"
crawls = dg.DynamicPartitionsDefinition(name=CRAWLS)


@cache
def recipe() -> Recipe:
    """The recipe that ``LLM_ASSETS_RECIPE`` names."""
    return load_recipe()


def store() -> Store:
    """The store, seen through the recipe's CURRENT pointers."""
    return Store(store_root(), recipe().name)
