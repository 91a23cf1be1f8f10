"""Shapes: borders go from opposite sides only, sizes are judged by what is left, PNGs are made of pixels alone."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from llm_assets.core.plots import MAX_BYTES
from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.stages.images import shape
from llm_assets.stages.images.sheet import write_sheet
from tests.support.pictures import noise, picture

CONFIG = ImageDatasetConfig()


def framed(left, top, right, bottom, colour="white"):
    inside = picture()
    image = Image.new("RGB", (inside.width + left + right, inside.height + top + bottom), colour)
    image.paste(inside, (left, top))
    return image


def bordered_by_loops(image, tolerance):
    """The rule of ``crop_border`` said again, pixel by pixel."""
    pixels = np.asarray(image, dtype=int)
    differs = (np.abs(pixels - pixels[0, 0]) > tolerance).any(axis=2)
    if not differs.any():
        return (0, 0, *image.size)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    top, bottom = (rows[0], rows[-1] + 1) if rows[0] > 0 and rows[-1] + 1 < image.height else (0, image.height)
    left, right = (columns[0], columns[-1] + 1) if columns[0] > 0 and columns[-1] + 1 < image.width else (0, image.width)
    return (left, top, right, bottom)


@pytest.mark.parametrize(
    "sides", [(30, 20, 30, 20), (9, 0, 5, 0), (0, 7, 0, 12), (9, 0, 0, 0), (0, 7, 0, 0), (5, 5, 0, 5), (0, 0, 0, 0)]
)
@pytest.mark.parametrize("tolerance", [0, 12, 60])
def test_borders_go_as_the_rule_says(sides, tolerance):
    image = framed(*sides)
    cut = shape.crop_border(image, tolerance)
    assert cut.tobytes() == image.crop(bordered_by_loops(image, tolerance)).tobytes()
    if sides == (30, 20, 30, 20):
        assert cut.size == (120, 80)
    if sides == (9, 0, 0, 0):
        assert cut.size == image.size  # a frame has two sides


def test_borders_may_be_a_little_uneven():
    image = framed(20, 20, 20, 20, (230, 230, 230))
    image.putpixel((3, 3), (236, 225, 230))
    assert shape.crop_border(image, 12).size == (120, 80)
    image.putpixel((3, 3), (250, 225, 230))
    assert shape.crop_border(image, 12).size == (137, 97)


def test_a_single_colour_is_left_alone():
    assert shape.crop_border(Image.new("RGB", (40, 40), "red"), 5).size == (40, 40)


STRIP = Image.new("RGB", (200, 200), "white")  # a large frame around a narrow strip: what is left counts
STRIP.paste(picture(20, 80), (60, 60))


@pytest.mark.parametrize(
    ("image", "rule", "value", "threshold"),
    [
        (picture(200, 31), "too_small", 31, 32),
        (STRIP, "too_small", 20, 32),
        (picture(900, 100), "too_long", 9.0, 8.0),
        (Image.new("RGB", (64, 64), "navy"), "one_colour", 0, 8),
    ],
)
def test_what_can_not_be_used_says_why(image, rule, value, threshold):
    found, verdict = shape.shaped(image, CONFIG)
    assert found is None
    assert (verdict.kept, verdict.rule, verdict.value, verdict.threshold) == (False, rule, value, threshold)


def test_one_colour_is_judged_by_the_channel_that_varies_most():
    image = Image.new("RGB", (64, 64), (10, 10, 10))
    image.paste((10, 10, 18), (10, 10, 50, 50))
    config = CONFIG.model_copy(update={"crop_borders": False})
    assert shape.shaped(image, config)[1].kept
    image.paste((10, 10, 17), (10, 10, 50, 50))
    assert shape.shaped(image, config)[1].value == 7


def test_the_middle_is_cut_out_where_squares_are_asked():
    square, _ = shape.shaped(picture(200, 100), ImageDatasetConfig(shape="square", crop_borders=False))
    assert square.tobytes() == picture(200, 100).crop((50, 0, 150, 100)).tobytes()


def test_large_images_are_scaled_to_the_longer_side():
    found, _ = shape.shaped(picture(600, 300), ImageDatasetConfig(max_side_pixels=150))
    assert found.size == (150, 75)
    small, _ = shape.shaped(picture(), ImageDatasetConfig(max_side_pixels=150))
    assert small.size == (120, 80)


def test_transparent_parts_are_seen_as_white():
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((10, 10, 30, 30), fill=(255, 0, 0, 255))
    seen = shape.flat(image)
    assert (seen.getpixel((0, 0)), seen.getpixel((20, 20))) == ((255, 255, 255), (255, 0, 0))


@pytest.mark.parametrize("make", [picture, noise])
@pytest.mark.parametrize("count", [0, 1, 9, 40, 60])
def test_a_contact_sheet_fits_into_metadata_whatever_it_shows(make, count, tmp_path):
    paths = []
    for number in range(count):
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(shape.png(make(100, 90, number % 8)))
    write_sheet(tmp_path / "sheet.png", paths)
    assert (tmp_path / "sheet.png").stat().st_size <= MAX_BYTES
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width >= 500
        colours = len(sheet.convert("RGB").getcolors(1 << 24))
        assert (colours > 1) == (count > 0)
