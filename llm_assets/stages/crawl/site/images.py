"""Images of the site: drawn, not stored. Some carry an EXIF orientation, some a white border, some are tiny or broken."""

import io
from functools import lru_cache

from PIL import Image, ImageDraw

from llm_assets.stages.crawl.site.plan import draw

KINDS = ("plain", "rotated", "bordered", "tiny", "broken")
_ORIENTATION_TAG, _ROTATED_90 = 0x0112, 6  # EXIF: "turn by 90 degrees clockwise to view"


@lru_cache(maxsize=256)
def image(key: str, name: str) -> tuple[bytes, str]:
    """(bytes, content type) of the image of this name; the same name gives the same bytes."""
    kind = kind_of(key, name)
    picture = _landscape(key, name)
    jpeg = draw(key, "format", name) < 0.6
    if kind == "tiny":
        picture = picture.resize((12, 9))
    if kind == "bordered":
        framed = Image.new("RGB", (picture.width + 60, picture.height + 40), "white")
        framed.paste(picture, (30, 20))
        picture = framed
    out = io.BytesIO()
    if kind == "rotated":
        exif = Image.Exif()
        exif[_ORIENTATION_TAG] = _ROTATED_90
        picture.transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", quality=85, exif=exif)
        jpeg = True
    else:
        picture.save(out, "JPEG" if jpeg else "PNG", **({"quality": 85} if jpeg else {}))
    data = out.getvalue()
    if kind == "broken":
        data = data[: len(data) // 3]
    return data, "image/jpeg" if jpeg else "image/png"


def kind_of(key: str, name: str) -> str:
    """Half are plain; the others are shared by the four kinds that need work."""
    value = draw(key, "image", name)
    return KINDS[0] if value < 0.5 else KINDS[1 + int((value - 0.5) * 8)]


def _landscape(key: str, name: str) -> Image.Image:
    """Sky, hills and a sun: not uniform, so that a border can be told from it, and no two the same."""
    width, height = 240 + int(draw(key, "w", name) * 160), 160 + int(draw(key, "h", name) * 100)
    tint = int(draw(key, "tint", name) * 120)
    sky = Image.linear_gradient("L").resize((width, height))
    picture = Image.merge(
        "RGB", (sky.point(lambda v: v // 3 + tint), sky.point(lambda v: v // 2 + 60), sky.point(lambda v: 255 - v // 3))
    )
    pen = ImageDraw.Draw(picture)
    for number in range(6):
        x = draw(key, f"x{number}", name) * width
        rise = height * (0.35 + 0.4 * draw(key, f"y{number}", name))
        shade = 40 + number * 22
        pen.polygon([(x - 130, height), (x, rise), (x + 130, height)], fill=(shade // 2, shade, (shade + tint) // 2))
    radius = 10 + draw(key, "sun", name) * 20
    x, y = draw(key, "sx", name) * width, radius + 8
    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(255, 220, 120))
    return picture
