"""Jobs: parts of the graph that are run together, from the UI, the command line, a schedule or a sensor."""

import dagster as dg

DATA_ASSETS = ("raw_crawl", "extracted_pages", "cleaned_corpus", "deduped_shards", "image_dataset", "tokenized_dataset")

data_refresh = dg.define_asset_job(
    "data_refresh",
    selection=dg.AssetSelection.assets(*DATA_ASSETS),
    description="One crawl, from fetching to token shards. Run it for a new crawl key, or back-fill it over many.",
)
train = dg.define_asset_job(
    "train",
    selection=dg.AssetSelection.assets(
        "training_mix", "base_model", "instruction_dataset", "preference_dataset", "sft_model", "reward_model", "rlhf_model"
    ),
    description="From the mix of all complete crawls to the RLHF model.",
)
evaluate = dg.define_asset_job(
    "evaluate", selection=dg.AssetSelection.assets("eval_report"), description="All models side by side."
)
refresh_check = dg.define_asset_job(
    "refresh_check",
    selection=dg.AssetSelection.assets("refresh_ablation"),
    description="Whether the newest crawl helps: tiny models with it and without.",
)
release = dg.define_asset_job(
    "release", selection=dg.AssetSelection.assets("quantized_export", "deployment"), description="Quantise, prove, serve."
)
audit = dg.define_asset_job("audit", selection=dg.AssetSelection.groups("audit"), description="All SQL models.")
foundations = dg.define_asset_job(
    "foundations",
    selection=dg.AssetSelection.assets("tombstones", "eval_suite"),
    description="What the data jobs need before the first crawl.",
)
vocabulary = dg.define_asset_job(
    "vocabulary", selection=dg.AssetSelection.assets("tokenizer"), description="The pinned tokenizer."
)
