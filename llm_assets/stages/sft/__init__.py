"""Supervised fine-tuning: instruction data from real pages, and the model that learns to answer.

``instruction_dataset`` asks four things (describe by name, summarise an extract, name its topic, put a string into French),
split 8:1:1 by article and clear of the evaluation suite. ``sft_model`` is trained on the answers only, with TRL.
"""

from llm_assets.core import suites
from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="instruction_dataset",
        entry="llm_assets.stages.sft.instructions:run",
        code_version="3",
        inputs=(Input("deduped_shards", "read_by", by="training_mix"), Input("eval_suite")),
        gates="llm_assets.stages.sft.instruction_gates:gates",
        gate_names=(
            "instruction_split",
            "instruction_articles_apart",
            "instruction_no_eval_overlap",
            "instruction_coverage",
            "counts_add_up",
            *suites.names("instruction_dataset"),
        ),
        code=("llm_assets.core.prompts", "llm_assets.core.documents", "llm_assets.core.embedded"),
        libraries=("jupyterlab-language-pack-fr-FR", "polars"),
        follows="deduped_shards",
    ),
    AssetSpec(
        name="sft_model",
        entry="llm_assets.stages.sft.model:run",
        code_version="2",
        inputs=(Input("base_model"), Input("tokenizer"), Input("instruction_dataset")),
        gates="llm_assets.stages.sft.model_gates:gates",
        gate_names=("sft_trained_tokens", "sft_learned", "sft_lora_merge", "sft_loads"),
        code=(
            "llm_assets.lm.chat",
            "llm_assets.lm.finetune",
            "llm_assets.lm.generation",
            "llm_assets.lm.model",
            "llm_assets.lm.tokenizer",
        ),
        libraries=("torch", "transformers", "trl", "peft", "accelerate"),
        process=True,
    ),
)
