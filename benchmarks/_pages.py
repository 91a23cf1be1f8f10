"""Real HTML pages: those of the demo's site, and documentation (Debian's packages, or a folder of one's own).

The packages are fetched once into a temporary folder. They were written by many hands and tools (Sphinx, DocBook, AsciiDoc,
erl_docgen, rustdoc, by hand); the versions are pinned by the distribution, so the pages may differ a little between machines.
``warc`` writes them as a WARC file with warcio, a record a page.
"""

import io
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from llm_assets.core.recipe.crawl import SiteConfig
from llm_assets.stages.crawl.site.pages import Site
from llm_assets.stages.crawl.site.plan import FIRST, WIKI, Plan

MANUALS = ("python3.11-doc", "postgresql-doc-15", "git-doc", "python-django-doc", "python-sqlalchemy-doc", "sqlite3-doc")
LARGE = ("erlang-doc", "python-pandas-doc", "rust-doc")
WEB_BYTES = 20_000  # most pages of the web are larger
_MIN_BYTES, _MAX_BYTES = 2_000, 400_000


def site_pages() -> Iterator[tuple[str, bytes]]:
    """(address, HTML) of the demo's encyclopaedia, in a fixed order."""
    site = Site(Plan.of(SiteConfig(), FIRST))
    for article in site.plan.articles:
        target = f"/{article.lang}/wiki/{article.slug}"
        reply = site.answer(WIKI, target, {})
        if reply.status == 200 and "Content-Encoding" not in reply.headers:
            yield f"http://{WIKI}{target}", reply.body


def documentation_pages(most: int, folder: str = "", smallest: int = _MIN_BYTES) -> list[tuple[str, bytes]]:
    """(address, HTML) of at most ``most`` manual pages (or of ``folder``), none below ``smallest`` bytes and none huge."""
    found = [page for page in pages(folder=folder) if smallest <= page.stat().st_size <= _MAX_BYTES][:most]
    return [(f"http://docs.test/{page.parent.name}/{page.name}", page.read_bytes()) for page in found]


def pages(packages: Iterable[str] = MANUALS, folder: str = "") -> list[Path]:
    """The ``.html`` files of ``folder``, or else of the Debian packages, in a fixed order that mixes their origins."""
    found = sorted(Path(folder).rglob("*.html")) if folder else [page for name in packages for page in _package(name)]
    files = [page for page in found if page.is_file() and not page.is_symlink() and page.stat().st_size]
    if not files:
        raise SystemExit("no .html file was found; name a folder of HTML pages with --pages FOLDER")
    return [files[number] for number in sorted(range(len(files)), key=lambda n: (n * 7919) % len(files))]


def _package(name: str) -> list[Path]:
    root = Path(tempfile.gettempdir()) / "llm_assets-benchmark-pages"
    unpacked = root / name
    if not unpacked.is_dir():
        root.mkdir(parents=True, exist_ok=True)
        try:
            subprocess.run(["apt-get", "download", "-qq", name], cwd=root, check=True, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError) as error:
            raise SystemExit(f"{name} could not be fetched ({error}); name a folder of HTML pages: --pages FOLDER") from error
        partial = unpacked.with_suffix(".partial")
        subprocess.run(["dpkg-deb", "-x", str(next(root.glob(f"{name}_*.deb"))), str(partial)], check=True)
        partial.rename(unpacked)
    return sorted(unpacked.rglob("*.html"))


def warc(files: Iterable[Path], target: Path) -> tuple[int, int]:
    """Write the pages as gzipped response records. Returns (pages, bytes of HTML)."""
    count = size = 0
    with open(target, "wb") as handle:
        writer = WARCWriter(handle, gzip=True)
        for count, page in enumerate(files, start=1):
            body = page.read_bytes()
            size += len(body)
            head = StatusAndHeaders("200 OK", [("Content-Type", "text/html"), ("Content-Length", str(len(body)))], "HTTP/1.1")
            address = f"http://docs-{count % 40}.test/{page.parent.name}/{count}/{page.name}"
            writer.write_record(writer.create_warc_record(address, "response", payload=io.BytesIO(body), http_headers=head))
    return count, size
