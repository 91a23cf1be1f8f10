"""Images: orientation, borders, copies, bombs, broken files; gates refuse doctored folders."""

import gzip
import io
import warnings
from datetime import UTC, datetime

import polars as pl
import pytest
from PIL import Image, ImageDraw

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.documents import RAW_INDEX, payload_digest
from llm_assets.core.ledger import counts_add_up
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.corpus import ImageDatasetConfig
from llm_assets.stages.images import process
from llm_assets.stages.images.run import gates, run

CONFIG = ImageDatasetConfig()


def picture(width=120, height=80, seed=0):
    image = Image.linear_gradient("L").resize((width, height)).point(lambda v: 40 + v * 3 // 5).convert("RGB")
    ImageDraw.Draw(image).ellipse([10 + seed * 7, 10, 50 + seed * 7, 50], fill=(250, 20, 20 + seed))
    return image


def encoded(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_exif_orientation_is_applied_and_gone():
    exif = Image.Exif()
    exif[0x0112] = 6
    found, verdict = process.decode(encoded(picture(), "JPEG", exif=exif), CONFIG)
    assert verdict.kept
    assert found.oriented
    assert found.image.size == (80, 120)
    assert not found.image.getexif()


def test_a_uniform_border_is_cut_off_and_a_picture_without_one_is_not():
    framed = Image.new("RGB", (180, 120), "white")
    framed.paste(picture(), (30, 20))
    found, _ = process.decode(encoded(framed), CONFIG)
    assert found.cropped
    assert found.image.size == (120, 80)
    plain, _ = process.decode(encoded(picture()), CONFIG)
    assert not plain.cropped


def test_a_single_colour_is_left_alone():
    assert process.crop_border(Image.new("RGB", (40, 40), "red"), 5).size == (40, 40)


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (encoded(picture())[:60], "broken_image"),
        (b"<html>not an image</html>", "broken_image"),
        (encoded(picture(16, 16)), "too_small"),
    ],
)
def test_what_can_not_be_used_says_why(data, rule):
    found, verdict = process.decode(data, CONFIG)
    assert found is None
    assert (verdict.kept, verdict.rule) == (False, rule)


def test_a_bomb_is_refused_by_its_header():
    """Case B07, for images: 64 million pixels in some kilobytes are never decoded."""
    bomb = encoded(Image.new("1", (8000, 8000)))
    assert len(bomb) < 100_000
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, verdict = process.decode(bomb, CONFIG)
    assert found is None
    assert (verdict.rule, verdict.value) == ("too_many_pixels", 64_000_000)


def test_a_copy_in_another_format_and_size_has_a_near_hash_and_another_picture_has_not():
    one = process.difference_hash(picture())
    copy = Image.open(io.BytesIO(encoded(picture().resize((240, 160)), "JPEG", quality=70)))
    assert (one ^ process.difference_hash(copy)).bit_count() <= CONFIG.max_hash_distance
    assert (one ^ process.difference_hash(picture(seed=5))).bit_count() > CONFIG.max_hash_distance


