"""Preferences and the reward model.

``preference_dataset`` pairs a page's true description with a wrong or a damaged one: synthetic preferences over real text,
no person was asked. ``reward_model`` learns to tell them apart and gives PPO its reward.
"""

from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="preference_dataset",
        entry="llm_assets.stages.reward.preferences:run",
        inputs=(Input("instruction_dataset"), Input("deduped_shards", "all")),
        gates="llm_assets.stages.reward.preference_gates:gates",
        gate_names=("preference_pairs_differ", "preference_kinds_balanced", "preference_follows_split", "preference_table"),
        code=("llm_assets.core.prompts",),
        libraries=("polars",),
    ),
)
