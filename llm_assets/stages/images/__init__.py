"""Images: from the image records of a crawl to a set that can be trained on, oriented, cropped, rotated, without copies."""

from llm_assets.core.spec import AssetSpec, Input

_AS_READ = "llm_assets.core.takedowns:as_read"

SPECS: tuple[AssetSpec, ...] = (
    AssetSpec(
        name="image_dataset",
        entry="llm_assets.stages.images.run:run",
        code_version="3",
        gates="llm_assets.stages.images.checks:gates",
        gate_names=("images_decode", "enough_kept", "images_table", "index_complete", "counts_add_up"),
        inputs=(Input("raw_crawl", "same"), Input("image_dataset", "earlier", optional=True, fingerprint=_AS_READ)),
        code=(
            "llm_assets.stages.images.child",
            "llm_assets.core.decoding",
            "llm_assets.core.optouts",
            "llm_assets.core.warcs",
            "llm_assets.core.tags",
        ),
        libraries=("pillow", "resiliparse"),
        partitioned=True,
        follows="raw_crawl",
    ),
)
