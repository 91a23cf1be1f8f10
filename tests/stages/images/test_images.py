"""The stage on raw crawls made here: every image has a fate, copies do not depend on the order, gates refuse doctored folders."""

import random

import numpy as np
import polars as pl
import pytest
from PIL import Image, PngImagePlugin

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.jsonio import write_json
from llm_assets.core.ledger import counts_add_up
from llm_assets.core.manifest import hash_files
from llm_assets.core.progress import Recording, Silent
from llm_assets.core.recipe.images import ImageDatasetConfig
from llm_assets.defs import metadata
from llm_assets.stages.images import checks
from llm_assets.stages.images.run import IMAGES, run
from tests.support.pictures import crawl, doc, encoded, noise, picture

CONFIG = ImageDatasetConfig()
PAGE = b'<p>x</p><img src="/a.png" alt="A red  sun &amp; sky"><img src="/big.jpg" alt="photo"><img src="/copy.gif" alt="Sun, small">'
ITEMS = [
    ("page.html", PAGE, {}),
    ("gone.html", b"<img src='/other.png' alt='x y'>", {"length": 20}),
    ("a.png", encoded(picture()), {}),
    ("twin/a.png", encoded(picture()), {}),
    ("big.jpg", encoded(picture().resize((240, 160)), "JPEG"), {}),
    ("copy.gif", encoded(picture(), "GIF"), {}),
    ("other.png", encoded(picture(seed=5)), {}),
    ("private.png", encoded(picture(seed=3)), {"optout_noai": True}),
    ("cut.png", encoded(picture(seed=4)), {"truncated": True}),
    ("broken.png", encoded(noise())[:900], {}),
    ("clipped.png", encoded(picture(seed=2)), {"length": 20}),
    ("garbled.png", b"not gzip at all", {"headers": "Content-Encoding: gzip\r\n"}),
    ("logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", {}),
    ("dot.png", encoded(picture(12, 12)), {}),
    ("line.png", encoded(picture(640, 40)), {}),
    ("blank.png", encoded(Image.new("RGB", (64, 64), "white")), {}),
]


def made_of(folder, items, config=CONFIG, progress=None):
    raw = crawl(folder / "raw", [(name, data, dict(changes)) for name, data, changes in items])
    inputs = Inputs.of({"raw_crawl": [raw]})
    work = WorkDir.at(folder / "work", "crawl", "image_dataset")
    return inputs, work.files, run(inputs, work, config, progress or Silent())


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return made_of(tmp_path_factory.mktemp("made"), ITEMS)


@pytest.fixture
def made(tmp_path):
    return made_of(tmp_path, ITEMS)


def fates(files):
    ledger = pl.read_parquet(files / "ledger.parquet")
    return {row["url"].removeprefix("http://site.example/"): row for row in ledger.iter_rows(named=True)}


def test_each_image_has_a_fate_and_the_counts_add_up(shared):
    _, files, report = shared
    assert counts_add_up(report.counts)
    assert {name: row["rule"] for name, row in fates(files).items()} == {
        "a.png": "near_duplicate",
        "twin/a.png": "near_duplicate",
        "big.jpg": "kept",
        "copy.gif": "near_duplicate",
        "other.png": "kept",
        "private.png": "optout_noai",
        "cut.png": "truncated",
        "broken.png": "broken_image",
        "clipped.png": "unreadable_record",
        "garbled.png": "unreadable_record",
        "logo.svg": "format_not_allowed",
        "dot.png": "too_small",
        "line.png": "too_long",
        "blank.png": "one_colour",
    }
    assert report.counts["documents_in"] == 14 and report.counts["kept"] == 2
    assert report.metrics["pages_unreadable"] == 1


def test_the_larger_copy_stays_and_the_others_name_it_with_their_distance(shared):
    _, files, _ = shared
    for name in ("a.png", "twin/a.png", "copy.gif"):
        row = fates(files)[name]
        assert row["related_doc"] == doc("big.jpg")
        assert row["value"] <= row["threshold"] == CONFIG.max_hash_distance
    table = pl.read_parquet(files / "images.parquet")
    assert table.schema == IMAGES
    assert dict(table.filter(pl.col("rotation_degrees") == 0).select("url", "copies").iter_rows()) == {
        "http://site.example/big.jpg": 3,
        "http://site.example/other.png": 0,
    }


