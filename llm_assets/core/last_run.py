"""How the last run of an asset and crawl ended, where it raised: a line in the work folder, for ``status``.

A run that gates refused leaves its artefact, and one that was killed its work folder; one that raised leaves nothing else here.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from llm_assets.core.errors import StoreBusy
from llm_assets.core.oneline import one_line, shortened

_FILE = "last_runs.jsonl"
_MESSAGE_CHARS = 500


@dataclass(frozen=True)
class Ended:
    """One end of a run. ``error`` is "" where it went well; ``at`` is ISO 8601 in UTC."""

    recipe: str
    identity: str
    run_id: str
    at: str
    error: str = ""


@contextlib.contextmanager
def noted(work: Path, recipe: str, identity: str, run_id: str) -> Iterator[None]:
    """Note what the block raises, and that it went well where the one before had raised. ``work``: of the asset and crawl."""
    try:
        yield
    except StoreBusy:  # the other run's business
        raise
    except Exception as error:
        said = shortened(one_line(f"{type(error).__name__}: {error}"), _MESSAGE_CHARS)
        with contextlib.suppress(OSError):  # what went wrong first is what the user must hear
            _append(work, Ended(recipe, identity, run_id, _now(), said))
        raise
    before = newest(work, recipe)
    if before is not None and before.error:
        _append(work, Ended(recipe, identity, run_id, _now()))


def newest(work: Path, recipe: str) -> Ended | None:
    """The last note under a recipe; None where there is none."""
    path = work / _FILE
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    for line in reversed(lines):
        try:
            found = Ended(**json.loads(line))
        except (ValueError, TypeError):  # cut off by a kill
            continue
        if found.recipe == recipe:
            return found
    return None


def _append(work: Path, ended: Ended) -> None:
    work.mkdir(parents=True, exist_ok=True)
    with open(work / _FILE, "a", encoding="utf-8") as handle:
        handle.write(json.dumps(asdict(ended), ensure_ascii=False) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat()
