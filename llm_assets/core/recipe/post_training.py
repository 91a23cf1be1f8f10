"""Sections of the post_training group: instruction_dataset, preference_dataset, sft_model, reward_model, rlhf_model."""

from llm_assets.core.recipe.base import Section


class InstructionDatasetConfig(Section):
    """Instruction data."""


class PreferenceDatasetConfig(Section):
    """Preference pairs."""


class SftModelConfig(Section):
    """Supervised fine-tuning."""


class RewardModelConfig(Section):
    """Reward model."""


class RlhfModelConfig(Section):
    """PPO with a KL penalty."""
