"""What the next asset needs is loaded by a thread, and a fault there is the stage's to tell."""

import threading

import pytest

from llm_assets.core import ahead
from llm_assets.core.recipe import Recipe
from llm_assets.core.spec import AssetSpec
from llm_assets.stages import all_specs

CALLED = []


def load(section):
    CALLED.append((section, threading.current_thread().name))


def fail(section):
    CALLED.append(section)
    raise KeyError("not here")


def spec(name, follows="", loads=""):
    return AssetSpec(name, "tests.core.test_ahead:load", follows=follows, loads=loads)


def loaded(making, *coming):
    CALLED.clear()
    ahead.load(making, coming)
    for thread in threading.enumerate():
        if thread.name == "ahead":
            thread.join()
    return CALLED


def test_only_what_follows_is_loaded_and_not_by_the_thread_that_asks():
    here = f"{__name__}:load"
    next_one, other, nothing = spec("b", "a", here), spec("c", "b", here), spec("d", "a")
    assert loaded(spec("a"), (next_one, 1), (other, 2), (nothing, 3)) == [(1, "ahead")]
    assert loaded(spec("x"), (next_one, 1)) == []


@pytest.mark.filterwarnings("error")
def test_a_fault_in_loading_stops_nothing():
    bad, good = spec("b", "a", f"{__name__}:fail"), spec("c", "a", "tests.no_such_module:load")
    assert loaded(spec("a"), (bad, 7), (good, 8)) == [7]


def test_each_asset_of_a_crawl_loads_by_its_section_alone():
    """As the thread does it, twice: what is there already is not loaded again."""
    from llm_assets.core.spec import load_entry
    from llm_assets.stages.extract import supervisor

    recipe = Recipe(name="test")
    found = [one for one in all_specs().values() if one.loads]
    assert [one.name for one in found] == ["extracted_pages", "cleaned_corpus", "deduped_shards"]
    for one in found:
        load_entry(one.loads)(recipe.section(one.name))
    waiting = list(supervisor._kept)
    load_entry(found[0].loads)(recipe.section("extracted_pages"))
    assert supervisor._kept == waiting
    supervisor.end_kept()
