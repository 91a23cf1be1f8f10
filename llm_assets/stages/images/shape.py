"""From upright pixels to those that are stored: borders off, square if asked, scaled down; and what is too small to keep.

A border is found only after the orientation is right, and sizes are judged by what is left.
"""

import io

from PIL import Image, ImageChops

from llm_assets.core.ledger import KEEP, Verdict
from llm_assets.core.recipe.images import ImageDatasetConfig

TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}


def shaped(image: Image.Image, config: ImageDatasetConfig) -> tuple[Image.Image | None, Verdict]:
    """The image cropped and scaled, or the verdict that drops it."""
    cropped = crop_border(image, config.border_tolerance) if config.crop_borders else image
    short, long = sorted(cropped.size)
    if short < config.min_side_pixels:
        return None, Verdict(False, "too_small", short, config.min_side_pixels)
    if long > config.max_aspect * short:
        return None, Verdict(False, "too_long", long / short, config.max_aspect)
    contrast = _contrast(cropped)
    if contrast < config.min_contrast:
        return None, Verdict(False, "one_colour", contrast, config.min_contrast)
    middle = _middle(cropped) if config.shape == "square" else cropped
    return fit(middle, config.max_side_pixels), KEEP


def crop_border(image: Image.Image, tolerance: int) -> Image.Image:
    """Cut off edge rows and columns whose every pixel is within ``tolerance`` (of 255, each channel) of the corner's colour.

    A frame or a letterbox lies on opposite sides; an even sky lies on one. So rows go only if both the first and the last row
    are border, and columns likewise.
    """
    corner = Image.new(image.mode, image.size, image.getpixel((0, 0)))
    differs = ImageChops.difference(image, corner).point(lambda value: 255 * (value > tolerance))
    box = differs.getbbox(alpha_only=False)
    if box is None:
        return image
    left, top, right, bottom = box
    if not (left > 0 and right < image.width):
        left, right = 0, image.width
    if not (top > 0 and bottom < image.height):
        top, bottom = 0, image.height
    return image if (left, top, right, bottom) == (0, 0, *image.size) else image.crop((left, top, right, bottom))


def _contrast(image: Image.Image) -> int:
    """Darkest to lightest pixel of the channel where they are furthest apart, of 255."""
    tables = (band.histogram() for band in image.split())
    levels = ([level for level, pixels in enumerate(table) if pixels] for table in tables)
    return max(found[-1] - found[0] for found in levels)


def _middle(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def fit(image: Image.Image, max_side: int) -> Image.Image:
    """Scale down so that the longer side is at most ``max_side`` pixels."""
    scale = max_side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def flat(image: Image.Image) -> Image.Image:
    """RGB, transparent parts laid on white: what a person sees."""
    if image.mode == "RGB":
        return image
    return Image.composite(image.convert("RGB"), Image.new("RGB", image.size, "white"), image.getchannel("A"))


def png(image: Image.Image) -> bytes:
    """PNG without metadata: the same pixels give the same bytes."""
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False)
    return out.getvalue()
