"""Copies across crawls: the oldest wins. Each crawl leaves an index of what it kept, which later ones read and none rewrites.

``copies/``: ``index.json`` (what two crawls must share to be compared), ``kept.parquet`` (``doc_id``, ``payload_digest``,
``dhash`` as a number; in the order in which they were kept) and ``thumbs.npy`` (n, 16, 16, 3) uint8, which a reader maps: only
the rows that it compares are read. Memory holds the hashes of one older crawl at a time.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_assets.core.artefact import Artefact
from llm_assets.core.comparable import check_comparable
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.ledger import Verdict
from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.stages.images.copies import SIDE, Candidate, band_masks, colour_difference

FOLDER = "copies"
KEPT = pl.Schema({"doc_id": pl.String, "payload_digest": pl.String, "dhash": pl.UInt64})
_FORMAT = 1
# What decides the pixels that hash and thumbnail are of.
_SHAPING = ("max_side_pixels", "transparency", "convert_profiles", "crop_borders", "border_tolerance", "shape")
_BLOCK = 1 << 16  # hashes of an older crawl that are looked up at a time


def parameters(config: ImageDatasetConfig) -> dict[str, Any]:
    """What two crawls must share to be compared."""
    return {"format": _FORMAT, **{name: getattr(config, name) for name in _SHAPING}}


def write_index(files: Path, kept: Sequence[Candidate], digests: Mapping[str, str], config: ImageDatasetConfig) -> None:
    """Write ``copies/``. ``digests``: by doc_id the digest of the bytes that came."""
    folder = files / FOLDER
    folder.mkdir(exist_ok=True)
    rows = [(one.doc_id, digests[one.doc_id], one.dhash) for one in kept]
    pl.DataFrame(rows, schema=KEPT, orient="row").write_parquet(folder / "kept.parquet", compression="zstd")
    thumbs = np.stack([one.thumb for one in kept]) if kept else np.empty((0, SIDE, SIDE, 3), np.uint8)
    np.save(folder / "thumbs.npy", thumbs, allow_pickle=False)
    write_json(folder / "index.json", parameters(config))


class OlderImages:
    """The index of an older crawl; nothing of it is held. ``InputError`` where ``config`` can't be compared with it."""

    def __init__(self, artefact: Artefact, config: ImageDatasetConfig) -> None:
        self.crawl = artefact.partition
        folder = artefact.file(FOLDER)
        about = read_json(folder / "index.json")
        check_comparable(artefact, about, parameters(config))
        self._kept, self._thumbs = folder / "kept.parquet", folder / "thumbs.npy"

    def equal(self, digests: Collection[str]) -> dict[str, str]:
        """Of these payload digests those that an image kept here has → its doc_id."""
        kept = pl.scan_parquet(self._kept).filter(pl.col("payload_digest").is_in(list(digests)))
        return dict(kept.select("payload_digest", "doc_id").collect().iter_rows())

    def hashes(self) -> NDArray[np.uint64]:
        """(n,) uint64."""
        return pl.read_parquet(self._kept, columns=["dhash"])["dhash"].to_numpy()

    def doc_id(self, row: int) -> str:
        """The id of one image."""
        found: str = pl.scan_parquet(self._kept).select("doc_id").slice(row, 1).collect().item()
        return found

    def thumbs(self) -> NDArray[np.uint8]:
        """(n, 16, 16, 3) uint8, mapped."""
        return np.asarray(np.load(self._thumbs, mmap_mode="r", allow_pickle=False))


def equal_in(older: Sequence[OlderImages], digests: Collection[str]) -> dict[str, Verdict]:
    """By payload digest the verdict on images whose very bytes an older crawl kept; the oldest is named."""
    found: dict[str, Verdict] = {}
    for index in older:
        left = set(digests) - found.keys()
        for digest, doc_id in index.equal(left).items() if left else ():
            found[digest] = Verdict(False, "exact_duplicate", related_doc=doc_id, detail=f"of {index.crawl}")
    return found


def similar_in(
    older: Sequence[OlderImages], candidates: Sequence[Candidate], max_distance: int, max_difference: float
) -> dict[str, Verdict]:
    """By doc_id the verdict on candidates that are copies of what older crawls kept: of the nearest, of equals the oldest."""
    hashes = np.array([one.dhash for one in candidates], np.uint64)
    best: dict[int, tuple[int, OlderImages, int]] = {}
    for index in older if candidates else ():
        thumbs = index.thumbs()
        for distance, number, row in _near(hashes, index.hashes(), max_distance):
            if number in best and best[number][0] <= distance:
                continue
            if colour_difference(candidates[number].thumb, thumbs[row]) <= max_difference:
                best[number] = (distance, index, row)
    return {
        candidates[number].doc_id: Verdict(
            False, "near_duplicate", distance, max_distance, related_doc=index.doc_id(row), detail=f"of {index.crawl}"
        )
        for number, (distance, index, row) in best.items()
    }


def _near(new: NDArray[np.uint64], old: NDArray[np.uint64], max_distance: int) -> list[tuple[int, int, int]]:
    """(distance, number in ``new``, row in ``old``) of all pairs within the distance, sorted.

    For each pair of bands (see ``copies``) the new hashes are sorted and the old ones looked up in them, many at once.
    """
    found: set[tuple[int, int, int]] = set()
    for mask in band_masks(max_distance):
        bands = new & np.uint64(mask)
        by_band = np.argsort(bands, kind="stable")
        ordered = bands[by_band]
        for start in range(0, old.size, _BLOCK):
            wanted = old[start : start + _BLOCK] & np.uint64(mask)
            first, last = np.searchsorted(ordered, wanted, "left"), np.searchsorted(ordered, wanted, "right")
            sizes = last - first
            rows = np.repeat(np.arange(wanted.size), sizes)
            places = np.arange(rows.size) - np.repeat(np.cumsum(sizes) - sizes, sizes) + np.repeat(first, sizes)
            numbers, rows = by_band[places], rows + start
            distances = np.bitwise_count(new[numbers] ^ old[rows])
            close = distances <= max_distance
            found.update(zip(distances[close].tolist(), numbers[close].tolist(), rows[close].tolist(), strict=True))
    return sorted(found)
