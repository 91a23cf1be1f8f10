"""Preferences and the reward model.

``preference_dataset`` pairs a page's true description with a wrong or a damaged one: synthetic preferences over real text,
no person was asked. ``reward_model`` learns to tell them apart and gives PPO its reward.
"""

from llm_assets.core import suites
from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="preference_dataset",
        entry="llm_assets.stages.reward.preferences:run",
        code_version="3",
        inputs=(Input("instruction_dataset"), Input("deduped_shards", "read_by", by="training_mix")),
        gates="llm_assets.stages.reward.preference_gates:gates",
        gate_names=(
            "preference_pairs_differ",
            "preference_kinds_balanced",
            "preference_follows_split",
            "counts_add_up",
            *suites.names("preference_dataset"),
        ),
        code=("llm_assets.core.prompts",),
        libraries=("polars",),
        follows="instruction_dataset",
    ),
    AssetSpec(
        name="reward_model",
        entry="llm_assets.stages.reward.model:run",
        code_version="2",
        inputs=(Input("sft_model"), Input("preference_dataset")),
        gates="llm_assets.stages.reward.model_gates:gates",
        gate_names=("reward_pairs", "reward_above_baselines", "reward_above_chance", "reward_reloads"),
        code=(
            "llm_assets.core.statistics",
            "llm_assets.lm.chat",
            "llm_assets.lm.finetune",
            "llm_assets.lm.model",
            "llm_assets.lm.tokenizer",
        ),
        libraries=("torch", "transformers", "trl", "accelerate"),
        process=True,
    ),
)
