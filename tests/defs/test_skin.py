"""The skin over the toy assets: what Dagster sees when a run succeeds, is refused, is killed, or fails for one crawl."""

import dagster as dg
import pytest

from llm_assets.core.errors import RecipeError, WorkerDied
from llm_assets.core.produce import produce
from llm_assets.core.recipe.base import Section
from llm_assets.core.recipe.catalogue import CatalogueConfig, Presentation
from llm_assets.core.store import Store
from llm_assets.defs import skin as skin_module
from llm_assets.defs.skin import Skin
from tests.support import toy

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class ToyRecipe:
    name = "toy"
    catalogue = CatalogueConfig()

    def section(self, asset: str) -> Section:
        return {"numbers": toy.NumbersConfig(), "total": toy.TotalConfig()}[asset]


@pytest.fixture
def house(tmp_path, monkeypatch):
    """Toy assets in a store and an instance of their own."""
    specs = {"numbers": toy.NUMBERS, "total": toy.TOTAL}
    store = Store(tmp_path / "store", "toy")
    monkeypatch.setattr(skin_module, "spec_of", specs.__getitem__)
    monkeypatch.setattr(skin_module.settings, "recipe", ToyRecipe)
    monkeypatch.setattr(skin_module.settings, "store", lambda: store)
    numbers = skin_module.asset(Skin("numbers", "toy", "Numbers of a crawl."))
    total = skin_module.asset(Skin("total", "toy", "Their sum."))
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.add_dynamic_partitions("crawl", ["one", "two"])
        yield store, instance, numbers, total


def run(instance, assets, partition=None, config=None):
    ops = {name: {"config": values} for name, values in (config or {}).items()}
    return dg.materialize(
        assets, instance=instance, partition_key=partition, run_config={**QUIET, "ops": ops}, raise_on_error=False
    )


def checks(result):
    return {e.check_name: e.passed for e in result.get_asset_check_evaluations()}


def test_a_run_materialises_with_data_version_checks_and_metadata(house):
    store, instance, numbers, total = house
    assert run(instance, [numbers], "one").success
    result = run(instance, [total], config=None)
    assert result.success
    assert checks(result) == {"below_limit": True, "counts_add_up": True}
    event = result.asset_materializations_for_node("total")[0]
    assert event.tags["dagster/data_version"] == store.current("total").manifest().digest[:32]
    assert event.metadata["total"].value == 6
    assert event.metadata["share_kept"].value == pytest.approx(2 / 3)
    assert event.metadata["dropped_odd"].value == 1
    assert event.metadata["inputs"].value == [store.current("numbers", "one").ref]


def test_a_refused_artefact_is_not_materialised_and_nothing_downstream_runs(house):
    """Case B47: the failing gate is an error, its checks are recorded, CURRENT stays, siblings are not harmed."""
    store, instance, numbers, total = house

    @dg.asset(deps=["total"])
    def downstream():
        return 1

    @dg.asset
    def sibling():
        return 1

    assert run(instance, [numbers], "one").success
    good = produce(store, toy.TOTAL, toy.TotalConfig())
    result = run(instance, [total, downstream, sibling], config={"total": {"limit": 5}})
    assert not result.success
    assert checks(result)["below_limit"] is False
    assert not result.asset_materializations_for_node("total")
    assert not result.asset_materializations_for_node("downstream")
    assert result.asset_materializations_for_node("sibling")
    assert store.current("total") == good.artefact
    failure = next(e for e in result.all_events if e.is_step_failure)
    assert "the total is 6, at most 5 is allowed" in str(failure.step_failure_data.user_failure_data)


def test_one_bad_crawl_is_only_itself_failed(house):
    """Case B48: a partition that failed is missing; the other is materialised."""
    store, instance, numbers, _ = house
    assert run(instance, [numbers], "one").success
    assert not run(instance, [numbers], "two", config={"numbers": {"fail": "raise"}}).success
    assert instance.get_materialized_partitions(dg.AssetKey("numbers")) == {"one"}
    assert store.partitions("numbers") == ["one"]


def test_a_launchpad_typo_is_a_failure_that_names_the_field(house):
    _, instance, numbers, _ = house
    with pytest.raises(dg.DagsterInvalidConfigError, match="valuse"):
        run(instance, [numbers], "one", config={"numbers": {"valuse": [1]}})


