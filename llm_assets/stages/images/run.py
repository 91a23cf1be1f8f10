"""``image_dataset``: reads the image records of one crawl, writes PNGs, ``images.parquet``, a contact sheet and the ledger.

Each kept image is stored once for each rotation that the recipe asks for (0 degrees is the upright one).
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
from PIL import Image

from llm_assets.core import expectations
from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.ledger import KEEP, Verdict, ledger_frame, ledger_row, write_ledger
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.corpus import ImageDatasetConfig
from llm_assets.core.report import Gate, Report
from llm_assets.core.warcs import read_payloads
from llm_assets.stages.images.captions import captions
from llm_assets.stages.images.process import contact_sheet, decode, difference_hash, fit, png

IMAGES = pl.Schema(
    {
        "doc_id": pl.String,
        "url": pl.String,
        "page_url": pl.String,  # the first page that shows it; empty where none with an alt text does
        "caption": pl.String,
        "sha256": pl.String,  # of the PNG, which is images/<sha256>.png
        "rotation_degrees": pl.Int16,  # clockwise, of this variant
        "width": pl.Int32,
        "height": pl.Int32,
        "oriented": pl.Boolean,  # EXIF said it was to be turned
        "cropped": pl.Boolean,  # a uniform border was cut off
        "dhash": pl.String,  # 64 bits as hex, of the upright variant
    }
)
_TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
_SHEET = 40  # thumbnails on the contact sheet


class _Seen:
    """Images kept so far: exact digests, and difference hashes within a Hamming distance."""

    def __init__(self, max_distance: int) -> None:
        self._max = max_distance
        self._hashes: list[tuple[int, str]] = []

    def twin(self, dhash: int) -> tuple[str, int] | None:
        """The doc_id and distance of the nearest kept image, if it is near enough."""
        near = min(((dhash ^ other).bit_count(), doc) for other, doc in self._hashes) if self._hashes else None
        return (near[1], near[0]) if near is not None and near[0] <= self._max else None

    def add(self, dhash: int, doc_id: str) -> None:
        """Remember a kept image."""
        self._hashes.append((dhash, doc_id))


def run(inputs: Inputs, out: WorkDir, config: ImageDatasetConfig, progress: Progress) -> Report:
    """The stage's entry: see the module."""
    raw = inputs.one("raw_crawl")
    index = pl.read_parquet(raw.file("index.parquet")).filter(pl.col("record_type") == "response").sort("warc_file", "offset")
    records = index.filter(pl.col("kind") == "image")
    texts = captions(raw.files, index.filter(pl.col("kind") == "page").iter_rows(named=True)) if records.height else {}
    (out.files / "images").mkdir(exist_ok=True)
    seen, rows, ledger = _Seen(config.max_hash_distance), list[dict[str, Any]](), list[dict[str, Any]]()
    thumbs: list[Image.Image] = []
    for number, row in enumerate(records.iter_rows(named=True), 1):
        verdict, variants, thumb = _one(raw.files, row, config, seen, texts, out.files / "images")
        ledger.append(ledger_row(out.partition, "image_dataset", row["doc_id"], row["url"], verdict))
        rows += variants
        thumbs += [thumb] if thumb is not None and len(thumbs) < _SHEET else []
        progress.update(number, records.height, "images")
    pl.DataFrame(rows, schema=IMAGES, orient="row").write_parquet(out.files / "images.parquet", compression="zstd")
    contact_sheet(thumbs).save(out.files / "contact_sheet.png", optimize=True)
    counts = write_ledger(out.files, ledger_frame(ledger))
    upright = [row for row in rows if row["rotation_degrees"] == 0]
    return Report(
        counts={**counts, "files": len(rows)},
        metrics={
            "oriented": sum(row["oriented"] for row in upright),
            "cropped": sum(row["cropped"] for row in upright),
            "captioned": sum(bool(row["caption"]) for row in upright),
        },
        plots={"contact sheet": "contact_sheet.png"} if thumbs else {},
        samples={"caption": upright[0]["caption"]} if upright else {},
    )


