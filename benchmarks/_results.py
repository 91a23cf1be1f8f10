"""``benchmarks/results.md``: one section a script, replaced whenever the script runs.

A script calls ``record(__file__, text)`` with Markdown (a sentence on the input, a table) after it printed its ratio. Scripts
that run at the same time don't lose each other's sections: the file is rewritten under a lock, by rename.
"""

import re
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from llm_assets.core.machine import available_cores

RESULTS = Path(__file__).with_name("results.md")
T = TypeVar("T")
HEAD = """# Benchmark results

Written by the scripts themselves (`make bench`); each section is the last run of one script, peer and ours in one run on
the same input. Ratios carry over to other machines, seconds don't.
"""


def best_of(repeats: int, work: Callable[[], T]) -> tuple[float, T]:
    """Seconds of the quickest run, and what the last one gave."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        found = work()
        times.append(time.perf_counter() - start)
    return min(times), found


def record(script: str, text: str) -> None:
    """Replace the section of ``script`` (a path or a name; its stem counts) by ``text``; day and machine are added."""
    name = Path(script).stem
    with FileLock(Path(tempfile.gettempdir()) / "llm_assets-benchmark-results.lock"):
        sections = _sections(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
        day = datetime.now(UTC).date().isoformat()
        sections[name] = f"{day}, {machine()}.\n\n{text.strip()}"
        body = "".join(f"\n## {title}\n\n{section}\n" for title, section in sorted(sections.items()))
        temporary = RESULTS.with_suffix(".tmp")
        temporary.write_text(HEAD + body, "utf-8")
        temporary.replace(RESULTS)


def table(rows: list[dict[str, object]]) -> str:
    """Rows as a Markdown table; the first row's keys are the columns, floats get three significant digits."""
    columns = list(rows[0])
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(row.get(name, '')) for name in columns)} |" for row in rows)])


def versions(*packages: str) -> str:
    """``name version, …`` of the peers, "absent" where one isn't installed."""
    return ", ".join(f"{name} {_version(name)}" for name in packages)


def machine() -> str:
    """What a reader needs to judge seconds: cores that may be used, and the interpreter."""
    return f"{available_cores()} cores, Python {sys.version_info.major}.{sys.version_info.minor}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {title.strip(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}
