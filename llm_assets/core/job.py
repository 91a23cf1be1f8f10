"""A job: everything an entry needs, as one JSON file, so that it runs the same in this process or in another.

Training runs as ``python -m llm_assets.worker job.json``: elsewhere than the UI's process, killable, with its own memory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.jsonio import read_json, write_json
from llm_assets.core.progress import Progress
from llm_assets.core.recipe.base import Section, explain
from llm_assets.core.report import Report
from llm_assets.core.spec import AssetSpec, load_entry

JOB_FILE = "job.json"


@dataclass(frozen=True)
class Job:
    """One run of one entry."""

    asset: str
    entry: str
    partition: str
    work: Path
    store: Path
    inputs: dict[str, list[Artefact]]
    config: Section

    @classmethod
    def of(cls, spec: AssetSpec, inputs: Inputs, work: WorkDir, config: Section, store: Path) -> "Job":
        """From what ``produce`` has in hand."""
        found = {name: list(artefacts) for name, artefacts in inputs.artefacts.items()}
        return cls(spec.name, spec.entry, work.partition, work.files.parent, store, found, config)

    def save(self) -> Path:
        """Write ``job.json`` into the work folder and return its path."""
        path = self.work / JOB_FILE
        write_json(
            path,
            {
                "asset": self.asset,
                "entry": self.entry,
                "partition": self.partition,
                "work": str(self.work),
                "store": str(self.store),
                "inputs": {
                    name: [[a.asset, a.partition, a.identity, str(a.files)] for a in artefacts]
                    for name, artefacts in self.inputs.items()
                },
                "section": f"{type(self.config).__module__}:{type(self.config).__qualname__}",
                "config": self.config.model_dump(mode="json"),
            },
        )
        return path

    @classmethod
    def load(cls, path: Path) -> "Job":
        """Read what ``save`` wrote; the config is validated again."""
        data: dict[str, Any] = read_json(path)
        section: type[Section] = load_entry(data["section"])  # type: ignore[assignment]
        try:
            config = section.model_validate(data["config"])
        except ValidationError as error:
            raise explain(error, section, str(path)) from error
        inputs = {
            name: [Artefact(asset, partition, identity, Path(files)) for asset, partition, identity, files in rows]
            for name, rows in data["inputs"].items()
        }
        return cls(data["asset"], data["entry"], data["partition"], Path(data["work"]), Path(data["store"]), inputs, config)


def run_job(job: Job, progress: Progress) -> None:
    """Run the entry and leave ``report.json`` beside what it wrote."""
    work = WorkDir.at(job.work, job.partition, job.asset)
    report = load_entry(job.entry)(Inputs(job.inputs, job.store), work, job.config, progress)
    if not isinstance(report, Report):
        raise TypeError(f"{job.entry} returned {type(report).__name__}, not a Report")
    report.save(work.files)
