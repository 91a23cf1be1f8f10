"""The pretraining group."""

from llm_assets.defs.skin import Skin

SKINS = (
    Skin(
        "base_model",
        "pretraining",
        "Decoder-only transformer, from random weights, by next-token prediction; compared with Kneser-Ney n-gram models.",
        frozenset({"pytorch", "huggingface"}),
    ),
)
