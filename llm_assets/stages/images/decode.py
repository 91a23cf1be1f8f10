"""Bytes of an image → upright sRGB pixels, or the rule that dropped it. Whatever the bytes hold, nothing is raised.

The format is told by the first bytes, and only the one decoder of that format is tried: Pillow by itself would also take
formats for which it starts another program (EPS). Size and frames are read from headers before any pixel is decoded, so a bomb
costs nothing.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from PIL import AvifImagePlugin as AvifImagePlugin
from PIL import BmpImagePlugin as BmpImagePlugin
from PIL import GifImagePlugin as GifImagePlugin
from PIL import Image, ImageCms
from PIL import JpegImagePlugin as JpegImagePlugin
from PIL import PngImagePlugin as PngImagePlugin
from PIL import TiffImagePlugin as TiffImagePlugin
from PIL import WebPImagePlugin as WebPImagePlugin

from llm_assets.core.ledger import KEEP, Verdict
from llm_assets.core.recipe.images import ImageDatasetConfig

ORIENTATION = 0x0112  # the EXIF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# what stands at offset 0 (or at the offset given) of each kind of file
_MAGIC: tuple[tuple[str, int, bytes], ...] = (
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"),
    ("WEBP", 8, b"WEBP"),
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\0"),
    ("TIFF", 0, b"MM\0*"),
    ("AVIF", 4, b"ftypavif"),
    ("AVIF", 4, b"ftypavis"),
    ("HEIC", 4, b"ftyp"),
    ("EPS", 0, b"%!PS"),
    ("EPS", 0, b"\xc5\xd0\xd3\xc6"),
    ("PDF", 0, b"%PDF"),
    ("ICO", 0, b"\0\0\1\0"),
    ("PSD", 0, b"8BPS"),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("JPEG 2000", 4, b"jP  "),
)
_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "La", "RGBa"})
_SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B"})
# colour space of a profile → the pixels that it is for
_PROFILED = {"RGB ": ("RGB", "P", "L", "1", "YCbCr", "RGBX"), "GRAY": ("L", "1"), "CMYK": ("CMYK",)}
# What decoders raise for damaged files; the tests flip bytes of every format to see that there is nothing else.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, AttributeError, RuntimeError,
    AssertionError, struct.error, zlib.error,
)  # fmt: skip

Profile = Literal["none", "converted", "unusable"]


@dataclass(frozen=True)
class Picture:
    """Upright pixels (RGB, or RGBA where transparency is kept), and what the file was."""

    image: Image.Image
    format: str
    width: int  # of the file, before it was turned or reduced
    height: int
    frames: int
    oriented: bool  # EXIF said it was to be turned
    transparent: bool
    profile: Profile
    exif_damaged: bool  # it could not be told whether it was to be turned


@contextmanager
def quiet() -> Iterator[None]:
    """Without Pillow's warnings of damage and of size, which the ledger tells. Warnings are the process's: enter it once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def format_of(data: bytes) -> str:
    """The name of a file's format by its first bytes; "" where they are of no known one."""
    for name, offset, magic in _MAGIC:
        if data.startswith(magic, offset) and (name != "WEBP" or data.startswith(b"RIFF")):
            return name
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"<"):
        return "SVG" if b"<svg" in head.lower() else "HTML"
    return ""


def decode(data: bytes, config: ImageDatasetConfig) -> tuple[Picture | None, Verdict]:
    """The picture, or the verdict that drops it."""
    if len(data) > config.max_bytes:
        return None, Verdict(False, "too_many_bytes", len(data), config.max_bytes)
    name = format_of(data)
    if not name:
        return None, Verdict(False, "broken_image", detail="no known format" if data else "empty")
    if name not in config.formats:
        return None, Verdict(False, "format_not_allowed", detail=name)
    try:
        return _decoded(data, name, config)
    except Image.DecompressionBombError:
        return None, Verdict(False, "too_many_pixels", None, config.max_pixels)
    except _DAMAGE as error:
        return None, Verdict(False, "broken_image", detail=f"{name}: {_said(error)}")


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {''.join(c for c in text if c.isascii() and c.isprintable())[:60]}"


