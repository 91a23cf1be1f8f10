"""Where assets stand: what is fresh, what is not, and why."""

import dataclasses

import pytest
from filelock import FileLock

from llm_assets.core.errors import InputError, MissingInput
from llm_assets.core.freshness import Standing, in_order, plan, standings
from llm_assets.core.produce import produce
from llm_assets.core.recipe.base import Section
from llm_assets.core.spec import AssetSpec, Input
from llm_assets.core.store import Store
from tests.support import toy
from tests.support.toy import NUMBERS, TOTAL, NumbersConfig, TotalConfig

REPORT = AssetSpec("report", "tests.support.toy:fetch", inputs=(Input("total"),))
SPECS = {spec.name: spec for spec in (REPORT, TOTAL, NUMBERS)}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store", "toy")
    make(store)
    return store


def sections(**total):
    return {"numbers": NumbersConfig(), "total": TotalConfig(**total), "report": NumbersConfig()}


def make(store, crawl="first", **total):
    produce(store, NUMBERS, NumbersConfig(), partition=crawl)
    produce(store, TOTAL, TotalConfig(**total))
    produce(store, REPORT, NumbersConfig())


def found(store, specs=SPECS, crawls=(), **total):
    return {one.name: one for one in standings(store, specs, sections(**total), crawls)}


def state(store, **more):
    return {name: one.state for name, one in found(store, **more).items()}


def test_what_was_just_made_is_fresh_and_inputs_come_first(store):
    assert state(store) == {"numbers[first]": "fresh", "total": "fresh", "report": "fresh"}
    assert list(found(store)) == ["numbers[first]", "total", "report"]
    assert plan(found(store).values()) == plan([])


def test_a_changed_field_makes_stale_with_its_values_and_readers_behind(store):
    now = found(store, factor=3, workers=7)
    assert (now["total"].state, now["total"].reasons) == ("stale", ("total.factor: 1 → 3",))
    assert (now["report"].state, now["report"].roots) == ("behind", ("total",))


def test_execution_fields_make_nothing_stale(store):
    assert state(store, workers=9)["total"] == "fresh"


def test_a_raised_code_version_and_another_library_are_named(store):
    total = AssetSpec(**{**vars(TOTAL), "code_version": "2", "libraries": ("polars",)})
    [one] = [one for one in found(store, {**SPECS, "total": total}).values() if one.asset == "total"]
    assert one.state == "stale"
    assert one.reasons[0] == "code version 1 → 2"
    assert one.reasons[1].startswith("library polars none → ")


def test_new_other_and_lost_inputs_are_named(store):
    produce(store, NUMBERS, NumbersConfig(values=[5]), partition="second")
    assert found(store)["total"].reasons == ("numbers[second] is a new input",)
    make(store)
    produce(store, NUMBERS, NumbersConfig(values=[6]), partition="second", force=True)
    assert found(store)["total"].reasons == ("numbers[second] has other content",)
    (store.root / "numbers/second/CURRENT.toy").unlink()
    assert found(store)["total"].reasons == ("numbers[second] is no input any more",)


def test_a_crawl_that_was_not_made_leaves_its_readers_behind(store):
    now = found(store, crawls=["later"])
    assert (now["numbers[later]"].state, now["total"].state) == ("missing", "behind")
    assert now["report"].roots == ("numbers[later]",)


def test_a_source_stays_fresh_and_says_what_changed(store):
    [one] = [
        one for one in standings(store, SPECS, sections() | {"numbers": NumbersConfig(values=[7])}) if one.asset == "numbers"
    ]
    assert one.state == "fresh"
    assert one.reasons == ("numbers.values: [1, 2, 3] → [7]", "a source, which stays as it is until it is forced")


def test_an_artefact_that_gates_stopped_is_refused_and_the_old_one_is_read(store):
    before = store.current("total")
    assert produce(store, TOTAL, TotalConfig(factor=1000)).failed
    one = found(store, factor=1000)["total"]
    assert (one.state, one.identity) == ("refused", before.identity)
    assert one.reasons == ("below_limit: the total is 6000, at most 1000 is allowed",)


