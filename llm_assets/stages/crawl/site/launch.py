"""The local site in a process of its own, so that rendering and crawling share two cores; it ends with whoever started it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from llm_assets.core.errors import InputError
from llm_assets.core.recipe.crawl import SiteConfig


@dataclass(frozen=True)
class Served:
    """Where the site listens on 127.0.0.1, and how many articles it shows."""

    port: int
    articles: int


@contextmanager
def serving(config: SiteConfig, snapshot: int) -> Iterator[Served]:
    """Start the site on a free port. Raises ``InputError`` with what it said when it could not start."""
    command = [sys.executable, "-m", "llm_assets.stages.crawl.site", "--port", "0", "--snapshot", str(snapshot)]
    command += ["--config", config.model_dump_json(), "--until-stdin-closes"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin and process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        if not line:
            said = process.stderr.read().decode("utf-8", "replace").strip().splitlines()
            raise InputError(f"the local site could not start: {said[-1] if said else 'it said nothing'}")
        yield Served(**json.loads(line))
    finally:
        process.stdin.close()
        process.stdout.close()
        process.stderr.close()
        process.wait()
