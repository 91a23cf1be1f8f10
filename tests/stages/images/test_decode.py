"""Decoding: every kind of file gives upright sRGB pixels or a rule; nothing that the bytes hold is raised."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageSequence, PngImagePlugin

from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.stages.images.decode import ORIENTATION, decode, format_of, gif_frames, quiet
from tests.support.pictures import encoded, noise, picture

CONFIG = ImageDatasetConfig()
EVERYTHING = ImageDatasetConfig(formats=["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\nshowpage\n"
SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="90" height="90"><script>alert(1)</script></svg>'


def near(image, x, y, colour, tolerance=6):
    return all(abs(a - b) <= tolerance for a, b in zip(image.getpixel((x, y)), colour, strict=True))


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(png, kind, data):
    """A PNG with one more chunk after its header."""
    return png[:33] + png_chunk(kind, data) + png[33:]


def verdict_of(data, config=CONFIG):
    found, verdict = decode(data, config)
    assert (found is None) == (not verdict.kept)
    return verdict


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
def test_each_format_that_is_allowed_is_decoded(kind):
    found, verdict = decode(encoded(picture(), kind), EVERYTHING)
    assert verdict.kept
    assert (found.format, found.width, found.height, found.frames) == (kind, 120, 80, 1)
    assert found.image.mode == "RGB"
    assert near(found.image, 30, 30, (250, 20, 20), 24)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (EPS, "EPS"),
        (b"\xc5\xd0\xd3\xc6" + EPS, "EPS"),
        (SVG, "SVG"),
        (b"\xef\xbb\xbf  <!DOCTYPE html><html>Not found</html>", "HTML"),
        (b"%PDF-1.7\n", "PDF"),
        (encoded(picture(), "TIFF"), "TIFF"),
        (encoded(picture(), "AVIF"), "AVIF"),
        (encoded(picture(), "ICO"), "ICO"),
        (encoded(picture(), "JPEG2000"), "JPEG 2000"),
    ],
)
def test_what_is_not_on_the_list_reaches_no_decoder(data, name, monkeypatch):
    """Pillow starts Ghostscript for EPS; an SVG is a program too. Neither is opened, and the ledger says what it was."""
    monkeypatch.setattr(Image, "open", lambda *a, **k: pytest.fail("opened"))
    verdict = verdict_of(data)
    assert (verdict.rule, verdict.detail) == ("format_not_allowed", name)


def test_the_recipe_says_which_formats_are_decoded():
    assert verdict_of(encoded(picture()), ImageDatasetConfig(formats=["JPEG"])).rule == "format_not_allowed"
    assert verdict_of(encoded(picture(), "JPEG"), ImageDatasetConfig(formats=["JPEG"])).kept


def test_only_the_decoder_of_the_first_bytes_is_tried():
    """A file that begins as a PNG and goes on as something else is a broken PNG."""
    verdict = verdict_of(b"\x89PNG\r\n\x1a\n" + EPS)
    assert verdict.rule == "broken_image"
    assert verdict.detail.startswith("PNG: ")


@pytest.mark.parametrize("cut", [0.4, 0.7, 0.97])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP"])
def test_a_clipped_file_is_broken(kind, cut):
    data = encoded(noise(), kind)
    verdict = verdict_of(data[: int(len(data) * cut)])
    assert verdict.rule == "broken_image"
    assert verdict.detail.startswith(f"{kind}: ")


@pytest.mark.parametrize("data", [b"", b"no image at all", b"RIFF1234WAVE"])
def test_bytes_of_no_known_format_are_broken(data):
    assert verdict_of(data).rule == "broken_image"
    assert format_of(data) == ""


def test_a_bomb_of_pixels_is_refused_by_its_header():
    """Case B07, for images: 64 million pixels in some kilobytes are never decoded."""
    bomb = encoded(Image.new("1", (8000, 8000)))
    assert len(bomb) < 100_000
    verdict = verdict_of(bomb)
    assert (verdict.rule, verdict.value, verdict.threshold) == ("too_many_pixels", 64_000_000, 50_000_000)


def test_a_header_that_claims_more_pixels_than_pillow_would_open_is_refused():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")
    assert verdict_of(data).rule == "too_many_pixels"


def test_a_bomb_of_text_beside_the_pixels_is_refused():
    text = b"Comment\0\0" + zlib.compress(b"a" * 50_000_000, 9)
    assert len(text) < 60_000
    assert verdict_of(with_chunk(encoded(picture()), b"zTXt", text)).rule == "broken_image"


def test_a_file_of_too_many_bytes_is_not_opened(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *a, **k: pytest.fail("opened"))
    data = encoded(picture())
    verdict = verdict_of(data, ImageDatasetConfig(max_bytes=len(data) - 1))
    assert (verdict.rule, verdict.value, verdict.threshold) == ("too_many_bytes", len(data), len(data) - 1)


def animation(kind, frames, **options):
    images = [picture(seed=n) for n in range(frames)]
    return encoded(images[0], kind, save_all=True, append_images=images[1:], **options)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind):
    options = {} if kind == "TIFF" else {"duration": 40, "lossless": True} if kind == "WEBP" else {"duration": 40}
    found, verdict = decode(animation(kind, 4, **options), EVERYTHING)
    assert verdict.kept
    assert found.frames == 4
    assert near(found.image, 12, 30, (250, 20, 20), 24)  # where the disc of the first frame stands, and of no other
    assert not near(found.image, 65, 30, (250, 20, 20), 24)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_of_too_many_frames_is_refused(kind):
    data = animation(kind, 4, **({} if kind == "TIFF" else {"duration": 40}))
    strict = EVERYTHING.model_copy(update={"max_frames": 3})
    verdict = verdict_of(data, strict)
    assert (verdict.rule, verdict.value, verdict.threshold) == ("too_many_frames", 4, 3)
    assert verdict_of(data, EVERYTHING.model_copy(update={"max_frames": 4})).kept


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("palette", ["global", "local"])
def test_frames_of_a_gif_are_those_that_pillow_meets(frames, palette):
    images = [noise(40, 40, n) for n in range(frames)] if palette == "local" else [picture(seed=n) for n in range(frames)]
    data = encoded(images[0], "GIF", save_all=True, append_images=images[1:], duration=30, comment=b"x" * 600)
    with Image.open(io.BytesIO(data)) as opened:
        assert gif_frames(data, 100) == len(list(ImageSequence.Iterator(opened))) == frames
    assert gif_frames(data, 3) == min(frames, 3)


def test_a_gif_of_a_million_tiny_frames_costs_no_decoding():
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    data = b"GIF89a" + struct.pack("<HHBBB", 50, 50, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + frame * 100_000 + b"\x3b"
    assert verdict_of(data).rule == "too_many_frames"


def corners(image):
    """Which quarter is red, green, blue, white, clockwise from the upper left."""
    width, height = image.size
    points = [
        (width // 4, height // 4),
        (3 * width // 4, height // 4),
        (3 * width // 4, 3 * height // 4),
        (width // 4, 3 * height // 4),
    ]
    named = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    return [next(name for name, colour in named.items() if near(image, *point, colour, 40)) for point in points]


def quarters():
    image = Image.new("RGB", (96, 64), "white")
    image.paste("red", (0, 0, 48, 32))
    image.paste("lime", (48, 0, 96, 32))
    image.paste("blue", (48, 32, 96, 64))
    return image


# how a camera that was held in each of the eight ways stores the scene
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(("orientation", "stored"), STORED.items())
def test_each_exif_orientation_is_undone(orientation, stored, kind):
    scene = quarters()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = encoded(scene if stored is None else scene.transpose(stored), kind, exif=exif)
    found, verdict = decode(data, EVERYTHING)
    assert verdict.kept
    assert found.image.size == (96, 64)
    assert corners(found.image) == ["red", "green", "blue", "white"]
    assert found.oriented == (orientation != 1) or kind == "TIFF"  # Pillow turns a TIFF while it decodes it
    assert not found.image.getexif() and not found.image.info


@pytest.mark.parametrize("value", [0, 9, 77, 65_535])
def test_an_orientation_that_does_not_exist_turns_nothing(value):
    exif = Image.Exif()
    exif[ORIENTATION] = value
    found, _ = decode(encoded(quarters(), "JPEG", exif=exif), CONFIG)
    assert not found.oriented and corners(found.image) == ["red", "green", "blue", "white"]


def test_damaged_exif_is_a_line_in_the_ledger_and_not_a_crash():
    rubbish = b"no TIFF header"
    exif = {"exif": b"Exif\0\0" + rubbish}
    for data in (
        with_chunk(encoded(picture()), b"eXIf", rubbish),
        encoded(picture(), "JPEG", **exif),
        encoded(picture(), "WEBP", **exif),
    ):
        found, verdict = decode(data, CONFIG)
        assert verdict.kept and not found.oriented
        assert (found.exif_damaged, verdict.detail) == (True, "EXIF damaged: orientation unknown")


def test_exif_that_ends_early_turns_nothing():
    data = with_chunk(encoded(picture()), b"eXIf", b"II*\0\xff\xff\xff\x7f")
    with quiet():
        found, verdict = decode(data, CONFIG)
    assert verdict.kept and not found.oriented


def test_cmyk_is_made_rgb():
    red = Image.new("CMYK", (64, 64), (0, 255, 255, 0))
    found, verdict = decode(encoded(red, "JPEG", quality=95), CONFIG)
    assert verdict.kept and found.image.mode == "RGB"
    assert near(found.image, 32, 32, (255, 0, 0), 12)


def test_sixteen_bits_keep_their_greys():
    """Pillow by itself cuts 16-bit greys off at 255, and everything is white."""
    ramp = np.linspace(0, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
    data = encoded(Image.fromarray(ramp))
    assert Image.open(io.BytesIO(data)).mode == "I;16"
    found, verdict = decode(data, CONFIG)
    assert verdict.kept
    greys = np.asarray(found.image)[..., 0]
    assert np.array_equal(greys, ramp >> 8)


def test_pixels_of_unknown_range_are_refused():
    floats = Image.fromarray(np.zeros((64, 64), np.float32))
    verdict = verdict_of(encoded(floats, "TIFF"), EVERYTHING)
    assert (verdict.rule, verdict.detail) == ("format_not_allowed", "TIFF with pixels of kind F")


def transparent(kind):
    """A red square on nothing, as a palette or with an alpha channel."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (16, 16, 48, 48))
    if kind == "palette":
        small = Image.new("P", (64, 64), 0)
        small.putpalette([0, 0, 0, 255, 0, 0])
        small.paste(1, (16, 16, 48, 48))
        return encoded(small, "PNG", transparency=0)
    if kind == "bytes":
        small = Image.new("P", (64, 64), 0)
        small.putpalette([0, 0, 0, 255, 0, 0])
        small.paste(1, (16, 16, 48, 48))
        return encoded(small, "PNG", transparency=b"\0\xff")
    if kind == "grey":
        grey = Image.new("LA", (64, 64), (0, 0))
        grey.paste((76, 255), (16, 16, 48, 48))
        return encoded(grey)
    return encoded(image, kind, **({"lossless": True} if kind == "WEBP" else {}))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "GIF", "palette", "bytes", "grey"])