def test_what_was_never_made_is_missing_and_says_what_it_waits_for(tmp_path):
    store = Store(tmp_path / "empty", "toy")
    now = found(store, crawls=["first"])
    assert {one.state for one in now.values()} == {"missing"}
    assert now["total"].reasons == ("waits for numbers",)
    assert now["numbers[first]"].reasons == ()


def test_a_pointer_to_what_is_gone_is_told_and_the_rest_still_stands(store):
    (store.current("total").files / "manifest.json").unlink()
    now = found(store)
    assert {name: one.state for name, one in now.items()} == {
        "numbers[first]": "fresh",
        "total": "missing",
        "report": "missing",
    }
    assert "total[all]: CURRENT names" in now["total"].reasons[0]
    assert [one.name for one in plan(now.values()).certain] == ["total", "report"]


def test_a_run_that_goes_on_and_one_that_was_cut_off(store):
    with pytest.raises(Exception, match="odd"):
        produce(store, TOTAL, TotalConfig(factor=2, fail="raise"))
    one = found(store, factor=2, fail="raise")["total"]
    assert one.state == "failed"
    assert one.reasons[-1] == "an unfinished run is there, which the next one goes on with"
    [lock] = [path for path in (store.root / ".work/total/all").glob("*.lock") if path.with_suffix("").is_dir()]
    with FileLock(lock).acquire():
        assert found(store, factor=2, fail="raise")["total"].state == "running"


def test_a_run_that_raised_is_failed_until_one_goes_well(store):
    produce(store, TOTAL, TotalConfig(factor=2))
    with pytest.raises(InputError, match="odd"):
        produce(store, TOTAL, TotalConfig(fail="raise"), run_id="7")
    one = found(store, fail="raise")["total"]
    assert one.state == "failed"
    assert one.reasons[0] == "the last run failed: InputError: the numbers are odd; make them even"
    assert "total.fail:  → raise" in one.reasons[2]
    assert [one.name for one in plan([one]).certain] == ["total"]
    other = found(store, factor=5)["total"]  # of another recipe: not what would be made now
    assert (other.state, other.reasons[-1]) == ("stale", one.reasons[0])
    assert found(store, factor=2)["total"].state == "fresh"  # and no stranger's failure makes that stale
    produce(store, TOTAL, TotalConfig(factor=3))
    assert found(store, fail="raise")["total"].state == "stale"


def test_a_failure_under_another_recipe_is_not_told_here(store):
    with pytest.raises(MissingInput):
        produce(Store(store.root, "other"), TOTAL, TotalConfig(fail="raise"))
    produce(Store(store.root, "other"), NUMBERS, NumbersConfig(), partition="first")
    with pytest.raises(InputError):
        produce(Store(store.root, "other"), TOTAL, TotalConfig(fail="raise"))
    assert found(store, fail="raise")["total"].state == "stale"


def test_a_source_that_can_not_be_fetched_is_failed_and_goes_well_later(store):
    with pytest.raises(InputError):
        produce(store, NUMBERS, NumbersConfig(fail="x"), partition="second")
    one = found(store, crawls=["second"])["numbers[second]"]
    assert (one.state, one.reasons) == ("failed", ("the last run failed: InputError: the site is closed; try again tomorrow",))
    produce(store, NUMBERS, NumbersConfig(), partition="second")
    assert found(store)["numbers[second]"].state == "fresh"


def test_a_source_that_gates_refused_names_them_although_nothing_was_accepted(store):
    strict = dataclasses.replace(NUMBERS, gates="tests.support.toy:few", gate_names=("few",))
    assert produce(store, strict, NumbersConfig(values=[1] * 9), partition="second").failed
    one = found(store, crawls=["second"])["numbers[second]"]
    assert (one.state, one.reasons) == ("refused", ("few: 9 numbers, at most 5",))


def test_a_source_that_is_being_fetched_is_running(store):
    with store.work("numbers", "second", "incoming"):
        assert found(store, crawls=["second"])["numbers[second]"].state == "running"
    one = found(store, crawls=["second"])["numbers[second]"]
    assert (one.state, one.reasons) == ("missing", ("an unfinished run is there, which the next one goes on with",))


