"""One store, webserver and daemon for all tests of this folder, and a browser that must not leave this machine."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support import ui as support

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="package")
def ui(tmp_path_factory):
    with support.running(tmp_path_factory.mktemp("ui")) as ui:
        yield ui


@pytest.fixture(scope="package")
def context(ui):
    """A browser; every address that any page asks for is in ``asked``."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not here: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with playwright.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(20_000)
        context.asked = []
        context.on("request", lambda request: context.asked.append(request.url))
        yield context
        browser.close()


@pytest.fixture
def page(context):
    """A new page; at its end, nothing was asked of another machine and no script of the page has failed."""
    first = len(context.asked)
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert outside(context.asked[first:]) == []
    assert faults == []


def outside(addresses):
    """Those that leave this machine."""
    return [address for address in addresses if urlsplit(address).hostname not in (None, "127.0.0.1")]