def test_what_is_transparent_is_laid_on_white_and_not_on_black(kind):
    with quiet():
        found, verdict = decode(transparent(kind), CONFIG)
    assert verdict.kept and found.transparent
    assert found.image.mode == "RGB"
    assert near(found.image, 4, 4, (255, 255, 255))
    assert near(found.image, 32, 32, (76, 76, 76) if kind == "grey" else (255, 0, 0))


def test_transparency_is_kept_where_the_recipe_says_so():
    found, _ = decode(transparent("palette"), ImageDatasetConfig(transparency="keep"))
    assert found.image.mode == "RGBA"
    assert found.image.getpixel((4, 4))[3] == 0 and found.image.getpixel((32, 32)) == (255, 0, 0, 255)


def test_an_alpha_channel_that_hides_nothing_is_no_transparency():
    found, _ = decode(encoded(picture().convert("RGBA")), ImageDatasetConfig(transparency="keep"))
    assert not found.transparent and found.image.mode == "RGB"


def profile(name):
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()


def wide_gamut():
    """A profile whose red and green are swapped: whoever ignores it sees other colours. Its name does not say sRGB."""
    data = bytearray(profile("sRGB"))
    tags = {}
    for n in range(struct.unpack(">I", data[128:132])[0]):
        at = 132 + 12 * n
        tags[bytes(data[at : at + 4])] = at
    data[tags[b"rXYZ"] : tags[b"rXYZ"] + 4], data[tags[b"gXYZ"] : tags[b"gXYZ"] + 4] = b"gXYZ", b"rXYZ"
    return bytes(data).replace("sRGB".encode("utf-16-be"), "mine".encode("utf-16-be"))


