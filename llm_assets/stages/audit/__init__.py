"""(being built)"""

from llm_assets.core.spec import AssetSpec

SPECS: tuple[AssetSpec, ...] = ()
