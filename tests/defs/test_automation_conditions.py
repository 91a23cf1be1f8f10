"""Automation: a new crawl is followed, identical data triggers nothing, an empty store is left alone."""

import dataclasses
from types import SimpleNamespace

import dagster as dg
import pytest

from llm_assets.core.produce import produce
from llm_assets.core.recipe.base import Section
from llm_assets.core.recipe.catalogue import CatalogueConfig
from llm_assets.core.store import Store
from llm_assets.defs import automation, settings
from llm_assets.defs import skin as skin_module
from llm_assets.defs.skin import Skin
from tests.defs.test_skin import QUIET
from tests.support import toy


@pytest.fixture
def house(tmp_path, monkeypatch):
    """Ticks of the automation sensor and runs over the toy assets."""
    store = Store(tmp_path / "store", "toy")
    monkeypatch.setattr(skin_module, "spec_of", {"numbers": toy.NUMBERS, "total": toy.PATIENT, "model": toy.MODEL}.__getitem__)
    sections = {"numbers": toy.NumbersConfig(), "total": toy.TotalConfig(), "model": Section()}
    monkeypatch.setattr(
        skin_module.settings, "recipe", lambda: SimpleNamespace(catalogue=CatalogueConfig(), section=sections.__getitem__)
    )
    monkeypatch.setattr(skin_module.settings, "store", lambda: store)
    numbers = skin_module.asset(Skin("numbers", "toy", "Numbers of a crawl."))
    total = skin_module.asset(Skin("total", "toy", "Their sum."))
    model = skin_module.asset(Skin("model", "toy", "Of what the sum was made of."))
    defs = dg.Definitions(assets=[numbers, total, model])
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.add_dynamic_partitions("crawl", ["one", "two"])
        cursors = [None]

        def tick():
            """The assets that are asked for, by name."""
            result = dg.evaluate_automation_conditions(defs, instance=instance, cursor=cursors[0])
            cursors[0] = result.cursor
            return sorted(
                key.to_user_string()
                for key in (asset.key for asset in (numbers, total, model))
                if result.get_num_requested(key)
            )

        def crawl(key, values):
            config = {**QUIET, "ops": {"numbers": {"config": {"values": values, "force_rebuild": True}}}}
            assert dg.materialize([numbers], instance=instance, partition_key=key, run_config=config).success

        def follow(at_least=0):
            config = {**QUIET, "ops": {"total": {"config": {"at_least": at_least}}}}
            result = dg.materialize([total], instance=instance, run_config=config)
            assert result.success
            return result.asset_materializations_for_node("total")[0]

        def train():
            assert dg.materialize([model], instance=instance, run_config=QUIET).success

        yield tick, crawl, follow, train


def test_a_new_crawl_is_followed_once_and_identical_data_triggers_nothing(house):
    tick, crawl, follow, train = house
    assert tick() == []  # nothing crawled yet: there is nothing to follow
    crawl("one", [1, 2])
    assert tick() == ["model", "total"]  # neither is there: one run makes both
    follow()
    train()
    assert tick() == []
    crawl("one", [1, 2])  # fetched again, the same to the byte
    assert tick() == []
    crawl("two", [7])  # the other crawl never came, and does not stop it
    assert tick() == ["total"]
    follow()
    assert tick() == ["model"]
    train()
    assert tick() == []
    crawl("one", [1, 3])
    assert tick() == ["total"]


def test_a_crawl_that_waits_by_the_recipe_makes_no_model_stale_and_is_told(house):
    tick, crawl, follow, train = house
    crawl("one", [1, 2])
    tick()
    follow()
    train()
    tick()
    crawl("two", [7])
    assert tick() == ["total"]
    told = follow(at_least=2)
    assert told.metadata["waiting_tokens"].value == 10
    assert told.metadata["waiting"].value == "two with 10 new tokens: at least 2 crawls are asked for"
    assert tick() == []  # the same data version as before
    follow(at_least=1)
    assert tick() == ["model"]


def test_the_mix_is_asked_for_when_it_is_old_enough_and_only_then(tmp_path, monkeypatch):
    """What waits for time alone, no condition can see: the sensor does, once for the same crawls."""
    store = Store(tmp_path / "store", "toy")
    config = [toy.TotalConfig(at_least=9)]
    recipe = SimpleNamespace(section=lambda name: config[0])
    monkeypatch.setattr(automation, "spec_of", lambda name: dataclasses.replace(toy.PATIENT, name="training_mix"))
    monkeypatch.setattr(settings, "recipe", lambda: recipe)
    monkeypatch.setattr(settings, "store", lambda: store)

    def look():
        with dg.build_sensor_context() as context:
            found = automation.mix_is_due(context)
        return found.skip_message if isinstance(found, dg.SkipReason) else found.run_key

    assert look() == "there is no mix yet"
    produce(store, toy.NUMBERS, toy.NumbersConfig(), partition="one")
    produce(store, automation.spec_of("training_mix"), config[0])
    assert look() == "the mix has all crawls"
    produce(store, toy.NUMBERS, toy.NumbersConfig(values=[4]), partition="two")
    assert look() == "left for later: two with 10 new tokens: at least 9 crawls are asked for"
    config[0] = toy.TotalConfig(at_least=1)
    key = look()
    assert len(key) == 16 and look() == key
    assert produce(store, automation.spec_of("training_mix"), config[0]).artefact.identity == key
    assert look() == "the mix has all crawls"
