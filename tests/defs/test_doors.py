"""The doors for new crawls: nothing missed, nothing repeated, whatever happens to the daemon; bad names refused."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster import DagsterInstance

from llm_assets.core.errors import InputError, RecipeError
from llm_assets.core.produce import produce
from llm_assets.core.recipe import load_recipe
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.core.spec import AssetSpec
from llm_assets.core.store import Store
from llm_assets.defs import doors, settings
from llm_assets.defs.doors import look, refresh_keys, releases
from llm_assets.stages.crawl.local.files import listed
from tests.support.commoncrawl import serving
from tests.support.daemon import Crash, daemon
from tests.support.toy import NumbersConfig

RAW = AssetSpec("raw_crawl", "tests.support.toy:fetch", source=True, partitioned=True)


def never(crawl):
    return ""


def put(place, name, content=b"x"):
    (place / name).parent.mkdir(parents=True, exist_ok=True)
    (place / name).write_bytes(content)


def looks(place, cursor=None, came_in=never, fetched=never, times=2):
    """The last of some looks, each with the cursor of the one before."""
    for _ in range(times):
        found = look(place, cursor, came_in, fetched)
        cursor = found.cursor
    return found


def test_a_folder_is_taken_at_the_second_look_and_never_again(tmp_path):
    put(tmp_path, "crawl-1/a.warc.gz")
    first = look(tmp_path, None, never, never)
    assert (first.take, first.notes) == ([], ["crawl-1: taken at the next look, if nothing changes until then"])
    second = look(tmp_path, first.cursor, never, never)
    assert second.take == ["crawl-1"]
    assert look(tmp_path, first.cursor, never, never) == second  # the same tick evaluated twice
    assert looks(tmp_path, second.cursor, times=3).take == []


def test_a_folder_that_is_still_being_copied_waits(tmp_path):
    put(tmp_path, "new/a.txt")
    cursor = look(tmp_path, None, never, never).cursor
    put(tmp_path, "new/b.txt")
    found = look(tmp_path, cursor, never, never)
    assert found.take == []
    put(tmp_path, "new/b.txt", b"longer")
    found = look(tmp_path, found.cursor, never, never)
    assert found.take == []
    assert look(tmp_path, found.cursor, never, never).take == ["new"]


def test_bad_names_are_refused_with_a_sentence_and_hidden_folders_are_nobodys(tmp_path):
    for name in ("bad name", ".git", "good"):
        put(tmp_path, f"{name}/a.txt")
    found = looks(tmp_path)
    assert found.take == ["good"]
    [said] = found.warnings
    assert "'bad name' can't name a crawl" in said


@pytest.mark.parametrize(
    ("name", "waited_for", "read"),
    [
        ("b.warc.gz", False, True),
        ("b.warc.gz.part", True, False),
        ("deep/b.tmp", True, False),
        ("b.txt~", False, False),
        (".hidden", False, False),
        (".git/config.tmp", False, False),
        ("part", False, True),
    ],
)
def test_what_the_sensor_waits_for_the_importer_passes_over(tmp_path, name, waited_for, read):
    """One list serves both: a crawl starts when nothing is being written, and takes in only what is whole."""
    put(tmp_path, "new/a.txt")
    put(tmp_path / "new", name)
    assert looks(tmp_path).take == ([] if waited_for else ["new"])
    assert (name in [file.name for file in listed(tmp_path / "new")[0]]) == read


def test_a_folder_without_a_whole_file_is_no_crawl(tmp_path):
    put(tmp_path, "new/b.txt~")
    found = looks(tmp_path)
    assert (found.take, found.notes) == ([], ["new: nothing whole in it yet"])


def test_a_crawl_that_came_by_another_door_is_left_alone(tmp_path):
    put(tmp_path, "new/a.txt")
    assert looks(tmp_path, came_in=bool, fetched=lambda _: "1").take == []
    assert looks(tmp_path, looks(tmp_path, came_in=bool).cursor).take == []


def test_a_folder_that_grew_after_it_was_taken_says_so_until_it_is_read_again(tmp_path):
    put(tmp_path, "new/a.txt")
    cursor = looks(tmp_path).cursor
    assert looks(tmp_path, cursor, fetched=lambda _: "1").warnings == []
    put(tmp_path, "new/b.txt", b"1234")
    found = looks(tmp_path, cursor, fetched=lambda _: "1")
    [said] = found.warnings
    assert "new has changed since it was taken (1 files, 1 bytes; now 2 files, 5 bytes)" in said
    assert "llm-assets run --crawl new --select raw_crawl --force" in said
    assert looks(tmp_path, found.cursor, fetched=lambda _: "2").warnings == []


def test_a_folder_that_went_is_not_forgotten(tmp_path):
    put(tmp_path, "new/a.txt")
    cursor = looks(tmp_path).cursor
    (tmp_path / "new" / "a.txt").unlink()
    (tmp_path / "new").rmdir()
    cursor = looks(tmp_path, cursor).cursor
    put(tmp_path, "new/a.txt")
    assert looks(tmp_path, cursor).take == []


def test_no_inbox_is_no_error(tmp_path):
    assert looks(tmp_path / "none").take == []


def test_a_cursor_that_somebody_wrote_is_a_sentence(tmp_path):
    for cursor in ("{", "[1]", '{"taken": 3}'):
        with pytest.raises(InputError, match="the cursor of the sensor inbox can't be read"):
            look(tmp_path, cursor, never, never)


def test_the_sensor_looks_where_the_recipe_says_that_crawls_lie(tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(f"extends: demo\nraw_crawl: {{inbox: {tmp_path / 'there'}}}\n")
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(settings, "recipe", lambda: load_recipe("demo"))
    assert doors.inbox_folder() == tmp_path / "inbox"
    monkeypatch.setattr(settings, "recipe", lambda: load_recipe(str(tmp_path / "mine.yaml")))
    assert doors.inbox_folder() == tmp_path / "there"


# through the daemon


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A recipe, a store, an inbox; ``house.daemon()`` starts the daemon on the same instance, again and again."""
    store = Store(tmp_path / "store", "toy")
    raw = RawCrawlConfig(seeds={"blog": ["https://a.example/"], "docs": ["https://b.example/"]})
    recipe = SimpleNamespace(raw_crawl=raw)
    monkeypatch.setattr(settings, "store", lambda: store)
    monkeypatch.setattr(settings, "recipe", lambda: recipe)
    return SimpleNamespace(daemon=lambda: daemon(tmp_path / "home"), inbox=tmp_path / "inbox", store=store, recipe=recipe)


