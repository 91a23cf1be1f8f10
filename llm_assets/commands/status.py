"""``llm-assets status`` and ``llm-assets plan``: where every asset stands, and what a run would do about it.

Dagster is asked only for crawls that it knows and the store does not.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from llm_assets.core.freshness import Plan, Standing, plan, standings
from llm_assets.core.oneline import shortened
from llm_assets.core.produce import store_root
from llm_assets.core.recipe import load_recipe
from llm_assets.core.status_page import SIGNS, page
from llm_assets.core.store import Store
from llm_assets.stages import all_specs

_WHY_CHARS = 100


def all_standings(root: Path | None = None) -> list[Standing]:
    """Of every asset × crawl under this process's recipe. ``root``: the store's folder, by default this process's."""
    recipe = load_recipe()
    specs = all_specs()
    sections = {name: recipe.section(name) for name in specs}
    return standings(Store(root or store_root(), recipe.name), specs, sections, _known_crawls())


def _known_crawls() -> list[str]:
    """The crawls that the instance at ``DAGSTER_HOME``, or else of the store, knows; none where there is no instance."""
    from llm_assets.commands.instance import exists, instance

    if not exists():
        return []
    from llm_assets.defs.settings import CRAWLS

    with instance() as dagster:
        return list(dagster.get_dynamic_partitions(CRAWLS))


def status_page(root: Path, navigation: str = "") -> str:
    """The same as a page. ``root``: the store's folder; ``navigation``: HTML that stands above."""
    recipe = load_recipe()
    now = datetime.now(UTC).isoformat(" ", "seconds").removesuffix("+00:00")
    return page(all_standings(root), recipe.name, f"{now} UTC", navigation)


def run_status(as_json: bool = False) -> str:
    """One line an asset and crawl: its state, and why where it isn't fresh; and which models read what was taken down since."""
    found = all_standings()
    if as_json:
        return json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=1)
    counts = {state: sum(one.state == state for one in found) for state in SIGNS}
    told = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return "\n".join([*_lines(found), "", told])


def _lines(found: Iterable[Standing]) -> list[str]:
    rows = list(found)
    width = max((len(one.name) for one in rows), default=0)
    lines = []
    for one in rows:
        why = shortened("; ".join(one.reasons), _WHY_CHARS)
        lines.append(f"{SIGNS[one.state]} {one.name:<{width}}  {one.state:<7}  {why}".rstrip())
    return lines


def run_plan(as_json: bool = False) -> str:
    """What a run under this recipe would make anew, what it may, and what both cost the last time."""
    made = plan(all_standings())
    if as_json:
        return json.dumps({**asdict(made), "seconds": made.seconds, "gpu_hours": made.gpu_hours}, ensure_ascii=False, indent=1)
    if not made.certain and not made.possible:
        return "everything is fresh; a run would make nothing"
    lines = []
    for title, rows in (("made anew", made.certain), ("made anew if an input comes out otherwise", made.possible)):
        if rows:
            lines += [f"{title}:", *costs(rows), ""]
    return "\n".join([*lines, summed(made)])


def costs(rows: Iterable[Standing]) -> list[str]:
    """A line each: name, what it cost the last time, why."""
    rows = list(rows)
    width = max(len(one.name) for one in rows)
    lines = []
    for one in rows:
        cost = "in the store already" if one.ready else f"{one.seconds:,.1f} s" if one.seconds else "never made"
        why = shortened("; ".join(one.reasons) or one.state, _WHY_CHARS)
        lines.append(f"  {one.name:<{width}}  {cost:>12}  {why}")
    return lines


def summed(made: Plan) -> str:
    """What a plan costs in all."""
    (least, most), (least_gpu, most_gpu) = made.seconds, made.gpu_hours
    unknown = sum(not one.seconds for one in (*made.certain, *made.possible))
    said = f"{least:,.0f} s" if least == most else f"{least:,.0f} to {most:,.0f} s"
    gpu = f", {least_gpu:,.2f} to {most_gpu:,.2f} GPU hours" if most_gpu else ""
    return f"by the last run of each: {said}{gpu}" + (f"; {unknown} never made, cost unknown" if unknown else "")