def test_an_overridden_value_is_used_and_recorded(house):
    store, instance, numbers, _ = house
    assert run(instance, [numbers], "one", config={"numbers": {"values": [4, 5]}}).success
    assert store.current("numbers", "one").manifest().config["values"] == [4, 5]


def test_force_rebuild_builds_again(house):
    store, instance, numbers, total = house
    assert run(instance, [numbers], "one").success
    assert run(instance, [total]).success
    first = store.current("total")
    assert run(instance, [total], config={"total": {"force_rebuild": True}}).success
    assert store.current("total").identity == f"{first.identity}.1"


def test_a_user_error_fails_without_a_retry(house):
    _, instance, numbers, total = house
    assert run(instance, [numbers], "one").success
    result = run(instance, [total], config={"total": {"fail": "raise"}})
    failure = next(e for e in result.all_events if e.is_step_failure).step_failure_data
    assert "make them even" in failure.user_failure_data.description
    assert not any(e.is_step_up_for_retry for e in result.all_events)


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_process_of_a_step_that_the_memory_killer_takes_is_started_once_more(house, monkeypatch, deaths):
    """Case B49, of a training or a shard's worker: the run lives, and the step goes on from what it kept; two deaths are final."""
    _, instance, numbers, _ = house
    lives = iter([*([WorkerDied("numbers was ended by SIGKILL")] * deaths), None])

    def dying(*arguments, **options):
        if (death := next(lives)) is not None:
            raise death
        return produce(*arguments, **options)

    monkeypatch.setattr(skin_module, "produce", dying)
    result = run(instance, [numbers], "one")
    assert result.success == (deaths == 1)
    assert sum(event.is_step_up_for_retry for event in result.all_events) == 1
    assert len(result.asset_materializations_for_node("numbers")) == (1 if deaths == 1 else 0)


def test_the_catalogue_and_the_skin_say_what_the_ui_shows(house, monkeypatch):
    catalogue = CatalogueConfig(
        groups={"toy": Presentation(owners=["team:toys"], tags={"level": "low"})},
        assets={"total": Presentation(description="Ask Ann.", kinds=["python"])},
    )
    shown = skin_module.presented(Skin("total", "toy", "Their sum.", frozenset({"parquet"})), catalogue)
    assert shown.description == "Ask Ann.\n\nTheir sum." and shown.kinds == ["parquet", "python"]
    monkeypatch.setattr(ToyRecipe, "catalogue", catalogue)
    spec = skin_module.asset(Skin("total", "toy", "Their sum.")).get_asset_spec(dg.AssetKey("total"))
    assert spec.owners == ["team:toys"] and spec.tags["level"] == "low" and "dagster/kind/python" in spec.tags
    assert spec.metadata["pages"].url.endswith("/data_docs/index.html")


def test_too_many_kinds_and_unknown_names_in_the_catalogue_are_named():
    skins = [Skin("total", "toy", "Their sum.", frozenset({"parquet"}))]
    many = CatalogueConfig(assets={"total": Presentation(kinds=[f"k{n}" for n in range(10)])})
    with pytest.raises(RecipeError, match="at most 10"):
        skin_module.presented(skins[0], many)
    with pytest.raises(RecipeError, match=r"catalogue\.assets\.totl: no such asset; did you mean 'total'"):
        skin_module.check_catalogue(skins, CatalogueConfig(assets={"totl": Presentation()}))
    with pytest.raises(RecipeError, match=r"catalogue\.groups\.x: no such group; there are: toy"):
        skin_module.check_catalogue(skins, CatalogueConfig(groups={"x": Presentation()}))


def test_what_was_current_is_what_a_new_artefact_is_compared_with(house):
    store, instance, numbers, total = house
    assert run(instance, [numbers], "one").success
    store.number_crawl("one")
    first = produce(store, toy.TOTAL, toy.TotalConfig())
    assert first.before is None
    second = produce(store, toy.TOTAL, toy.TotalConfig(factor=2))
    assert second.before == first.artefact
    assert produce(store, toy.TOTAL, toy.TotalConfig(factor=2)).before is None
    later = produce(store, toy.NUMBERS, toy.NumbersConfig(), partition="two")
    assert later.before == store.current("numbers", "one")
    result = run(instance, [total], config={"total": {"factor": 3}})
    (event,) = result.asset_materializations_for_node("total")
    assert event.metadata["compared_with"].value == second.artefact.ref