def crawls(wheels):
    return [crawl for crawl, _ in wheels.runs()]


def test_two_folders_are_two_runs_and_a_restart_asks_for_nothing_again(house):
    put(house.inbox, "one/a.txt")
    put(house.inbox, "two/a.txt")
    with house.daemon() as wheels:
        wheels.start("inbox")
        wheels.sense()
        assert crawls(wheels) == []
        wheels.sense()
        wheels.launch()
    with house.daemon() as wheels:
        wheels.sense()
        assert sorted(wheels.runs()) == [("one", "SUCCESS"), ("two", "SUCCESS")]
        assert set(wheels.instance.get_dynamic_partitions("crawl")) == {"one", "two"}
        assert wheels.ticks("inbox")[0] == f"nothing new in {house.inbox}"


@pytest.mark.parametrize("dies_in", ["create_run", "submit_run", "update_instigator_state"])
def test_a_daemon_that_dies_in_mid_tick_misses_and_repeats_nothing(house, monkeypatch, dies_in):
    """After the partition was added and before the run was; between run and queue; after it, before the cursor was kept."""
    put(house.inbox, "one/a.txt")

    def die(*arguments, **named):
        raise Crash

    with house.daemon() as wheels:
        wheels.start("inbox")
        wheels.sense()
    with house.daemon() as wheels, monkeypatch.context() as patch:
        wheels.forget_intervals()
        patch.setattr(DagsterInstance, dies_in, die)
        with pytest.raises(Crash):
            wheels.sense(forget=False)
    with house.daemon() as wheels:
        for _ in range(3):
            wheels.sense()
        wheels.launch()
        assert wheels.runs() == [("one", "SUCCESS")]


def test_a_run_that_failed_and_a_partition_that_was_deleted_are_not_asked_for_again(house):
    put(house.inbox, "one/a.txt")
    (house.inbox.parent / "broken").write_text("one")
    with house.daemon() as wheels:
        wheels.start("inbox")
        for _ in range(3):
            wheels.sense()
            wheels.launch()
        assert wheels.runs() == [("one", "FAILURE")]
        wheels.instance.delete_dynamic_partition("crawl", "one")
        wheels.sense()
        assert len(wheels.runs()) == 1
        assert wheels.instance.get_dynamic_partitions("crawl") == []


def test_what_the_command_line_fetched_before_the_sensor_was_on_is_not_fetched_again(house):
    put(house.inbox, "one/a.txt")
    produce(house.store, RAW, NumbersConfig(), partition="one")
    with house.daemon() as wheels:
        wheels.start("inbox")
        for _ in range(3):
            wheels.sense()
        assert wheels.runs() == []