def record(payload, content_type):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
    body = head + payload
    warc = (
        "WARC/1.1\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-000000000000>\r\n"
        "WARC-Date: 2026-11-01T00:00:00Z\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    return gzip.compress(warc + body + b"\r\n\r\n")


def crawl(folder, items):
    """A raw_crawl folder of (name, kind, payload, changes to the index row)."""
    (folder / "warc").mkdir(parents=True)
    rows, offset = [], 0
    with open(folder / "warc" / "part-00000.warc.gz", "wb") as handle:
        for number, (name, kind, payload, changes) in enumerate(items):
            data = record(payload, "text/html" if kind == "page" else "image/png")
            handle.write(data)
            url = f"http://site.example/{name}"
            rows.append(
                {
                    **dict.fromkeys(RAW_INDEX.names()),
                    "doc_id": f"{number:032x}",
                    "url": url,
                    "canonical_url": url,
                    "fetched_at": datetime(2026, 11, 1, tzinfo=UTC),
                    "status": 200,
                    "kind": kind,
                    "record_type": "response",
                    "payload_digest": payload_digest(payload),
                    "warc_file": "warc/part-00000.warc.gz",
                    "offset": offset,
                    "length": len(data),
                    "truncated": False,
                    "optout_robots_ai": False,
                    "optout_noai": False,
                    "optout_tdm": False,
                    **changes,
                }
            )
            offset += len(data)
    pl.DataFrame(rows, schema=RAW_INDEX).write_parquet(folder / "index.parquet")


@pytest.fixture
def made(tmp_path):
    page = '<p>x</p><img src="/a.png" alt="A red  sun &amp; sky"><img src="data:image/png;base64,AA" alt="x">'
    crawl(
        tmp_path / "raw",
        [
            ("page", "page", page.encode(), {}),
            ("a.png", "image", encoded(picture()), {}),
            ("copy.png", "image", encoded(picture(), "JPEG"), {}),
            ("other.png", "image", encoded(picture(seed=5)), {}),
            ("private.png", "image", encoded(picture(seed=3)), {"optout_noai": True}),
            ("broken.png", "image", encoded(picture())[:50], {}),
            ("clipped.png", "image", encoded(picture(seed=2)), {"length": 20}),
        ],
    )
    inputs = Inputs.of({"raw_crawl": [tmp_path / "raw"]})
    work = WorkDir.at(tmp_path / "work", "crawl", "image_dataset")
    return inputs, work.files, run(inputs, work, CONFIG, Silent())


def test_each_record_has_a_fate_and_the_counts_add_up(made):
    _, files, report = made
    assert counts_add_up(report.counts)
    assert {k: v for k, v in report.counts.items() if k.startswith("dropped")} == {
        "dropped:broken_image": 1,
        "dropped:duplicate_image": 1,
        "dropped:optout_noai": 1,
        "dropped:unreadable_record": 1,
    }
    copy = pl.read_parquet(files / "ledger.parquet").filter(pl.col("rule") == "duplicate_image").row(0, named=True)
    assert copy["related_doc"] == f"{1:032x}"


def test_each_kept_image_is_stored_for_each_rotation_with_its_alt_text(made):
    _, files, _ = made
    table = pl.read_parquet(files / "images.parquet")
    assert sorted(table["rotation_degrees"]) == [0, 0, 90, 90]
    upright, turned = table.filter(pl.col("doc_id") == f"{1:032x}").sort("rotation_degrees").iter_rows(named=True)
    assert upright["caption"] == "A red sun & sky"
    assert upright["page_url"] == "http://site.example/page"
    assert (turned["width"], turned["height"]) == (upright["height"], upright["width"])
    one, two = (Image.open(files / "images" / f"{row['sha256']}.png") for row in (upright, turned))
    assert list(two.transpose(Image.Transpose.ROTATE_90).get_flattened_data()) == list(one.get_flattened_data())
    assert (files / "contact_sheet.png").stat().st_size < 200_000


def test_the_gates_pass_and_refuse_a_doctored_folder(made):
    inputs, files, report = made
    assert all(gate.passed for gate in gates(inputs, files, CONFIG, report))
    next((files / "images").glob("*.png")).write_bytes(b"no image")
    assert [g.name for g in gates(inputs, files, CONFIG, report) if not g.passed] == ["images_decode"]
    strict = ImageDatasetConfig(min_kept_share=0.9)
    assert "enough_kept" in [g.name for g in gates(inputs, files, strict, report) if not g.passed]
    table = pl.read_parquet(files / "images.parquet").with_columns(rotation_degrees=pl.lit(45, pl.Int16))
    table.write_parquet(files / "images.parquet")
    assert "images_table" in [g.name for g in gates(inputs, files, CONFIG, report) if not g.passed]


def test_a_crawl_without_images_is_no_error(tmp_path):
    crawl(tmp_path / "raw", [("page", "page", b"<p>x</p>", {})])
    inputs = Inputs.of({"raw_crawl": [tmp_path / "raw"]})
    work = WorkDir.at(tmp_path / "work", "crawl", "image_dataset")
    report = run(inputs, work, CONFIG, Silent())
    assert report.counts == {"documents_in": 0, "kept": 0, "files": 0}
    assert all(gate.passed for gate in gates(inputs, work.files, CONFIG, report))
