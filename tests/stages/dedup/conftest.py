from pathlib import Path

import orjson
import polars as pl
import pytest

from llm_assets.core.artefact import Inputs, WorkDir
from llm_assets.core.progress import Silent
from llm_assets.core.recipe.corpus import DedupedShardsConfig
from llm_assets.core.spec import load_entry
from llm_assets.stages import spec_of
from tests.support import corpus

SPEC = spec_of("deduped_shards")
OWN_GATES = SPEC.gate_names[: SPEC.gate_names.index("index_complete") + 1]  # after these come the expectations on the table


class Bench:
    """Makes deduped_shards of small crawls in one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.suite = root / "suite"
        self.items({"topic": []})

    def items(self, tasks: dict[str, list[tuple[str, str]]], exact: tuple[str, ...] = ()) -> None:
        """Replace the evaluation suite: task → (item_id, text)."""
        (self.suite / "tasks").mkdir(parents=True, exist_ok=True)
        about = {}
        for task, items in tasks.items():
            lines = b"\n".join(orjson.dumps({"item_id": name, "text": text, "url": ""}) for name, text in items)
            (self.suite / f"tasks/{task}.jsonl").write_bytes(lines)
            about[task] = {"file": f"tasks/{task}.jsonl", "decontaminate": "exact" if task in exact else "overlap"}
        (self.suite / "suite.json").write_bytes(orjson.dumps({"tasks": about}))

    def links(self, crawl: str, links: dict[str, str | None]) -> None:
        """Canonical links of a crawl's pages: doc_id → link."""
        folder = self.root / "pages" / crawl
        folder.mkdir(parents=True)
        frame = pl.DataFrame(list(links.items()), schema={"doc_id": pl.String, "rel_canonical": pl.String}, orient="row")
        frame.write_parquet(folder / "captures.parquet")

    def inputs(self, crawl: str, older: list[Path]) -> Inputs:
        pages = self.root / "pages" / crawl
        return Inputs.of(
            {
                "cleaned_corpus": [self.root / "cleaned" / crawl],
                "extracted_pages": [pages] if pages.exists() else [],
                "deduped_shards": older,
                "eval_suite": [self.suite],
            }
        )

    def run(self, crawl, parts, older=(), config=None, progress=None):
        """Deduplicate shards of rows; returns the artefact's folder and the report."""
        corpus.shards(self.root / "cleaned" / crawl, *parts)
        files = self.root / "deduped" / crawl
        files.mkdir(parents=True, exist_ok=True)
        out = WorkDir(files, self.root / "private", crawl, "deduped_shards")
        report = load_entry(SPEC.entry)(
            self.inputs(crawl, list(older)), out, config or DedupedShardsConfig(), progress or Silent()
        )
        return files, report

    def gates(self, crawl, files, report, older=(), config=None):
        assert SPEC.gates is not None
        found = load_entry(SPEC.gates)(self.inputs(crawl, list(older)), files, config or DedupedShardsConfig(), report)
        assert tuple(gate.name for gate in found) == SPEC.gate_names
        assert all(gate.blocking for gate in found if gate.name in OWN_GATES)
        return {gate.name: gate for gate in found}

    def refused(self, crawl, files, report, older=(), config=None):
        """The stage's own gates that did not pass."""
        return [
            name
            for name, gate in self.gates(crawl, files, report, older, config).items()
            if name in OWN_GATES and not gate.passed
        ]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)
