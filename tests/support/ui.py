"""A webserver, a daemon and two code locations (the real one and the slow one) over a small store, as 'llm-assets ui' starts them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import yaml

from llm_assets.core.store import Store

ROOT = Path(__file__).parents[2]
CRAWL = "mine"
T = TypeVar("T")
_TEXT = (
    "The {0} lives by the river. It eats fish and small plants, and it sleeps in the reeds when the night is cold. "
    "People have watched the {0} for hundreds of years, and they have written down what they saw in many books. "
    "In spring the {0} builds a nest of grass. The young stay with it until summer, and then they go their own way. "
)
# What a page may hold, and what must stay text wherever it is shown.
HOSTILE = "The sign says <script>document.title='taken'</script> <img src=https://outside.example/x.png> ![y](https://outside.example/y)."
_NAMES = ("otter", "heron", "pike", "beaver", "frog", "newt", "swan", "crane", "eel", "carp", "vole", "mink", "stork", "toad")


def write_documents(folder: Path) -> None:
    """A few short pages of text, of which two say the same."""
    folder.mkdir(parents=True)
    for number, name in enumerate(_NAMES):
        (folder / f"{name}.txt").write_text(f"{HOSTILE}\n\n{_TEXT.format(name)}\n\nThis is page {number} of the {name} book.\n")
    (folder / "copy.txt").write_text((folder / "otter.txt").read_text())


def write_recipe(path: Path, documents: Path) -> Path:
    """A recipe over a folder of documents, small enough to be made in seconds."""
    path.write_text(
        yaml.safe_dump(
            {
                "extends": "smoke",
                "name": "small",
                "catalogue": {
                    "groups": {"corpus": {"owners": ["team:corpus"], "tags": {"data": "text"}}},
                    "assets": {"cleaned_corpus": {"owners": ["ann@example.org"], "description": "Owned by Ann."}},
                },
                "raw_crawl": {"local": {"folders": {CRAWL: str(documents)}}},
            }
        )
    )
    return path


@dataclass
class Ui:
    """What the tests need of it. ``docs``: the address of the store's own pages."""

    url: str
    docs: str
    store: Store
    slow: Store
    environment: dict[str, str]

    def ask(self, query: str, **variables: Any) -> Any:
        """One GraphQL question, as the page asks it."""
        answer = httpx.post(f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=30).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch(self, asset: str, config: dict[str, Any] | None = None, partition: str = "") -> str:
        """Start a run of one slow asset, as the Materialize button does; returns its id."""
        params = {
            "selector": {
                "repositoryLocationName": "slow",
                "repositoryName": "__repository__",
                "jobName": "__ASSET_JOB",
                "assetSelection": [{"path": [asset]}],
            },
            "runConfigData": {"ops": {asset: {"config": config or {}}}},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}] if partition else []},
        }
        query = (
            "mutation($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) { __typename "
            "... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"
        )
        said = self.ask(query, params=params)["launchPipelineExecution"]
        assert said["__typename"] == "LaunchRunSuccess", said
        return str(said["run"]["runId"])

    def terminate(self, run: str) -> None:
        """As the button Terminate does."""
        query = (
            "mutation($ids: [String!]!) { terminateRuns(runIds: $ids, terminatePolicy: SAFE_TERMINATE) { __typename "
            "... on TerminateRunsResult { terminateRunResults { __typename } } } }"
        )
        said = self.ask(query, ids=[run])["terminateRuns"]
        assert said["terminateRunResults"][0]["__typename"] == "TerminateRunSuccess", said

    def status(self, run: str) -> str:
        query = "query($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"
        return str(self.ask(query, id=run)["runOrError"]["status"])

    def newest_run(self) -> str:
        """The id of the run that was launched last."""
        query = "{ runsOrError(limit: 1) { ... on Runs { results { runId } } } }"
        return str(self.ask(query)["runsOrError"]["results"][0]["runId"])

    def ended(self, run: str) -> str:
        """The status of a run when it has ended."""
        return until(lambda: (status := self.status(run)) in ("SUCCESS", "FAILURE", "CANCELED") and status, f"run {run} to end")

    def observations(self, asset: str) -> list[dict[str, Any]]:
        """The metadata of an asset's observations, label → value, the newest first."""
        query = (
            "query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset { assetObservations { "
            "metadataEntries { label ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue } "
            "... on TextMetadataEntry { text } } } } } }"
        )
        found = self.ask(query, key={"path": [asset]})["assetOrError"]["assetObservations"]
        kinds = ("text", "intValue", "floatValue")
        return [
            {entry["label"]: next((entry[kind] for kind in kinds if kind in entry), None) for entry in one["metadataEntries"]}
            for one in found
        ]

    def cli(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """``llm-assets`` over the same store."""
        command = [sys.executable, "-W", "ignore", "-m", "llm_assets.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=self.environment, cwd=ROOT)


def until(check: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """The first true answer; an error that says what was waited for where there is none."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds:.0f} s for {what}")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_home(home: Path) -> None:
    """The shipped instance, but that its queue is looked at more often."""
    settings = yaml.safe_load((ROOT / "dagster.yaml").read_text())
    settings["concurrency"].pop("runs")
    settings["run_coordinator"] = {
        "module": "dagster.core.run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"dequeue_interval_seconds": 1},
    }
    home.mkdir()
    (home / "dagster.yaml").write_text(yaml.safe_dump(settings))


@contextmanager
def running(folder: Path) -> Iterator[Ui]:
    """Make the store of the small recipe and serve it until the end of the block."""
    documents, root, home = folder / "documents", folder / "store", folder / "home"
    write_documents(documents)
    recipe = write_recipe(folder / "small.yaml", documents)
    write_home(home)
    port, docs = free_port(), free_port()
    root.mkdir()
    url, pages = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{docs}"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "LLM_ASSETS_RECIPE": str(recipe),
        "LLM_ASSETS_STORE": str(root),
        "LLM_ASSETS_DOCS_URL": pages,
        "DAGSTER_HOME": str(home),
    }
    ui = Ui(url, pages, Store(root, "small"), Store(root, "slow"), environment)
    made = ui.cli("run", "--crawl", CRAWL, "--select", "tombstones,raw_crawl,extracted_pages,cleaned_corpus")
    assert made.returncode == 0, made.stdout + made.stderr
    served = [sys.executable, "-W", "ignore", "-m", "llm_assets.cli", "data-docs", "--serve", "--port", str(docs)]
    with _process(_dagster(folder, port), folder, environment), _process(served, folder, environment):
        until(lambda: _answers(f"{url}/server_info"), "the webserver", 120)
        until(lambda: _answers(f"{pages}/data_docs/index.html"), "the store's pages", 120)
        until(lambda: len(_locations(ui)) == 2, "both code locations", 120)
        yield ui


def _dagster(folder: Path, port: int) -> list[str]:
    """The command of a webserver, a daemon and two code servers."""
    workspace = folder / "workspace.yaml"
    locations = {"llm_assets": "llm_assets.definitions", "slow": "tests.support.slow_house"}
    modules = [{"python_module": {"module_name": module, "location_name": name}} for name, module in locations.items()]
    workspace.write_text(yaml.safe_dump({"load_from": modules}))
    return [sys.executable, "-m", "dagster", "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)]


@contextmanager
def _process(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A command that runs until the end of the block, and is interrupted as by Ctrl-C."""
    with open(folder / f"{command[-1]}.log", "wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=20).status_code == 200
    except httpx.TransportError:
        return False


def _locations(ui: Ui) -> list[str]:
    query = (
        "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename "
        "... on PythonError { message } } } } } }"
    )
    entries = ui.ask(query)["workspaceOrError"]["locationEntries"]
    for entry in entries:
        assert (entry["locationOrLoadError"] or {}).get("__typename") != "PythonError", entry
    return [entry["name"] for entry in entries if entry["loadStatus"] == "LOADED"]
