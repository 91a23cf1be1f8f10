"""The gates of ``image_dataset``: files are what the table says, enough was kept, the table and the index are sound."""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from llm_assets.core import expectations
from llm_assets.core.artefact import Inputs
from llm_assets.core.jsonio import read_json
from llm_assets.core.machine import available_cores
from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.core.report import Gate, Report
from llm_assets.stages.images import older
from llm_assets.stages.images.copies import SIDE
from llm_assets.stages.images.run import FOLDER, IMAGES, TABLE

_NOT_JUDGED = ("dropped:exact_duplicate", "dropped:near_duplicate", "dropped:optout_")  # no fault of an image


def gates(inputs: Inputs, files: Path, config: ImageDatasetConfig, report: Report) -> list[Gate]:
    """Every file decodes as it is on record and nothing else lies there; enough was kept; table and index are sound."""
    table = pl.read_parquet(files / TABLE)
    return [
        _decode(files / FOLDER, table, config),
        _enough(report.counts, config),
        _sound(table, config),
        _indexed(inputs, files, table, config),
    ]


def _decode(folder: Path, table: pl.DataFrame, config: ImageDatasetConfig) -> Gate:
    rows = table.unique("sha256", keep="first", maintain_order=True).select("sha256", "width", "height")
    with ThreadPoolExecutor(config.workers or available_cores()) as pool:
        problems = pool.map(lambda row: _problem(folder, row), rows.iter_rows(named=True))
        bad = {row["sha256"]: said for row, said in zip(rows.iter_rows(named=True), problems, strict=True) if said}
    known = {f"{sha256}.png" for sha256 in rows["sha256"]}
    strange = sorted(path.name for path in folder.iterdir() if path.name not in known)
    said = f"{len(bad)} of {rows.height} files do not decode as recorded, {len(strange)} are on no record"
    found = {"bad": dict(list(bad.items())[:5]), "strange": strange[:5]}
    return Gate("images_decode", not bad and not strange, said, found)


def _problem(folder: Path, row: Mapping[str, Any]) -> str:
    path = folder / f"{row['sha256']}.png"
    try:
        data = path.read_bytes()
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            if image.info:  # profiles, EXIF, texts
                return f"it carries {', '.join(sorted(map(str, image.info)))}"
            if image.size != (row["width"], row["height"]):
                return f"{image.width} × {image.height} pixels"
    except (OSError, SyntaxError, ValueError) as error:
        return type(error).__name__
    return "" if hashlib.sha256(data).hexdigest() == row["sha256"] else "another content than its name says"


def _enough(counts: Mapping[str, int], config: ImageDatasetConfig) -> Gate:
    excused = sum(n for rule, n in counts.items() if rule.startswith(_NOT_JUDGED))
    judged, kept = counts["documents_in"] - excused, counts["kept"]
    share = kept / judged if judged else 1.0
    few = judged < config.min_judged_images
    said = (
        f"{kept} of {judged} images kept ({excused} copies and opt-outs apart), at least {config.min_kept_share:.0%} expected"
    )
    advice = f"; fewer than {config.min_judged_images} are not judged" if few else "; the ledger says which rules took them"
    return Gate("enough_kept", few or share >= config.min_kept_share, said + advice, {"share_kept": share, "judged": judged})


def _sound(table: pl.DataFrame, config: ImageDatasetConfig) -> Gate:
    in_set, between = "expect_column_values_to_be_in_set", "expect_column_values_to_be_between"
    rules: list[expectations.Rule] = [
        ("expect_column_values_to_not_be_null", {"column": "doc_id"}),
        ("expect_column_values_to_not_be_null", {"column": "caption"}),
        ("expect_column_values_to_match_regex", {"column": "sha256", "regex": "^[0-9a-f]{64}$"}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["doc_id", "rotation_degrees"]}),
        (in_set, {"column": "rotation_degrees", "value_set": config.rotations_degrees}),
        (in_set, {"column": "source_format", "value_set": config.formats}),
        (between, {"column": "longer_side", "max_value": config.max_side_pixels}),
        (between, {"column": "frames", "min_value": 1, "max_value": config.max_frames}),
        (between, {"column": "caption_length", "max_value": config.max_caption_chars}),
    ]
    if table.schema != IMAGES:
        return Gate("images_table", False, f"the columns are {dict(table.schema)}, not those of the contract")
    measured = table.with_columns(
        longer_side=pl.max_horizontal("width", "height"), caption_length=pl.col("caption").str.len_chars()
    )
    return expectations.check("images_table", measured, rules)


def _indexed(inputs: Inputs, files: Path, table: pl.DataFrame, config: ImageDatasetConfig) -> Gate:
    """The index that later crawls read has exactly the images that were kept, as they came and as they look."""
    kept = pl.read_parquet(files / older.FOLDER / "kept.parquet")
    came = pl.read_parquet(inputs.one("raw_crawl").file("index.parquet"), columns=["doc_id", "payload_digest"])
    images = table.unique("doc_id").join(came, on="doc_id", how="left")
    wanted = images.select("doc_id", "payload_digest", pl.col("dhash").str.to_integer(base=16, dtype=pl.UInt64)).sort("doc_id")
    thumbs = np.load(files / older.FOLDER / "thumbs.npy", mmap_mode="r", allow_pickle=False)
    comparable = read_json(files / older.FOLDER / "index.json") == older.parameters(config)
    equal = kept.schema == older.KEPT and kept.sort("doc_id").equals(wanted) and thumbs.shape == (kept.height, SIDE, SIDE, 3)
    said = f"{kept.height} images are indexed for later crawls, {images.height} were kept"
    return Gate("index_complete", comparable and equal, said + ("" if comparable and equal else "; the two differ"))