def _one(
    files: Path,
    row: Mapping[str, Any],
    config: ImageDatasetConfig,
    seen: _Seen,
    texts: Mapping[str, tuple[str, str]],
    folder: Path,
) -> tuple[Verdict, list[dict[str, Any]], Image.Image | None]:
    refused = _optout(row, config)
    if refused is not None:
        return refused, [], None
    try:
        (_, _, body) = next(read_payloads(files, [row]))
    except InputError as error:
        return Verdict(False, "unreadable_record", detail=str(error)[:100]), [], None
    picture, verdict = decode(body, config)
    if picture is None:
        return verdict, [], None
    image = fit(picture.image, config.max_side_pixels)
    dhash = difference_hash(image)
    twin = seen.twin(dhash)
    if twin is not None:
        return Verdict(False, "duplicate_image", twin[1], config.max_hash_distance, related_doc=twin[0]), [], None
    seen.add(dhash, row["doc_id"])
    caption, page = texts.get(row["canonical_url"], ("", ""))
    variants = []
    for degrees in config.rotations_degrees:
        turned = image.transpose(_TURNS[degrees]) if degrees else image
        data = png(turned)
        sha256 = hashlib.sha256(data).hexdigest()
        (folder / f"{sha256}.png").write_bytes(data)
        variants.append(
            {
                "doc_id": row["doc_id"],
                "url": row["url"],
                "page_url": page,
                "caption": caption,
                "sha256": sha256,
                "rotation_degrees": degrees,
                "width": turned.width,
                "height": turned.height,
                "oriented": picture.oriented,
                "cropped": picture.cropped,
                "dhash": f"{dhash:016x}",
            }
        )
    return KEEP, variants, image


def _optout(row: Mapping[str, Any], config: ImageDatasetConfig) -> Verdict | None:
    for signal in config.honour_optouts:
        if row.get(f"optout_{signal}"):
            return Verdict(False, f"optout_{signal}")
    if row["truncated"]:
        return Verdict(False, "truncated")
    return None


def gates(inputs: Inputs, files: Path, config: ImageDatasetConfig, report: Report) -> list[Gate]:
    """Every file decodes to the size on record, enough was kept, the table is sound."""
    frame = pl.read_parquet(files / "images.parquet")
    bad = []
    for row in frame.iter_rows(named=True):
        path = files / "images" / f"{row['sha256']}.png"
        try:
            data = path.read_bytes()
            with Image.open(path) as image:
                image.load()
                if image.size != (row["width"], row["height"]) or hashlib.sha256(data).hexdigest() != row["sha256"]:
                    bad.append(row["sha256"])
        except OSError:
            bad.append(row["sha256"])
    seen, kept = report.counts["documents_in"], report.counts["kept"]
    share = kept / seen if seen else 1.0
    return [
        Gate("images_decode", not bad, f"{len(bad)} of {frame.height} files do not decode as recorded", {"bad": bad[:5]}),
        Gate(
            "enough_kept",
            share >= config.min_kept_share,
            f"{kept} of {seen} images kept, at least {config.min_kept_share:.0%} expected; look at the ledger's rules",
            {"share_kept": share},
        ),
        expectations.check(
            "images_table",
            frame.select("doc_id", "sha256", "rotation_degrees", "width", "height"),
            [
                ("expect_column_values_to_not_be_null", {"column": "doc_id"}),
                ("expect_column_values_to_match_regex", {"column": "sha256", "regex": "^[0-9a-f]{64}$"}),
                ("expect_column_values_to_be_in_set", {"column": "rotation_degrees", "value_set": config.rotations_degrees}),
                ("expect_column_min_to_be_between", {"column": "width", "min_value": config.min_side_pixels}),
                ("expect_column_values_to_be_between", {"column": "height", "min_value": config.min_side_pixels}),
            ]
            if frame.height
            else [("expect_table_row_count_to_equal", {"value": 0})],
        ),
    ]