def test_of_equal_bytes_the_first_address_stays_and_is_decoded_once(tmp_path):
    data = encoded(picture())
    _, files, _ = made_of(tmp_path, [("z.png", data, {}), ("b.png", data, {}), ("m.png", data, {"optout_tdm": True})])
    assert [path.stem for path in (tmp_path / "work/private/images").iterdir()] == [doc("b.png")]
    found = fates(files)
    assert (found["b.png"]["rule"], found["z.png"]["rule"], found["m.png"]["rule"]) == ("kept", "exact_duplicate", "optout_tdm")
    assert found["z.png"]["related_doc"] == doc("b.png")
    broken = encoded(noise())[:500]
    _, files, _ = made_of(tmp_path / "other", [("z.png", broken, {}), ("b.png", broken, {})])
    assert {row["rule"] for row in fates(files).values()} == {"broken_image"}


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_crawl_plays_no_part(shared, tmp_path, seed):
    """The same records in another order: the same images, the same fates, the same captions, byte for byte."""
    shuffled = list(ITEMS)
    random.Random(seed).shuffle(shuffled)
    _, files, _ = made_of(tmp_path, shuffled)
    _, first, _ = shared
    assert {n: row["rule"] for n, row in fates(files).items()} == {n: row["rule"] for n, row in fates(first).items()}
    hashes, expected = hash_files(files), hash_files(first)
    assert {n: h for n, h in hashes.items() if n != "ledger.parquet"} == {
        n: h for n, h in expected.items() if n != "ledger.parquet"
    }


def test_how_many_work_at_a_time_changes_nothing(shared, tmp_path):
    _, files, _ = made_of(tmp_path, ITEMS, ImageDatasetConfig(workers=1))
    assert hash_files(files) == hash_files(shared[1])


def test_a_killed_run_is_made_whole_by_the_next(shared, tmp_path):
    class Killed(Silent):
        def update(self, done, total, unit, /, **metrics):
            if done > 6:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_of(tmp_path, ITEMS, progress=Killed())
    inputs = Inputs.of({"raw_crawl": [tmp_path / "raw"]})
    work = WorkDir.at(tmp_path / "work", "crawl", "image_dataset")
    run(inputs, work, CONFIG, Silent())
    assert hash_files(work.files) == hash_files(shared[1])


def test_each_kept_image_is_stored_for_each_rotation(shared):
    _, files, report = shared
    table = pl.read_parquet(files / "images.parquet")
    assert sorted(table["rotation_degrees"]) == [0, 0, 90, 90]
    assert report.counts["files"] == 4
    upright, turned = table.filter(pl.col("doc_id") == doc("other.png")).sort("rotation_degrees").iter_rows(named=True)
    assert (turned["width"], turned["height"]) == (upright["height"], upright["width"])
    one, two = (Image.open(files / "images" / f"{row['sha256']}.png") for row in (upright, turned))
    assert one.transpose(Image.Transpose.ROTATE_270).tobytes() == two.tobytes()


def test_rotations_without_the_upright_one(tmp_path):
    _, files, report = made_of(tmp_path, [("a.png", encoded(picture()), {})], ImageDatasetConfig(rotations_degrees=[180, 270]))
    assert sorted(pl.read_parquet(files / "images.parquet")["rotation_degrees"]) == [180, 270]
    assert report.plots and report.metrics["captioned"] == 0


def test_the_caption_of_a_copy_is_taken_where_the_kept_one_has_none(shared):
    """Of big.jpg its page says "photo" only; of its copy it says more."""
    _, files, report = shared
    table = pl.read_parquet(files / "images.parquet").filter(pl.col("rotation_degrees") == 0)
    row = table.row(by_predicate=pl.col("doc_id") == doc("big.jpg"), named=True)
    assert (row["caption"], row["caption_kind"], row["page_url"]) == ("A red sun & sky", "alt", "http://site.example/page.html")
    expected = {"captioned": 1, "captions_alt": 1, "captions_title": 0, "caption_words": 5, "captions_refused": 1}
    assert {key: report.metrics[key] for key in expected} == expected


def test_the_contact_sheet_is_in_the_metadata_as_an_inline_picture(shared):
    _, files, report = shared
    shown = metadata.plot(files / report.plots["contact sheet"], "contact sheet")
    assert shown.value.startswith("![contact sheet](data:image/png;base64,")
    assert len(shown.value) < 4 / 3 * metadata.MAX_PLOT_BYTES + 100


def test_a_page_that_kills_a_native_parser_does_no_harm(tmp_path):
    """Case B10, for captions."""
    items = [("x.html", b"<svg><template>\n<img src=/a.png alt='A goat'>", {}), ("a.png", encoded(picture()), {})]
    _, files, _ = made_of(tmp_path, items)
    assert pl.read_parquet(files / "images.parquet")["caption"][0] == "A goat"


