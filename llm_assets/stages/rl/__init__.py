"""Reinforcement learning: a policy optimised against the reward model, watched by a metric it is not optimised for."""

from llm_assets.core.spec import AssetSpec, Input

SPECS = (
    AssetSpec(
        name="rlhf_model",
        entry="llm_assets.stages.rl.training:run",
        inputs=(Input("sft_model"), Input("reward_model"), Input("instruction_dataset")),
        gates="llm_assets.stages.rl.gates:gates",
        gate_names=("reward_gain", "kl_ceiling", "no_collapse", "gold_metric", "loads_cleanly"),
        code_version="1",
        code=("llm_assets.lm.ppo", "llm_assets.lm.generation", "llm_assets.lm.chat", "llm_assets.lm.checkpoint"),
        libraries=("torch", "transformers", "rouge-score"),
        process=True,
        tags={"pool": "gpu"},
    ),
)
