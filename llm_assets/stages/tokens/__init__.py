"""From text to what a training reads: the tokenizer, token shards by crawl, and the mix of crawls with its splits.

Order of a training's data is no artefact: it is a function of (seed, step, mix), in ``llm_assets.lm.data``.
"""

from llm_assets.core import suites
from llm_assets.core.spec import AssetSpec, Input

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="tokenizer",
        entry="llm_assets.stages.tokens.train:run",
        code_version="2",
        gates="llm_assets.stages.tokens.gates:tokenizer",
        gate_names=("text_round_trips", "vocabulary_exact", "control_ids"),
        # as a model does, a vocabulary stays when a text that it was learnt from is taken down
        inputs=(Input("deduped_shards", "named", fingerprint="llm_assets.core.takedowns:as_learnt"),),
        code=("llm_assets.stages.tokens.sampling", "llm_assets.lm.tokenizer", "llm_assets.lm.chat"),
        libraries=("tokenizers", "numba"),
    ),
    AssetSpec(
        name="tokenized_dataset",
        entry="llm_assets.stages.tokens.encode:run",
        code_version="3",
        gates="llm_assets.stages.tokens.gates:tokenized_dataset",
        gate_names=(
            "separators_match_documents",
            "lengths_add_up",
            "text_round_trips",
            "bytes_per_token",
            "counts_add_up",
            *suites.names("tokenized_dataset"),
        ),
        inputs=(Input("tokenizer"), Input("deduped_shards", "same")),
        code=("llm_assets.stages.tokens.sampling", "llm_assets.lm.tokenizer", "llm_assets.lm.chat"),
        libraries=("tokenizers", "fastokens"),
        partitioned=True,
        follows="deduped_shards",
    ),
    AssetSpec(
        name="training_mix",
        entry="llm_assets.stages.tokens.mix:run",
        code_version="3",
        gates="llm_assets.stages.tokens.gates:training_mix",
        gate_names=("enough_tokens", "proportions", "splits_apart", "counts_add_up", "documents_table"),
        inputs=(Input("tokenized_dataset", "all"), Input("deduped_shards", "all", optional=True)),
        code=("llm_assets.stages.tokens.encode", "llm_assets.stages.tokens.sampling"),
        follows="tokenized_dataset",
        holds_back="llm_assets.stages.tokens.waiting:new_crawls",
    ),
)