def test_pages_in_wide_charsets_have_captions_and_those_in_none_are_counted(tmp_path):
    """Case B08, for captions."""
    wide = '<img src="/a.png" alt="A goat">'.encode("utf-16")
    broken = b"<img src=/a.png alt=Nothing>" + bytes(range(128, 256)) * 3 + b"\x00\xff"
    _, files, report = made_of(tmp_path, [("x.html", wide, {}), ("y.html", broken, {}), ("a.png", encoded(picture()), {})])
    assert pl.read_parquet(files / "images.parquet")["caption"][0] == "A goat"
    assert report.metrics["pages_unreadable"] == 1


def test_an_empty_line_before_the_body_is_no_part_of_the_image(tmp_path):
    """Case B02, for images."""
    _, _, report = made_of(tmp_path, [("a.png", b"\r\n" + encoded(picture()), {})])
    assert report.counts["kept"] == 1


def test_progress_reaches_the_end(tmp_path):
    seen = Recording()
    made_of(tmp_path, ITEMS, progress=seen)
    assert seen.updates[-1][:3] == (14, 14, "images")


def failed(inputs, files, config, report):
    return [gate.name for gate in checks.gates(inputs, files, config, report) if not gate.passed]


def test_the_gates_pass_on_what_the_stage_made(shared):
    inputs, files, report = shared
    assert failed(inputs, files, CONFIG, report) == []


def rewrite(**columns):
    def change(files):
        table = pl.read_parquet(files / "images.parquet")
        table.with_columns(**columns).write_parquet(files / "images.parquet")

    return change


def index_of(made):
    def change(files):
        path = files / "copies/kept.parquet"
        made(pl.read_parquet(path)).write_parquet(path)

    return change


def first_png(files):
    return min((files / "images").glob("*.png"))


def with_text(files):
    path = first_png(files)
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "from the page")
    with Image.open(path) as image:
        image.load()
    image.save(path, pnginfo=info)


@pytest.mark.parametrize(
    ("gates", "change"),
    [
        ("images_decode", lambda files: first_png(files).write_bytes(b"no image")),
        ("images_decode", lambda files: first_png(files).write_bytes(first_png(files).read_bytes()[:-200])),
        ("images_decode", lambda files: first_png(files).write_bytes(encoded(picture(30, 30)))),
        ("images_decode", lambda files: first_png(files).unlink()),
        ("images_decode", lambda files: (files / "images" / "stranger.png").write_bytes(encoded(picture()))),
        ("images_decode", with_text),
        ("images_table", rewrite(rotation_degrees=pl.lit(45, pl.Int16))),
        ("images_table, index_complete", rewrite(doc_id=pl.lit("0" * 32))),
        ("images_table, index_complete", rewrite(doc_id=pl.lit(None, pl.String))),
        ("images_table", rewrite(source_format=pl.lit("EPS"))),
        ("images_table", rewrite(caption=pl.lit("x" * 501))),
        ("images_table", rewrite(more=pl.lit(1))),
        ("index_complete", index_of(lambda kept: kept.head(1))),
        ("index_complete", index_of(lambda kept: kept.with_columns(pl.col("dhash") + 1))),
        ("index_complete", index_of(lambda kept: kept.with_columns(payload_digest=pl.lit("sha256:0")))),
        ("index_complete", lambda files: np.save(files / "copies/thumbs.npy", np.zeros((1, 16, 16, 3), np.uint8))),
        ("index_complete", lambda files: write_json(files / "copies/index.json", {"format": 1})),
    ],
)
def test_a_doctored_folder_is_refused(made, gates, change):
    inputs, files, report = made
    change(files)
    assert ", ".join(failed(inputs, files, CONFIG, report)) == gates


def test_the_share_that_must_be_kept_leaves_copies_and_optouts_out(shared):
    """Of 14 images 4 are copies or opted out; 2 of the 10 others were kept."""
    inputs, files, report = shared
    asked = {"min_judged_images": 10}
    assert failed(inputs, files, ImageDatasetConfig(min_kept_share=0.2, **asked), report) == []
    assert failed(inputs, files, ImageDatasetConfig(min_kept_share=0.21, **asked), report) == ["enough_kept"]
    assert failed(inputs, files, ImageDatasetConfig(min_kept_share=0.9, min_judged_images=11), report) == []


def test_a_crawl_without_images_is_no_error(tmp_path):
    inputs, files, report = made_of(tmp_path, [("page.html", b"<p>x</p>", {})])
    assert report.counts == {"documents_in": 0, "kept": 0, "files": 0}
    assert failed(inputs, files, CONFIG, report) == []


def test_a_value_that_stands_twice_in_the_recipe_is_refused():
    with pytest.raises(ValueError, match="a value stands twice"):
        ImageDatasetConfig(rotations_degrees=[90, 90])
