"""A code location with the slow stages, in the skin of the real ones. It patches its process, so it is never imported by a test."""

import dagster as dg

from llm_assets.core.recipe.base import Section
from llm_assets.core.recipe.catalogue import CatalogueConfig, Presentation
from llm_assets.defs import settings, skin
from tests.support import slow


class SlowRecipe:
    name = "slow"
    catalogue = CatalogueConfig(
        groups={"slow": Presentation(owners=["team:corpus", "ann@example.org"], tags={"level": "toy"}, kinds=["python"])}
    )

    def section(self, asset: str) -> Section:
        return slow.SlowConfig()


settings.recipe = SlowRecipe  # type: ignore[assignment]
skin.spec_of = slow.SPECS.__getitem__

defs = dg.Definitions(
    assets=[skin.asset(skin.Skin(name, "slow", f"Takes its time: {name}.")) for name in slow.SPECS],
    executor=dg.in_process_executor,
)