def _decoded(data: bytes, name: str, config: ImageDatasetConfig) -> tuple[Picture | None, Verdict]:
    image: Any = Image.open(io.BytesIO(data), formats=[name])
    width, height = image.size
    if width * height > config.max_pixels:
        return None, Verdict(False, "too_many_pixels", width * height, config.max_pixels)
    frames = _frames(image, data, config.max_frames)
    if frames > config.max_frames:
        return None, Verdict(False, "too_many_frames", frames, config.max_frames)
    if image.mode not in _EIGHT_BITS | _SIXTEEN_BITS:
        return None, Verdict(False, "format_not_allowed", detail=f"{name} with pixels of kind {image.mode}")
    if name == "JPEG":  # decode at a half, quarter or eighth where that still leaves twice the pixels wanted
        image.draft(None, (2 * config.max_side_pixels, 2 * config.max_side_pixels))
    image.load()
    turn, exif_damaged = _turn(image)
    pixels, alpha, profile = _colours(image, config.convert_profiles)
    if alpha is not None:
        pixels = _with_alpha(pixels, alpha, config.transparency)
    upright = pixels.transpose(turn) if turn is not None else pixels
    upright.info.clear()  # pixels alone: no EXIF, profile or text of the file goes on
    verdict = Verdict(True, detail="EXIF damaged: orientation unknown") if exif_damaged else KEEP
    return Picture(upright, name, width, height, frames, turn is not None, alpha is not None, profile, exif_damaged), verdict


def _frames(image: Any, data: bytes, most: int) -> int:
    """Frames as far as ``most`` + 1; nothing is decoded for it."""
    if image.format == "GIF":
        return gif_frames(data, most + 1)
    if image.format == "TIFF":
        return _tiff_frames(image, most + 1)
    return int(getattr(image, "n_frames", 1))


def _tiff_frames(image: Any, most: int) -> int:
    """One step at a time: after a longer one Pillow 13 counts frames that are not there."""
    found = 1
    try:
        while found < most:
            image.seek(found)
            found += 1
    except EOFError:  # that was the last
        pass
    image.seek(0)
    return found


def gif_frames(data: bytes, most: int) -> int:
    """Image blocks of a GIF, counted no further than ``most``, by stepping over its blocks; at least 1."""
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    found = 0
    while at + 10 <= len(data) and found < most:
        if data[at] == 0x2C:  # an image: descriptor, own palette, code size, sub-blocks
            found += 1
            packed = data[at + 9]
            at += 11 + (3 << (packed & 7) + 1 if packed & 0x80 else 0)
        elif data[at] == 0x21:  # an extension: label, sub-blocks
            at += 2
        else:
            break
        while at < len(data) and data[at]:
            at += data[at] + 1
        at += 1
    return max(1, found)


def _turn(image: Image.Image) -> tuple[Image.Transpose | None, bool]:
    """How the file says that its pixels are to be turned, and whether what it says can't be read."""
    try:
        if image.info.get("exif"):
            Image.Exif().load(image.info["exif"])  # raises for damage that Pillow, having met it in a JPEG before, keeps silent
        return _TURNS.get(image.getexif().get(ORIENTATION, 1)), False
    except _DAMAGE:
        return None, True


def _colours(image: Image.Image, convert: bool) -> tuple[Image.Image, Image.Image | None, Profile]:
    """RGB pixels, their alpha channel if some pixel is transparent, and what became of the profile."""
    profile = image.info.get("icc_profile") if convert else None
    alpha = None
    base = image
    if image.mode in _SIXTEEN_BITS:  # Pillow would cut values off at 255
        base = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        whole = image.convert("RGBA")
        base, alpha = whole.convert("RGB"), whole.getchannel("A")
        alpha = alpha if alpha.getextrema()[0] != 255 else None
    if not profile:
        return base.convert("RGB"), alpha, "none"
    try:
        return _to_srgb(base, profile), alpha, "converted"
    except (*_DAMAGE, ImageCms.PyCMSError):
        return base.convert("RGB"), alpha, "unusable"


def _to_srgb(base: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space
    if base.mode not in _PROFILED[space]:
        raise ValueError(f"a profile for {space.strip()} on pixels of kind {base.mode}")
    if space == "RGB " and "sRGB" in ImageCms.getProfileDescription(source):
        return base.convert("RGB")
    made = base.convert({"RGB ": "RGB", "GRAY": "L"}.get(space, base.mode))
    found = ImageCms.profileToProfile(made, source, _srgb(), outputMode="RGB")
    if found is None:
        raise ValueError("the profile gave no image")
    return found


@cache
def _srgb() -> Any:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _with_alpha(pixels: Image.Image, alpha: Image.Image, transparency: str) -> Image.Image:
    if transparency == "keep":
        pixels.putalpha(alpha)
        return pixels
    return Image.composite(pixels, Image.new("RGB", pixels.size, "white"), alpha)
