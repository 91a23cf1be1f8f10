"""The tutorial and the operations page are true: their commands are run in their order, and print what the pages say.

Blocks marked ``sh run`` must succeed, ``sh fails`` must not; ``text says`` holds lines that the block before printed;
``file=NAME`` is written into the folder first. Blocks without a mark are for people (they serve, install or need another machine).
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w+)(?: ([^\n]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Reader:
    """Someone who types what a page says, in one shell after the other; variables that are exported stay."""

    def __init__(self, folder):
        self.folder = folder
        self.said = ""
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("LLM_ASSETS_", "DAGSTER_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
        }

    def type(self, command):
        """Run lines of shell; returns the exit code. Output is in ``said``."""
        script = f"set -e -o pipefail\ntrap 'env -0 > {self.folder}/.exported' EXIT\n{command}"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        self.said = done.stdout + done.stderr
        left = (self.folder / ".exported").read_text().split("\0")
        self.environment |= dict(line.split("=", 1) for line in left if line.startswith(("LLM_ASSETS_", "DAGSTER_")))
        return done.returncode

    def read(self, page):
        """Do what a page says."""
        for kind, mark, text in BLOCK.findall((ROOT / page).read_text("utf-8")):
            if mark.startswith("file="):
                (self.folder / mark.removeprefix("file=")).write_text(text)
            elif kind == "sh" and mark in ("run", "fails"):
                assert (self.type(text) == 0) == (mark == "run"), f"{page}:\n{text}\n{self.said[-4000:]}"
            elif mark == "says":
                missing = [line for line in text.splitlines() if line.strip() not in self.said]
                assert missing == [], f"{page} promises {missing}, and this was said:\n{self.said[-4000:]}"


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    reader = Reader(tmp_path_factory.mktemp("reader"))
    reader.read("docs/tutorial.md")
    return reader


def test_the_tutorial_ends_with_a_served_model_and_a_second_crawl(reader):
    assert reader.type("llm-assets status") == 0
    for line in ("✓ deduped_shards[notes]", "✓ deduped_shards[more]", "! training_mix", "~ base_model", "~ deployment"):
        assert line in reader.said
    assert "refused" not in reader.said


def test_a_store_that_was_backed_up_and_restored_stands_as_before(reader):
    """The same status, and the same history in Dagster, from the copy alone."""

    def standing():
        history = (
            "import dagster as dg\nwith dg.DagsterInstance.get() as instance:\n"
            "    print(sorted((key.to_user_string(), str(instance.get_latest_materialization_event(key).timestamp))"
            " for key in instance.all_asset_keys()), len(instance.get_runs()))"
        )
        command = f"llm-assets status\nDAGSTER_HOME=$LLM_ASSETS_STORE/.dagster python - <<'EOF'\n{history}\nEOF"
        assert reader.type(command) == 0, reader.said
        return reader.said

    before = standing()
    reader.read("docs/operations.md")
    assert "everything is fresh" not in before and reader.said
    store = Path(reader.environment["LLM_ASSETS_STORE"])
    store.rename(store.with_name("lost"))
    reader.environment["LLM_ASSETS_STORE"] = str(reader.folder / "restored")
    assert standing() == before
    assert "base_model" in before and "1 damaged" not in before


def test_the_pages_link_to_what_is_there():
    """Links between pages, and files that pages name in the tree."""
    pages = [ROOT / "README.md", ROOT / "deploy/README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#\s]+)\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_nothing_is_told_to_anyone():
    """Telemetry is off in every instance that is shipped, and in the one that is made where none is shipped."""
    import yaml

    from llm_assets.commands.instance import _MINIMAL

    shipped = [(ROOT / name).read_text() for name in ("dagster.yaml", "deploy/dagster.yaml")]
    for text in [*shipped, _MINIMAL.decode()]:
        assert yaml.safe_load(text)["telemetry"] == {"enabled": False}
