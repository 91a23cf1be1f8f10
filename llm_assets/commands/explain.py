"""``llm-assets explain``: hands the current artefacts to the audit stage and prints what it finds."""

from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.produce import store_root


def run_explain(what: str) -> str:
    """The fate of a URL or document id, as text. Raises ``LlmAssetsError`` where nothing was crawled yet."""
    from llm_assets.defs import settings
    from llm_assets.stages.audit.explain import explain

    store = settings.store()
    if not store.partitions("raw_crawl"):
        raise LlmAssetsError(f"nothing was crawled yet under the recipe {store.recipe!r}; run 'llm-assets demo' first")
    return explain(store_root(), store.recipe, what)