def test_a_forced_rebuild_is_as_fresh_as_the_first(store):
    produce(store, TOTAL, TotalConfig(), force=True)
    assert state(store)["total"] == "fresh"


def test_a_plan_counts_what_is_certain_and_what_may_be(store):
    made = plan(found(store, factor=3).values())
    assert [one.name for one in made.certain] == ["total"]
    assert [one.name for one in made.possible] == ["report"]
    least, most = made.seconds
    assert 0 < least < most
    assert least == found(store)["total"].seconds


def test_what_another_recipe_made_is_taken_at_once(store):
    produce(Store(store.root, "other"), NUMBERS, NumbersConfig(), partition="first")
    produce(Store(store.root, "other"), TOTAL, TotalConfig(factor=3))
    one = found(store, factor=3)["total"]
    assert (one.state, one.ready) == ("stale", True)
    assert plan([one]).seconds == (0, 0)


def test_the_cost_of_what_was_never_made_here_is_that_of_another_crawl(store):
    assert found(store, crawls=["later"])["numbers[later]"].seconds > 0


def test_gpu_hours_are_counted():
    stale = Standing("model", "all", "stale", gpu_hours=2.0)
    assert plan([stale, Standing("next", "all", "behind", gpu_hours=1.0)]).gpu_hours == (2.0, 3.0)


PATIENT = {"numbers": NUMBERS, "total": toy.PATIENT, "model": toy.MODEL}


def patient(store, at_least=2):
    config = {"numbers": NumbersConfig(), "total": TotalConfig(at_least=at_least), "model": Section()}
    return {one.name: one for one in standings(store, PATIENT, config)}


def test_a_crawl_that_waits_makes_nothing_stale_and_is_named(store):
    """What reads the same as the total follows what the total decides, not what is there."""
    produce(store, toy.MODEL, Section())
    produce(store, NUMBERS, NumbersConfig(values=[5]), partition="second")
    now = patient(store)
    assert {one.state for one in now.values()} == {"fresh"}
    assert now["total"].reasons == ("leaves for later second with 10 new tokens: at least 2 crawls are asked for",)
    outcome = produce(store, toy.PATIENT, TotalConfig(at_least=2))
    assert (outcome.reused, outcome.waiting.crawls) == (True, ("second",))
    assert produce(store, toy.MODEL, Section()).reused

    assert patient(store, at_least=1)["total"].reasons == ("numbers[second] is a new input",)
    assert patient(store, at_least=1)["model"].roots == ("total",)
    produce(store, NUMBERS, NumbersConfig(values=[6]), partition="third")
    assert not produce(store, toy.PATIENT, TotalConfig(at_least=2)).reused
    model = produce(store, toy.MODEL, Section())
    assert model.artefact.file("model.txt").read_text() == "first second third"


def test_a_crawl_that_is_in_already_is_followed_at_once(store):
    produce(store, NUMBERS, NumbersConfig(values=[9]), partition="first", force=True)
    assert patient(store, at_least=99)["total"].reasons == ("numbers[first] has other content",)


def test_force_takes_what_waits(store):
    produce(store, NUMBERS, NumbersConfig(values=[5]), partition="second")
    outcome = produce(store, toy.PATIENT, TotalConfig(at_least=99), force=True)
    assert [entry.partition for entry in outcome.manifest.inputs] == ["first", "second"]
    assert patient(store, at_least=99)["total"].state == "fresh"


def test_what_reads_as_another_does_waits_for_that_one(tmp_path):
    store = Store(tmp_path / "empty", "toy")
    produce(store, NUMBERS, NumbersConfig(), partition="first")
    assert patient(store)["model"].reasons == ("waits for total",)
    with pytest.raises(MissingInput, match="model reads the numbers that total was made of"):
        produce(store, toy.MODEL, Section())


def test_order_puts_inputs_before_readers():
    assert [spec.name for spec in in_order(SPECS)] == ["numbers", "total", "report"]
    assert in_order({"total": TOTAL}) == [TOTAL]
    assert issubclass(NumbersConfig, Section)
