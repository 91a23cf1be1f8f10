"""One image: decoded within limits, oriented by EXIF, uniform borders cropped, copies recognised.

Order matters: a border is found only after the orientation is right, and copies are compared as they will be stored.
"""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from llm_assets.core.ledger import KEEP, Verdict
from llm_assets.core.recipe.corpus import ImageDatasetConfig


@dataclass(frozen=True)
class Picture:
    """A decoded image (RGB) with what was done to it."""

    image: Image.Image
    oriented: bool
    cropped: bool


def decode(data: bytes, config: ImageDatasetConfig) -> tuple[Picture | None, Verdict]:
    """Decode, orient and crop; a ``Verdict`` with the rule that dropped it otherwise.

    The size is read from the header before any pixel is decoded, so a bomb costs nothing.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
            pixels = image.width * image.height
            if pixels > config.max_pixels:
                return None, Verdict(False, "too_many_pixels", pixels, config.max_pixels)
            image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None, Verdict(False, "too_many_pixels", None, config.max_pixels)
    except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for damaged files
        return None, Verdict(False, "broken_image", detail=type(error).__name__)
    turned = ImageOps.exif_transpose(image)
    oriented = image.getexif().get(0x0112, 1) != 1
    rgb = turned.convert("RGB")
    cropped = crop_border(rgb, config.border_tolerance) if config.crop_borders else rgb
    side = min(cropped.size)
    if side < config.min_side_pixels:
        return None, Verdict(False, "too_small", side, config.min_side_pixels)
    return Picture(cropped, oriented, cropped.size != rgb.size), KEEP


def crop_border(image: Image.Image, tolerance: int) -> Image.Image:
    """Cut off edge rows and columns whose every pixel is within ``tolerance`` (of 255, each channel) of the corner's colour.

    A frame or a letterbox lies on opposite sides; an even sky lies on one. So rows go only if both the first and the last row
    are border, and columns likewise.
    """
    pixels = np.asarray(image, dtype=np.int16)
    differs = (np.abs(pixels - pixels[0, 0]) > tolerance).any(axis=2)
    if not differs.any():
        return image
    top, bottom = _span(differs.any(axis=1))
    left, right = _span(differs.any(axis=0))
    box = (left, top, right, bottom)
    return image if box == (0, 0, *image.size) else image.crop(box)


def _span(content: NDArray[np.bool_]) -> tuple[int, int]:
    where = np.flatnonzero(content)
    first, last = int(where[0]), int(where[-1]) + 1
    return (first, last) if first > 0 and last < len(content) else (0, len(content))


def difference_hash(image: Image.Image) -> int:
    """64-bit difference hash (dHash: Krawetz, 2013): is each of 8 × 8 grey cells brighter than its right neighbour?"""
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR), dtype=np.int16)
    bits = (cells[:, :-1] > cells[:, 1:]).ravel()
    return int(sum(1 << position for position, bit in enumerate(bits) if bit))


def png(image: Image.Image) -> bytes:
    """PNG without metadata: the same pixels give the same bytes."""
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return out.getvalue()


def fit(image: Image.Image, max_side: int) -> Image.Image:
    """Scale down so that the longer side is at most ``max_side`` pixels."""
    scale = max_side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def contact_sheet(images: list[Image.Image], side: int = 96, columns: int = 8) -> Image.Image:
    """Thumbnails in rows on white, for a person to look at."""
    rows = max(1, -(-len(images) // columns))
    sheet = Image.new("RGB", (columns * (side + 4), rows * (side + 4)), "white")
    for number, image in enumerate(images):
        thumb = fit(image, side)
        x, y = number % columns * (side + 4), number // columns * (side + 4)
        sheet.paste(thumb, (x + (side - thumb.width) // 2 + 2, y + (side - thumb.height) // 2 + 2))
    return sheet
