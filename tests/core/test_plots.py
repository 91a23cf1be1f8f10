import base64
import math

import pytest
from PIL import Image

from llm_assets.core import canvas, plots
from llm_assets.core.errors import InputError


def pixels(path):
    with Image.open(path) as picture:
        picture.load()
        return picture.convert("RGB").copy()


def colours(path):
    return {colour for _, colour in pixels(path).getcolors(1 << 20)}


def rgb(hexadecimal):
    return tuple(int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5))


def test_line_draws_each_series_in_its_own_colour(tmp_path):
    path = tmp_path / "deep" / "loss.png"
    steps = list(range(5_000))
    plots.line(
        path,
        {"train": (steps, [8 / (1 + s) for s in steps]), "validation": (steps, [9 / (1 + s) for s in steps])},
        title="Loss",
        x="step",
        y="nats",
        log_y=True,
    )
    assert path.stat().st_size <= plots.MAX_BYTES
    assert {rgb(plots.PALETTE[0]), rgb(plots.PALETTE[1])} <= colours(path)


def test_the_same_input_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        plots.line(tmp_path / name, {"s": ([1, 2, 3], [3, 1, 2])}, title="t", x="x", y="y")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize("values", [[], [math.nan, math.inf], [-1.0, 0.0]])
def test_a_line_without_drawable_values_is_still_a_picture(tmp_path, values):
    plots.line(tmp_path / "p.png", {"s": (range(len(values)), values)}, title="t", x="x", y="y", log_y=True)
    assert pixels(tmp_path / "p.png").size[0] > 100


def test_a_line_of_unequal_lengths_names_the_series(tmp_path):
    with pytest.raises(ValueError, match="'reward' has 2 x values and 1 y values"):
        plots.line(tmp_path / "p.png", {"reward": ([1, 2], [1])}, title="t", x="x", y="y")


def test_bars_are_as_long_as_their_values_on_both_sides_of_nought(tmp_path):
    plots.bars(tmp_path / "p.png", ["a", "b", "c"], [4, -2, 0], title="t", x="x")
    picture = pixels(tmp_path / "p.png")
    ours = [
        (x, y) for x in range(picture.width) for y in range(picture.height) if picture.getpixel((x, y)) == rgb(plots.PALETTE[0])
    ]
    middle = min(y for _, y in ours) + (max(y for _, y in ours) - min(y for _, y in ours)) // 2
    upper, lower = ([x for x, y in ours if (y < middle) == above] for above in (True, False))
    assert max(upper) - min(upper) == pytest.approx(2 * (max(lower) - min(lower)), abs=3)
    assert abs(min(upper) - max(lower)) <= 2


@pytest.mark.parametrize("steps", [[], [("in", 0, {})], [("in", 3, {}), ("out", 9, {"odd $x$ 中": 1})]])
def test_a_funnel_of_anything_is_a_picture(tmp_path, steps):
    plots.funnel(tmp_path / "p.png", steps, title="t")
    assert (rgb(plots.PALETTE[0]) in colours(tmp_path / "p.png")) == any(left for _, left, _ in steps)


@pytest.mark.parametrize(
    "low, high, said",
    [
        (0, 1000, "0 200 400 600 800 1000"),
        (-0.3, 0.92, "-0.2 0 0.2 0.4 0.6 0.8"),
        (5, 5, "5"),
        (0, math.inf, "0"),
        (math.nan, 1, ""),
    ],
)
def test_ticks_are_round_numbers_in_their_places(low, high, said):
    found = canvas.ticks(low, high, 7, lambda value: f"{value:.6g}")
    assert " ".join(text for _, text in found) == said
    if math.isfinite(high - low) and high > low:
        assert [low + at * (high - low) for at, _ in found] == pytest.approx([float(text) for text in said.split()])


def test_the_font_knows_what_it_cannot_draw():
    assert canvas.drawable("é") and canvas.drawable("−") and canvas.drawable("Ж")
    assert not canvas.drawable("中") and not canvas.drawable("\x00")


def test_bars_grow_with_their_number_and_stop_at_forty(tmp_path):
    plots.bars(tmp_path / "few.png", ["a", "b"], [1, 2], title="t", x="documents")
    plots.bars(tmp_path / "many.png", [str(n) for n in range(60)], range(60), title="t", x="documents")
    plots.bars(tmp_path / "forty.png", [str(n) for n in range(40)], range(40), title="t", x="documents")
    few, many, forty = (pixels(tmp_path / f"{name}.png").size for name in ("few", "many", "forty"))
    assert few[1] < many[1] == forty[1]
    with pytest.raises(ValueError, match="1 labels for 2 values"):
        plots.bars(tmp_path / "p.png", ["a"], [1, 2], title="t", x="x")


def test_labels_from_a_crawl_draw_without_math_or_missing_glyphs(tmp_path):
    """Text that looks like TeX, or that the font lacks, neither fails nor warns (warnings are errors here)."""
    labels = ["$\\frac{1}$", "中文 страница", "a\nb\x00c", "x" * 500]
    plots.bars(tmp_path / "p.png", labels, [1, math.nan, 3.5, 4], title="$100 & $200", x="$x$")
    plots.line(tmp_path / "q.png", {"$a": ([1], [2]), "$b$": ([1], [3])}, title="$", x="$", y="$y_$")
    assert (tmp_path / "p.png").stat().st_size <= plots.MAX_BYTES


def test_histogram_ignores_what_is_not_finite(tmp_path):
    plots.histogram(tmp_path / "a.png", [1.0, 2.0, 2.0, math.nan], title="t", x="words")
    plots.histogram(tmp_path / "b.png", [1.0, 2.0, 2.0], title="t", x="words")
    plots.histogram(tmp_path / "empty.png", [], title="t", x="words")
    assert rgb(plots.PALETTE[0]) in colours(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()  # the label says that one was left out
    assert rgb(plots.PALETTE[0]) not in colours(tmp_path / "empty.png")


def test_data_uri_round_trips_and_refuses_what_the_ui_cannot_show(tmp_path):
    path = tmp_path / "p.png"
    plots.bars(path, ["a"], [1], title="t", x="x")
    head, _, body = plots.data_uri(path).partition(",")
    assert head == "data:image/png;base64" and base64.b64decode(body) == path.read_bytes()
    path.write_bytes(path.read_bytes() + bytes(plots.MAX_BYTES))
    with pytest.raises(InputError, match="at most 200,000"):
        plots.data_uri(path)
    path.write_text("<svg/>")
    with pytest.raises(InputError, match="not a PNG"):
        plots.data_uri(path)


@pytest.mark.parametrize(
    "values",
    [[], [1.0], [2.0, 2.0, 2.0], [math.nan, 1e300, -1e300], [math.sin(n) * 1e6 for n in range(100_000)]],
)
def test_sparkline_stays_small_and_inside_its_frame(values):
    svg = plots.sparkline_svg(values)
    assert len(svg) < 700
    points = svg.partition('points="')[2].partition('"')[0].split()
    assert len(points) == min(50, sum(math.isfinite(v) for v in values))
    for point in points:
        x, y = map(float, point.split(","))
        assert 0 <= x <= 200 and 0 <= y <= 32


def test_sparkline_starts_low_and_ends_high_for_a_rising_curve():
    points = plots.sparkline_svg([1, 2, 3]).partition('points="')[2].partition('"')[0].split()
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights, reverse=True) and heights[0] > heights[-1]
