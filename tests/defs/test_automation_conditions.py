"""Automation: a new crawl is followed, identical data triggers nothing, an empty store is left alone."""

import dagster as dg
import pytest

from llm_assets.core.store import Store
from llm_assets.defs import skin as skin_module
from llm_assets.defs.skin import Skin
from tests.defs.test_skin import QUIET, ToyRecipe
from tests.support import toy


@pytest.fixture
def house(tmp_path, monkeypatch):
    """Ticks of the automation sensor and runs over the toy assets."""
    store = Store(tmp_path / "store", "toy")
    monkeypatch.setattr(skin_module, "spec_of", {"numbers": toy.NUMBERS, "total": toy.TOTAL}.__getitem__)
    monkeypatch.setattr(skin_module.settings, "recipe", ToyRecipe)
    monkeypatch.setattr(skin_module.settings, "store", lambda: store)
    numbers = skin_module.asset(Skin("numbers", "toy", "Numbers of a crawl."))
    total = skin_module.asset(Skin("total", "toy", "Their sum."))
    defs = dg.Definitions(assets=[numbers, total])
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        instance.add_dynamic_partitions("crawl", ["one", "two"])
        cursors = [None]

        def tick():
            result = dg.evaluate_automation_conditions(defs, instance=instance, cursor=cursors[0])
            cursors[0] = result.cursor
            return result.total_requested

        def crawl(key, values):
            config = {**QUIET, "ops": {"numbers": {"config": {"values": values, "force_rebuild": True}}}}
            assert dg.materialize([numbers], instance=instance, partition_key=key, run_config=config).success

        def follow():
            assert dg.materialize([total], instance=instance, run_config=QUIET).success

        yield tick, crawl, follow


def test_a_new_crawl_is_followed_once_and_identical_data_triggers_nothing(house):
    tick, crawl, follow = house
    assert tick() == 0  # nothing crawled yet: there is nothing to follow
    crawl("one", [1, 2])
    assert tick() == 1
    follow()
    assert tick() == 0
    crawl("one", [1, 2])  # fetched again, the same to the byte
    assert tick() == 0
    crawl("two", [7])  # the other crawl never came, and does not stop it
    assert tick() == 1
    follow()
    assert tick() == 0
    crawl("one", [1, 3])
    assert tick() == 1
