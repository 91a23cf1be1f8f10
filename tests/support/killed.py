"""Crawls that are killed: a loopback site in a thread, and a crawl in a process that ends itself by SIGKILL at a chosen point."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.crawl import RawCrawlConfig
from llm_assets.stages.crawl import journal, run
from tests.support.loopback import Loopback

CRAWL = "killed"
POINTS = ("before the line", "in the line", "after the line")


def kill_at(point: str, line: int) -> None:
    """From now on this process kills itself at the given line that it adds to a journal."""
    write = journal.Journal._write
    count = 0

    def watched(self: journal.Journal, found: dict[str, object]) -> None:
        nonlocal count
        count += 1
        if count == line and point == "before the line":
            os.kill(os.getpid(), signal.SIGKILL)
        if count == line and point == "in the line":
            self._handle.write(b'0badc0de {"n": [1')
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, found)
        if count == line:
            os.kill(os.getpid(), signal.SIGKILL)

    journal.Journal._write = watched  # type: ignore[method-assign,assignment]


def main() -> None:
    """The child: folder, config and where to die, as JSON in the first argument."""
    given = json.loads(sys.argv[1])
    kill_at(given["point"], given["line"])
    config = RawCrawlConfig.model_validate(given["config"])
    run.run(Inputs(), WorkDir.at(Path(given["folder"]), CRAWL, "raw_crawl"), config, Silent())


def killed_run(folder: Path, config: RawCrawlConfig, point: str, line: int) -> bool:
    """Crawl in another process that dies at a point; whether it got that far."""
    given = {"folder": str(folder), "config": config.model_dump(mode="json"), "point": point, "line": line}
    command = [sys.executable, "-c", "from tests.support.killed import main; main()", json.dumps(given)]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


@contextlib.contextmanager
def in_a_thread(site: Loopback) -> Iterator[Loopback]:
    """Serve while the caller does other things; ``site.port`` is set."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with site.running():
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield site
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


def asked(*sites: Loopback) -> Counter[tuple[int, str]]:
    """How often each address was asked for."""
    return Counter((site.port, target) for site in sites for target in site.targets)
