"""Views: languages, and a training's curve beside earlier ones, whatever the stage."""

import polars as pl
import pytest

from llm_assets.core import plots, views
from llm_assets.core.artefact import Artefact
from llm_assets.core.manifest import Manifest
from llm_assets.core.report import Report
from llm_assets.core.store import Store


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn: path → (series or labels, values)."""
    found = {}
    monkeypatch.setattr(plots, "line", lambda path, series, **_: found.update({path.name: series}))
    monkeypatch.setattr(plots, "bars", lambda path, labels, values, **_: found.update({path.name: (labels, values)}))
    return found


def trained(store, identity, started, losses, column="loss_nats", recipe="demo"):
    files = store.folder("base_model", "all", identity)
    files.mkdir(parents=True)
    pl.DataFrame({"step": range(1, len(losses) + 1), column: losses}).write_parquet(files / "history.parquet")
    manifest = Manifest(
        asset="base_model", partition="all", identity=identity, digest="d", code_version="1", started_at=started, recipe=recipe
    )
    manifest.save(files)
    return Artefact("base_model", "all", identity, files)


def test_earlier_runs_are_drawn_beside_this_one_the_newest_first(tmp_path, drawn):
    store = Store(tmp_path, "demo")
    for number in range(6):
        trained(
            store, f"run{number}abc", f"2026-11-0{number + 1}T10:00:00+00:00", [5.0 - number], recipe="demo" if number else "x"
        )
    trained(store, "other", "2026-11-09T10:00:00+00:00", [0.1], column="reward_sd")
    own = trained(store, "mine", "2026-11-10T10:00:00+00:00", [3.0, 2.0])
    report = Report()
    views.write(store, own, report)
    series = drawn["curves.png"]
    assert list(series) == ["this run", "2026-11-06 10:00 run5ab", "2026-11-05 10:00 run4ab", "2026-11-04 10:00 run3ab"]
    assert series["this run"] == ([1.0, 2.0], [3.0, 2.0])
    assert report.plots == {views.CURVES: "account/curves.png"}
    assert Report.load(own.files).plots == report.plots


def test_a_run_of_another_recipe_is_named_as_such(tmp_path, drawn):
    store = Store(tmp_path, "demo")
    trained(store, "smokes", "2026-11-01T10:00:00+00:00", [4.0], recipe="smoke")
    views.write(store, trained(store, "mine", "2026-11-02T10:00:00+00:00", [3.0]), Report())
    assert list(drawn["curves.png"])[1] == "2026-11-01 10:00 smokes (smoke)"


def test_a_long_curve_is_the_mean_of_its_parts(tmp_path, drawn):
    store = Store(tmp_path, "demo")
    own = trained(store, "mine", "", [float(step % 2) for step in range(1200)])
    views.write(store, own, Report())
    steps, losses = drawn["curves.png"]["this run"]
    assert len(steps) == 60 and steps[-1] == 1200 and set(losses) == {0.5}
    assert views.followed(own.files) == ("loss_nats", losses)


def test_languages_are_drawn_the_largest_first(tmp_path, drawn):
    own = Artefact("cleaned_corpus", "c", "i", tmp_path)
    report = Report(metrics={"documents_by_language": {"fr": 2, "en": 5, "de": 2}})
    views.write(Store(tmp_path, "demo"), own, report)
    assert drawn["languages.png"] == (["en", "de", "fr"], [5, 2, 2])


def test_nothing_is_drawn_where_nothing_applies(tmp_path, drawn):
    own = Artefact("tokenizer", "all", "i", tmp_path)
    report = Report(metrics={"documents_by_language": {}})
    pl.DataFrame({"step": [1]}).write_parquet(tmp_path / "history.parquet")
    views.write(Store(tmp_path, "demo"), own, report)
    assert drawn == {} and report.plots == {} and views.followed(tmp_path) is None
