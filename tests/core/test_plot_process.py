"""Plots drawn beside: the same bytes as here, errors raised here, and a process that dies costs no plot."""

import signal

import pytest

from llm_assets.core import plot_process, plots
from llm_assets.core.plot_process import beside


@pytest.fixture(autouse=True)
def own_process():
    """Each test has a process of its own, and leaves none."""
    plot_process.end()
    yield
    plot_process.end()


def draw(folder):
    plots.bars(folder / "bars.png", ["a", "b"], [3, 1.5], title="Bars", x="n")
    plots.histogram(folder / "deep" / "histogram.png", list(range(30_000)), title="Values", x="value")
    plots.line(folder / "line.png", {"one": ([1, 2], [float("nan"), 3])}, title="Line", x="x", y="y")
    plots.funnel(folder / "funnel.png", [("in", 10, {}), ("out", 7, {"rule": 3})], title="Funnel")


def written(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.png")}


def process():
    board = plot_process._board.get()
    return None if board is None else board.process


def test_the_same_bytes_wherever_they_are_drawn(tmp_path):
    draw(tmp_path / "here")
    with beside():
        first = process()
        draw(tmp_path / "beside")
    assert written(tmp_path / "beside") == written(tmp_path / "here")
    assert len(written(tmp_path / "here")) == 4
    with beside():
        assert process() is first  # it is kept for the next time
        plots.bars(tmp_path / "a.png", ["a"], [1], title="A", x="n")
        assert plots.data_uri(tmp_path / "a.png").startswith("data:image/png")  # which waits for it
    assert process() is None


def test_a_wrong_call_raises_what_it_raises_here(tmp_path):
    with pytest.raises(ValueError, match="1 labels for 2 values"), beside():
        plots.bars(tmp_path / "bars.png", ["a"], [1, 2], title="Bars", x="n")


def test_an_error_of_the_stage_ends_the_process(tmp_path):
    with pytest.raises(KeyError), beside():
        drawer = process()
        plots.bars(tmp_path / "bars.png", ["a"], [1], title="Bars", x="n")
        raise KeyError
    assert drawer.poll() is not None


def test_a_killed_process_costs_no_plot(tmp_path):
    draw(tmp_path / "here")
    with beside():
        drawer = process()
        drawer.send_signal(signal.SIGKILL)
        drawer.wait()
        draw(tmp_path / "beside")
    assert written(tmp_path / "beside") == written(tmp_path / "here")
    with beside():
        assert process() is not drawer


def test_blocks_within_blocks_have_their_own_process(tmp_path):
    with beside():
        outer = process()
        with beside():
            assert process() is not outer
            draw(tmp_path)
        assert process() is outer
    assert len(written(tmp_path)) == 4