def test_seeds_are_crawled_again_once_a_week_under_a_key_of_their_own(house):
    assert refresh_keys(datetime(2026, 11, 30, 3, tzinfo=UTC)) == ["blog-2026-11-30", "docs-2026-11-30"]
    assert house.recipe.raw_crawl.seeds_of("blog-2026-11-30") == ["https://a.example/"]
    with house.daemon() as wheels:
        wheels.start("weekly_refresh")
        start = datetime.now(UTC)
        week = 7 * 86_400
        wheels.schedule(datetime.fromtimestamp(start.timestamp() + week, UTC))
        once = sorted(crawls(wheels))
        assert len(once) == 2 and once[0].startswith("blog-20")
    with house.daemon() as wheels:
        wheels.schedule(datetime.fromtimestamp(start.timestamp() + week + 60, UTC))
        assert sorted(crawls(wheels)) == once
        wheels.schedule(datetime.fromtimestamp(start.timestamp() + 2 * week, UTC))
        assert len(set(crawls(wheels))) == 4


def test_without_seeds_the_schedule_says_that_there_is_nothing_to_do(house):
    house.recipe.raw_crawl = RawCrawlConfig()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=datetime(2026, 11, 30, 3, tzinfo=UTC))
        assert isinstance(doors.weekly_refresh(context), dg.SkipReason)
        assert instance.get_dynamic_partitions("crawl") == []


def months(*ids):
    return json.dumps([{"id": name, "name": "x", "cdx-api": "x"} for name in ids]).encode()


@pytest.fixture
def server(house):
    with serving({"collinfo.json": months("CC-MAIN-2026-39", "CC-MAIN-2026-34")}) as (server, url):
        house.recipe.raw_crawl = RawCrawlConfig(common_crawl={"releases_url": f"{url}collinfo.json"})
        yield server


def test_a_new_common_crawl_month_is_asked_for_once_and_old_ones_are_not(house, server):
    with house.daemon() as wheels:
        wheels.start("common_crawl_releases")
        wheels.sense()
        assert wheels.ticks("common_crawl_releases") == ["first look: 2 months are there; the next new one is taken"]
        wheels.sense()
    server.files["collinfo.json"] = months("CC-MAIN-2026-47", "CC-MAIN-2026-43", "CC-MAIN-2026-39", "bad id", "CC-MAIN-2026-34")
    with house.daemon() as wheels:
        wheels.sense()
        wheels.sense()
        assert crawls(wheels) == ["CC-MAIN-2026-43", "CC-MAIN-2026-47"]
        server.files["collinfo.json"] = months("CC-MAIN-2026-47")  # a list that was cut down for a day
        wheels.sense()
        server.files["collinfo.json"] = months("CC-MAIN-2026-47", "CC-MAIN-2026-43", "CC-MAIN-2026-39", "CC-MAIN-2026-34")
        wheels.sense()
        assert len(crawls(wheels)) == 2


def test_a_month_that_was_fetched_by_hand_is_left_alone(house, server):
    with house.daemon() as wheels:
        wheels.start("common_crawl_releases")
        wheels.sense()
        server.files["collinfo.json"] = months("CC-MAIN-2026-43", "CC-MAIN-2026-39", "CC-MAIN-2026-34")
        produce(house.store, RAW, NumbersConfig(), partition="CC-MAIN-2026-43")
        wheels.sense()
        assert crawls(wheels) == []


def test_a_list_that_cant_be_had_is_a_failed_tick_and_the_next_look_goes_on(house, server):
    with house.daemon() as wheels:
        wheels.start("common_crawl_releases")
        wheels.sense()
        server.files["collinfo.json"] = months("CC-MAIN-2026-43", "CC-MAIN-2026-39")
        held = server.files.pop("collinfo.json")
        wheels.sense()
        assert wheels.ticks("common_crawl_releases")[0] == "FAILURE"
        server.files["collinfo.json"] = held
        wheels.sense()
        assert crawls(wheels) == ["CC-MAIN-2026-43"]


@pytest.mark.parametrize("body", [b"<html>", b'{"id": 1}', b"[1]", b'[{"name": "x"}]'])
def test_what_is_no_list_of_months_is_a_sentence(house, server, body):
    server.files["collinfo.json"] = body
    with pytest.raises(InputError, match=r"is no list of Common Crawl's releases .* raw_crawl.common_crawl.releases_url"):
        releases()


def test_doors_are_shut_until_they_are_opened():
    for door in (doors.inbox_sensor, doors.common_crawl_releases, doors.weekly_refresh):
        assert door.default_status.value == "STOPPED"


@pytest.mark.parametrize("field", ["seeds", "snapshots", "common_crawl.ids", "local.folders"])
def test_a_recipe_whose_crawl_has_a_bad_key_is_refused(tmp_path, field):
    value = {"seeds": "['https://a.example/']", "snapshots": "1", "common_crawl.ids": "CC-MAIN-2026-43", "local.folders": "/x"}
    above, _, name = field.rpartition(".")
    line = f"{name}: {{'a b': {value[field]}}}"
    path = tmp_path / "mine.yaml"
    path.write_text("extends: demo\nraw_crawl:\n" + (f"  {above}:\n    {line}\n" if above else f"  {line}\n"))
    with pytest.raises(RecipeError, match="'a b' can't name a crawl"):
        load_recipe(str(path))
