"""The tokens group: vocabulary, token shards, and the mix that models are trained on."""

from llm_assets.defs.skin import Skin

SKINS = (
    Skin(
        "tokenizer",
        "tokens",
        "Byte-level BPE, trained on the crawls that the recipe names, so that a refresh leaves it as it is.",
        frozenset({"huggingface"}),
    ),
    Skin(
        "tokenized_dataset",
        "tokens",
        "Memory-mapped token shards with the place of every document.",
        frozenset({"numpy"}),
    ),
    Skin(
        "training_mix",
        "tokens",
        "Which complete crawls, at which versions, in what proportions; superseded pages left out, missing crawls named.",
        frozenset({"parquet"}),
    ),
)
