"""``llm-assets content-summary``: the public summary of one model's training content, from the marts as they are now."""

from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.produce import store_root
from llm_assets.core.recipe import load_recipe
from llm_assets.core.store import Store
from llm_assets.stages.audit import summary
from llm_assets.stages.audit.model import table_file
from llm_assets.stages.audit.summary_facts import facts
from llm_assets.stages.audit.summary_page import markdown, page


def run_content_summary(model: str, as_html: bool) -> str:
    """The summary as Markdown, or as one HTML page. ``LlmAssetsError`` where a mart was not built yet."""
    recipe = load_recipe()
    store = Store(store_root(), recipe.name)
    tables = {}
    for name in summary.MARTS:
        made = store.current(name)
        if made is None:
            raise LlmAssetsError(f"the mart {name} was not built yet under the recipe {recipe.name!r}; run the job 'audit'")
        tables[name] = made.file(table_file(name))
    config = recipe.training_content_summary
    blocks = summary.summary(facts(summary.read(tables), model, config.small_enterprise), config)
    return page(f"Training content of {model}", blocks) if as_html else markdown(blocks).rstrip("\n")
