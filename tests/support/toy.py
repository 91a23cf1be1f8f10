"""Two toy assets that behave like real ones: numbers[crawl] (a source) and total."""

import dataclasses
import os
import signal

from llm_assets.core.artefact import Artefact, Inputs, Waiting, WorkDir
from llm_assets.core.errors import InputError
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.base import Section, execution
from llm_assets.core.report import Gate, Report
from llm_assets.core.spec import AssetSpec, Input


class NumbersConfig(Section):
    values: list[int] = [1, 2, 3]
    fail: str = ""


class TotalConfig(Section):
    at_least: int = execution(0)
    factor: int = 1
    workers: int = execution(1)
    limit: int = 1000
    fail: str = ""


NUMBERS = AssetSpec("numbers", "tests.support.toy:fetch", source=True, partitioned=True, tags={"numbers_crawl": "yes"})
TOTAL = AssetSpec(
    "total",
    "tests.support.toy:add",
    inputs=(Input("numbers", which="all"),),
    gates="tests.support.toy:gates",
    gate_names=("below_limit", "counts_add_up"),
)


BROKEN = AssetSpec("numbers", "tests.support.toy:fetch_unless_broken", source=True, partitioned=True)


PATIENT = dataclasses.replace(TOTAL, holds_back="tests.support.toy:hold_back")
MODEL = AssetSpec("model", "tests.support.toy:train", inputs=(Input("numbers", "read_by", by="total"),))


def hold_back(current: Artefact, inputs: Inputs, config: TotalConfig, now: float) -> Waiting | None:
    """New crawls wait until there are ``at_least`` of them."""
    known = {entry.partition for entry in current.manifest().inputs}
    new = [crawl.partition for crawl in inputs.many("numbers") if crawl.partition not in known]
    if not new or len(new) >= config.at_least:
        return None
    return Waiting(tuple(new), 10 * len(new), (f"at least {config.at_least} crawls are asked for",))


def train(inputs: Inputs, out: WorkDir, config: Section, progress: Progress) -> Report:
    """Reads what the total was made of."""
    (out.files / "model.txt").write_text(" ".join(crawl.partition for crawl in inputs.many("numbers")))
    return Report(counts={"crawls": len(inputs.many("numbers"))})


def fetch_unless_broken(inputs: Inputs, out: WorkDir, config: NumbersConfig, progress: Progress) -> Report:
    """Fails for the crawls that the file ``broken`` beside the store lists."""
    broken = inputs.store.parent / "broken"
    if broken.exists() and out.partition in broken.read_text().split():
        raise InputError(f"the site of {out.partition} is closed; try again tomorrow")
    return fetch(inputs, out, config, progress)


def fetch(inputs: Inputs, out: WorkDir, config: NumbersConfig, progress: Progress) -> Report:
    if config.fail:
        raise InputError("the site is closed; try again tomorrow")
    (out.files / "numbers.txt").write_text(" ".join(str(v) for v in config.values))
    return Report(counts={"rows": len(config.values)})


def add(inputs: Inputs, out: WorkDir, config: TotalConfig, progress: Progress) -> Report:
    with open(out.private / "starts", "a") as handle:
        handle.write("x")
    total = 0
    for artefact in inputs.many("numbers"):
        total += sum(int(v) for v in artefact.file("numbers.txt").read_text().split())
    (out.files / "total.txt").write_text(str(total * config.factor))
    if config.fail == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if config.fail == "raise":
        raise InputError("the numbers are odd; make them even")
    progress.update(1, 1, "sums", total=float(total))
    return Report(
        counts={"documents_in": 3, "kept": 2, "dropped:odd": 1},
        metrics={"total": total * config.factor, "starts": len((out.private / "starts").read_text())},
    )


def few(inputs: Inputs, files, config: NumbersConfig, report: Report) -> list[Gate]:
    return [Gate("few", report.counts["rows"] <= 5, f"{report.counts['rows']} numbers, at most 5")]


def gates(inputs: Inputs, files, config: TotalConfig, report: Report) -> list[Gate]:
    total = int((files / "total.txt").read_text())
    return [Gate("below_limit", total <= config.limit, f"the total is {total}, at most {config.limit} is allowed")]
