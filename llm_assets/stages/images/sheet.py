"""The contact sheet: some of the kept images at a glance, small enough for an asset's metadata whatever they show."""

import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from llm_assets.core.plots import MAX_BYTES
from llm_assets.stages.images.shape import fit, flat

# (thumbnails, longest side in pixels, colours; 0: all), the next where the one before is too large: noise does not compress
_SIZES = ((40, 96, 0), (40, 96, 256), (40, 72, 128), (24, 72, 64), (16, 64, 32))
MOST = _SIZES[0][0]
_COLUMNS = 8
_GAP = 4


def write_sheet(path: Path, images: Sequence[Path]) -> None:
    """Draw the images (of which the first 40 are looked at) into a PNG of at most 200 kB."""
    loaded = [_thumb(image) for image in images[:MOST]]
    for count, side, colours in _SIZES:
        sheet = contact_sheet(loaded[:count], side)
        out = io.BytesIO()
        (sheet.quantize(colours) if colours else sheet).save(out, "PNG", optimize=True)
        if out.tell() <= MAX_BYTES:
            path.write_bytes(out.getvalue())
            return
    raise ValueError(f"the contact sheet stays above {MAX_BYTES:,} bytes; show fewer images")


def _thumb(path: Path) -> Image.Image:
    with Image.open(path, formats=["PNG"]) as image:
        return fit(flat(image), _SIZES[0][1])


def contact_sheet(images: Sequence[Image.Image], side: int) -> Image.Image:
    """Thumbnails in rows on white."""
    rows = max(1, -(-len(images) // _COLUMNS))
    cell = side + _GAP
    sheet = Image.new("RGB", (_COLUMNS * cell, rows * cell), "white")
    for number, image in enumerate(images):
        thumb = fit(image, side)
        x, y = number % _COLUMNS * cell, number // _COLUMNS * cell
        sheet.paste(thumb, (x + (cell - thumb.width) // 2, y + (cell - thumb.height) // 2))
    return sheet
