"""Supervised fine-tuning: instruction data from real pages, and the model that learns to answer.

``instruction_dataset`` asks four things (describe by name, summarise an extract, name its topic, put a string into French),
split 8:1:1 by article and clear of the evaluation suite. ``sft_model`` is trained on the answers only, with TRL.
"""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="instruction_dataset",
        entry="llm_assets.stages.sft.instructions:run",
        inputs=(Input("deduped_shards", "all"), Input("eval_suite")),
        gates="llm_assets.stages.sft.instruction_gates:gates",
        gate_names=(
            "instruction_split",
            "instruction_articles_apart",
            "instruction_no_eval_overlap",
            "instruction_coverage",
            "instruction_table",
        ),
        code=("llm_assets.core.prompts", "llm_assets.core.documents", "llm_assets.core.embedded"),
        libraries=("jupyterlab-language-pack-fr-FR", "polars"),
    ),
)
