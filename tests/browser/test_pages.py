"""What a person does in the UI all day, in a real browser: look, launch, be refused, override, back-fill, schedule."""

import re

import pytest

from tests.browser.conftest import outside
from tests.support.ui import CRAWL, HOSTILE, until

PAGES = (
    "/overview/activity/timeline",
    "/runs",
    "/assets",
    "/jobs",
    "/automation",
    "/asset-groups",
    "/deployment/locations",
    "/deployment/daemons",
    "/deployment/concurrency",
    "/locations/llm_assets/jobs/data_refresh",
    "/assets/raw_crawl?view=events",
    "/assets/deduped_shards?view=overview",
)


def open_launchpad(page):
    """The arrow beside Materialize, then its first entry."""
    page.get_by_role("button", name="Materialize").locator("xpath=following::button[1]").click()
    page.get_by_text("Open launchpad").click()
    page.locator(".CodeMirror").first.wait_for()


def in_the_editor(page, text):
    page.locator(".CodeMirror").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


def test_the_graph_shows_the_assets_their_checks_and_their_state(ui, page):
    page.goto(f"{ui.url}/locations/llm_assets/asset-groups/corpus/lineage")
    for asset in ("extracted_pages", "cleaned_corpus", "deduped_shards", "image_dataset"):
        page.get_by_text(asset, exact=True).first.wait_for()
    page.get_by_text(re.compile(r"\d+ / \d+ Passed")).first.wait_for()


def test_the_overview_says_whose_an_asset_is_and_what_it_is_for(ui, page):
    page.goto(f"{ui.url}/assets/cleaned_corpus?view=overview")
    page.get_by_text("Owned by Ann.").wait_for()
    for told in ("ann@example.org", "data: text", "Language, Gopher, C4 and FineWeb rules"):
        page.get_by_text(told).first.wait_for()


def test_a_partition_shows_its_counts_first_and_its_plots(ui, page):
    page.goto(f"{ui.url}/assets/cleaned_corpus?view=partitions&partition={CRAWL}")
    page.get_by_text("Materialized", exact=True).first.wait_for()
    table = page.get_by_role("row").filter(has_text="share_kept").locator("xpath=ancestor::table[1]")
    keys = table.locator("xpath=./tbody/tr/td[1]").all_inner_texts()
    assert keys[:3] == ["counts", "share_kept", "seconds"]
    assert keys.index("seconds") < keys.index("data_docs") < keys.index("Retention_funnel") < keys.index("path")
    page.get_by_role("row").filter(has_text="Retention_funnel").get_by_text("[Show Markdown]").click()
    picture = page.locator("img[alt='Retention funnel']")
    picture.wait_for()
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 500


def test_crawled_text_is_shown_as_text(ui, page):
    """A script and pictures of a crawled page are letters, on the store's pages and in the UI; the fixture sees that none is asked for."""
    shown = 0
    page.goto(f"{ui.docs}/data_docs/index.html")
    links = page.get_by_role("link").evaluate_all("links => links.map(link => link.href)")
    samples = [address for address in links if "/account/" in address]
    assert len(samples) >= 2
    for address in samples:
        assert page.goto(address).ok
        assert page.locator("script").count() == 0
        shown += HOSTILE[:40] in page.locator("body").inner_text()
    assert shown >= 2
    page.goto(f"{ui.url}/assets/extracted_pages?view=partitions&partition={CRAWL}")
    page.get_by_text("The sign says <script>").first.wait_for()
    assert page.title() != "taken"


