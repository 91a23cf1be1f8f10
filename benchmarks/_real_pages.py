"""Real HTML pages: those of the demo's site, which every machine can make, and HTML documentation that is installed here."""

from collections.abc import Iterator
from pathlib import Path

from llm_assets.core.recipe.crawl import SiteConfig
from llm_assets.stages.crawl.site.pages import Site
from llm_assets.stages.crawl.site.plan import FIRST, WIKI, Plan

# Where documentation as HTML usually lies: distributions, Rust's and Node's tool chains.
FOLDERS = (
    Path("/usr/share/doc"),
    Path("/usr/local/share/doc"),
    Path("/usr/lib/node_modules"),
    *(Path.home() / ".rustup/toolchains").glob("*/share/doc"),
)
_MIN_BYTES, _MAX_BYTES = 2_000, 400_000


def site_pages() -> Iterator[tuple[str, bytes]]:
    """(address, HTML) of the demo's encyclopaedia, in a fixed order."""
    site = Site(Plan.of(SiteConfig(), FIRST))
    for article in site.plan.articles:
        target = f"/{article.lang}/wiki/{article.slug}"
        reply = site.answer(WIKI, target, {})
        if reply.status == 200 and "Content-Encoding" not in reply.headers:
            yield f"http://{WIKI}{target}", reply.body


def documentation_pages(most: int, folder: str = "") -> list[tuple[str, bytes]]:
    """At most ``most`` pages of the documentation on this machine (or of ``folder``), evenly over its files; may be none."""
    roots = [Path(folder)] if folder else list(FOLDERS)
    found = [path for root in roots if root.is_dir() for path in sorted(root.rglob("*.html")) if _is_page(path)]
    step = max(1, len(found) // most)
    return [(f"http://docs.example{path}", path.read_bytes()) for path in found[::step][:most]]


def _is_page(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and _MIN_BYTES <= path.stat().st_size <= _MAX_BYTES