def test_colours_of_a_profile_become_srgb():
    found, _ = decode(encoded(picture(), icc_profile=wide_gamut()), CONFIG)
    assert found.profile == "converted"
    assert near(found.image, 30, 30, (20, 250, 20), 30)
    ignored, _ = decode(encoded(picture(), icc_profile=wide_gamut()), ImageDatasetConfig(convert_profiles=False))
    assert ignored.profile == "none" and near(ignored.image, 30, 30, (250, 20, 20))
    assert not found.image.info  # the profile does not go on with the pixels


def test_an_srgb_profile_changes_no_pixel():
    found, _ = decode(encoded(picture(), icc_profile=profile("sRGB")), CONFIG)
    assert found.image.tobytes() == picture().tobytes()


@pytest.mark.parametrize("damage", ["clipped", "rubbish", "other kind"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_damaged_profile_costs_the_profile_and_not_the_image(damage, kind):
    bad = {"clipped": profile("sRGB")[:200], "rubbish": b"\0" * 300, "other kind": profile("LAB")}[damage]
    found, verdict = decode(encoded(picture(), kind, icc_profile=bad), CONFIG)
    assert verdict.kept
    assert found.profile == "unusable"
    assert near(found.image, 30, 30, (250, 20, 20), 30)


def test_large_photographs_are_decoded_reduced():
    """A JPEG gives a quarter of its pixels for a quarter of the work; what it was is still on record."""
    found, _ = decode(encoded(picture(1600, 1200), "JPEG"), ImageDatasetConfig(max_side_pixels=256))
    assert (found.width, found.height) == (1600, 1200)
    assert 512 <= max(found.image.size) < 1600


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_flipped_bytes_are_decoded_or_broken_and_never_raise(kind):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {} if kind in ("GIF", "BMP") else {"exif": exif, "icc_profile": profile("sRGB")}
    info = {"pnginfo": PngImagePlugin.PngInfo()} if kind == "PNG" else {}
    whole = encoded(noise(24, 24), kind, **options, **info)
    chance = random.Random(7)
    rules = set()
    with quiet():
        for _ in range(250):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 6)):
                data[chance.randrange(min(len(data), 900))] = chance.randrange(256)
            if chance.random() < 0.3:
                del data[chance.randrange(20, len(data)) :]
            rules.add(verdict_of(bytes(data), EVERYTHING).rule)
    assert "broken_image" in rules