def test_one_field_is_overridden_in_the_launchpad_and_a_check_that_fails_blocks(ui, page):
    """Case B47: red in the UI, nothing materialised, CURRENT as it was; the override is in the manifest of what was refused."""
    asset = "slowly_judged"
    assert ui.ended(ui.launch(asset, {"pieces": 3})) == "SUCCESS"
    accepted = ui.slow.current(asset)
    made = set(accepted.files.parent.iterdir())
    page.goto(f"{ui.url}/assets/{asset}")
    open_launchpad(page)
    page.get_by_text("limit").first.wait_for()  # the launchpad holds every knob, with the recipe's value
    in_the_editor(page, f"ops:\n  {asset}:\n    config:\n      limit: 1\n")
    page.get_by_text("No errors").wait_for()
    before = ui.newest_run()
    page.get_by_role("button", name="Materialize").last.click()
    assert ui.ended(until(lambda: (run := ui.newest_run()) != before and run, "the run to be launched")) == "FAILURE"
    assert ui.slow.current(asset) == accepted
    (refused,) = (path for path in accepted.files.parent.iterdir() if path.is_dir() and path not in made)
    assert ui.slow.find(asset, "all", refused.name).manifest().config["limit"] == 1
    page.goto(f"{ui.url}/assets/{asset}?view=checks")
    page.get_by_text("few_pieces").first.click()
    page.get_by_text("2 pieces, at most 1 are allowed: make fewer").first.wait_for()
    page.get_by_text("Failed", exact=True).first.wait_for()


def test_a_typing_error_in_the_launchpad_is_named_before_anything_runs(ui, page):
    page.goto(f"{ui.url}/assets/slow_training")
    open_launchpad(page)
    in_the_editor(page, "ops:\n  slow_training:\n    config:\n      piecess: 1\n")
    page.get_by_text(re.compile("piecess")).last.wait_for()
    page.get_by_text(re.compile(r"unexpected config entry \"piecess\"")).first.wait_for()


def test_a_back_fill_makes_each_crawl_in_a_run_of_its_own(ui, page):
    """Case B48: from the dialog of the Materialize button, over the crawls that are missing."""
    for key in ("early", "late"):
        query = (
            "mutation($repository: RepositorySelector!, $key: String!) { addDynamicPartition(repositorySelector: $repository, "
            'partitionsDefName: "crawl", partitionKey: $key) { __typename } }'
        )
        repository = {"repositoryLocationName": "slow", "repositoryName": "__repository__"}
        ui.ask(query, repository=repository, key=key)
    page.goto(f"{ui.url}/assets/slow_shards")
    page.get_by_role("button", name="Materialize…").click()
    page.get_by_role("dialog").get_by_text("Missing", exact=True).click()
    page.get_by_role("button", name=re.compile(r"^Launch")).click()
    until(lambda: {"early", "late"} <= set(ui.slow.partitions("slow_shards")), "both crawls to be made")
    runs = {ui.slow.current("slow_shards", key).manifest().run_id for key in ("early", "late")}
    assert len(runs) == 2


def test_a_schedule_is_turned_on_and_off(ui, page):
    def state():
        query = (
            '{ scheduleOrError(scheduleSelector: {repositoryLocationName: "llm_assets", repositoryName: "__repository__", '
            'scheduleName: "weekly_refresh"}) { ... on Schedule { scheduleState { status } } } }'
        )
        return ui.ask(query)["scheduleOrError"]["scheduleState"]["status"]

    page.goto(f"{ui.url}/automation")
    switch = page.locator("xpath=//a[contains(., 'weekly_refresh')]/parent::*//label[contains(@class, 'formatSwitch')]")
    assert state() == "STOPPED"
    switch.click()
    until(lambda: state() == "RUNNING", "the schedule to run")
    switch.click()
    until(lambda: state() == "STOPPED", "the schedule to stop")


def test_the_pages_beside_the_ui_open_and_link_to_pages_that_are_there(ui, page):
    page.goto(f"{ui.docs}/data_docs/index.html")
    addresses = set(page.get_by_role("link").evaluate_all("links => links.map(link => link.href.split('#')[0])"))
    for address in sorted(one for one in addresses if one.startswith(ui.docs)):
        assert page.goto(address).ok, address


@pytest.mark.parametrize("address", PAGES)
def test_a_page_opens_without_an_error_and_asks_no_other_machine(ui, page, address):
    """That nothing was asked of another machine is checked by the fixture, at the end of every test here."""
    page.goto(ui.url + address)
    page.wait_for_load_state("load")
    page.locator("text=Overview").first.wait_for()
    assert page.get_by_text("Something went wrong").count() == 0


def test_an_address_of_another_machine_would_be_seen():
    assert outside(
        ["https://example.org/x.js", "data:image/png;base64,", "http://127.0.0.1:3/", "blob:http://127.0.0.1/1"]
    ) == ["https://example.org/x.js"]
