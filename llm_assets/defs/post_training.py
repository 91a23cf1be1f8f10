"""The post_training group: instructions, preferences, and the three models made with them."""

from llm_assets.defs.skin import Skin

SKINS = (
    Skin(
        "instruction_dataset",
        "post_training",
        "Prompts and answers from the corpus's own pages, split 8:1:1 by article.",
        frozenset({"parquet"}),
    ),
    Skin(
        "preference_dataset",
        "post_training",
        "Synthetic preferences over real text: a page's true description against four kinds of wrong ones.",
        frozenset({"parquet"}),
    ),
    Skin(
        "sft_model",
        "post_training",
        "Supervised fine-tuning, full or LoRA, with the loss on answers only (TRL).",
        frozenset({"pytorch", "huggingface"}),
    ),
    Skin(
        "reward_model",
        "post_training",
        "Scores an answer; trained on preference pairs (TRL), measured for each kind of negative.",
        frozenset({"pytorch", "huggingface"}),
    ),
    Skin(
        "rlhf_model",
        "post_training",
        "PPO with a KL penalty to the SFT model; the checkpoint kept is the best reward that costs no quality.",
        frozenset({"pytorch", "huggingface"}),
    ),
)
