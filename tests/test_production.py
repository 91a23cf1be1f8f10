"""A deployment as ``deploy/dagster.yaml`` describes it, on real processes: history in Postgres, artefacts and logs in buckets, and two
code servers, our assets' and another project's."""

from contextlib import ExitStack
from pathlib import Path

import dagster as dg
import pytest
import yaml

from llm_assets.commands.gc import run_gc
from llm_assets.commands.status import all_standings
from llm_assets.core.gc import Policy
from llm_assets.core.objects import Objects
from tests.support import buckets, servers

ROOT = Path(__file__).parents[1]
OURS, THEIRS = "llm_assets", "their_project"


class Deployment:
    """The site, the instance, the workspace and the store of one deployment."""

    def __init__(self, folder, stack):
        self.folder = folder
        pytest.importorskip("dagster_aws", reason="dagster-aws is not installed")
        secrets = stack.enter_context(servers.postgres())
        stack.enter_context(buckets.s3_server())
        url = buckets.make_bucket("artefacts")
        buckets.make_bucket("logs")
        self.logs = Objects("s3://logs")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in secrets.items():
            patch.setenv(name, value)
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_bytes((ROOT / "deploy" / "dagster.yaml").read_bytes())
        self.store = buckets.machine(folder / "here", url, "smoke")
        modules = {OURS: "llm_assets.definitions", THEIRS: "tests.support.hostile"}
        own = {
            "LLM_ASSETS_STORE": url,
            "LLM_ASSETS_CACHE": str(folder / "there"),
            "LLM_ASSETS_RECIPE": "smoke",
            "LLM_ASSETS_LOG_BUCKET": "logs",
        }
        for name, value in own.items():
            patch.setenv(name, value)
        self.site = servers.Site(folder, self.home, modules)
        stack.enter_context(self.site.code_servers())
        self.instance = stack.enter_context(servers.at_home(self.home))
        self.context = stack.enter_context(self.site.context(self.instance))
        self.instance.add_dynamic_partitions("crawl", ["a-crawl"])
        self.made = self.run("foundations", OURS)

    def run(self, job, location):
        run_id = self.site.launch(self.context, job, location)
        self.site.follow(self.context, run_id, "SUCCESS", "FAILURE")
        return self.instance.get_run_by_id(run_id)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    with ExitStack() as stack:
        yield Deployment(tmp_path_factory.mktemp("deployment"), stack)


def test_history_partitions_checks_and_sensors_are_in_postgres(deployment):
    instance = deployment.instance
    assert {type(kept).__name__ for kept in (instance.run_storage, instance.event_log_storage, instance.schedule_storage)} == {
        "PostgresRunStorage", "PostgresEventLogStorage", "PostgresScheduleStorage",
    }  # fmt: skip
    assert deployment.made.status == dg.DagsterRunStatus.SUCCESS, deployment.site.log.read_text()[-3000:]
    made = instance.get_latest_materialization_event(dg.AssetKey("tombstones")).asset_materialization
    assert made.tags["dagster/data_version"] == deployment.store.current("tombstones").manifest().digest[:32]
    evaluations = [
        event
        for event in instance.all_logs(deployment.made.run_id)
        if event.dagster_event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert evaluations and all(event.asset_check_evaluation.passed for event in evaluations)
    location = deployment.context.create_request_context().get_code_location(OURS)
    sensor = next(iter(location.get_repositories().values())).get_sensor("inbox")
    instance.start_sensor(sensor)
    assert [state.instigator_name for state in instance.all_instigator_state()] == ["inbox"]
    assert not list(deployment.home.rglob("*.db")), "nothing is kept in files beside"
    assert any(done in name for name in deployment.logs.below("") for done in [deployment.made.run_id])


def test_another_project_in_the_workspace_sees_what_ours_made(deployment):
    graph = deployment.context.create_request_context().asset_graph
    assert dg.AssetKey("their_report") in graph.get(dg.AssetKey("tombstones")).child_keys
    assert deployment.run("their_report_job", THEIRS).status == dg.DagsterRunStatus.SUCCESS
    event = deployment.instance.get_latest_materialization_event(dg.AssetKey("their_report"))
    assert event.asset_materialization.metadata["saw"].value == deployment.store.current("tombstones").manifest().digest[:32]


def test_commands_that_read_the_history_ask_postgres(deployment):
    standings = {standing.name: standing.state for standing in all_standings()}
    assert standings["tombstones"] == "fresh" and standings["raw_crawl[a-crawl]"] == "missing"
    said = run_gc(Policy(), runs_older_than_s=0, runs_keep=0, dry_run=True)
    assert f"would remove 0 runs of Dagster's history; {deployment.instance.get_runs_count()} finished ones stay" in said


def test_no_secret_is_written_down(deployment):
    """Secrets come by the environment only: no file of the home, the store or the logs holds one, nor does an event."""
    files = [path for path in deployment.folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    there = [store.read(name) for store in (deployment.store.mirror.objects, deployment.logs) for name in store.below("")]
    assert len(there) > 10
    for secret in (servers.PASSWORD, buckets.SECRET):
        assert not [data for data in (*there, *(path.read_bytes() for path in files)) if secret.encode() in data]
    told = [str(event) for run in deployment.instance.get_runs() for event in deployment.instance.all_logs(run.run_id)]
    assert told and not any(secret in event for event in told for secret in (servers.PASSWORD, buckets.SECRET))


@pytest.mark.parametrize("path", ["dagster.yaml", "deploy/dagster.yaml"])
def test_a_shipped_instance_tells_nobody_and_watches_its_runs(path):
    """No telemetry; monitoring, retries and a maximum runtime are on (B49); a refused artefact is not made a second time."""
    settings = yaml.safe_load((ROOT / path).read_text("utf-8"))
    assert settings["telemetry"] == {"enabled": False} and settings["nux"] == {"enabled": False}
    watching = settings["run_monitoring"]
    assert watching["enabled"] and watching["max_runtime_seconds"] > 0
    assert watching["start_timeout_seconds"] + watching["poll_interval_seconds"] <= 300
    assert settings["run_retries"] == {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
    assert settings["run_launcher"]["class"] == "WatchedRunLauncher"
    assert settings["concurrency"]["pools"] == {"granularity": "op", "default_limit": 1}


def test_production_differs_from_the_checkout_in_where_things_are_kept_and_takes_that_from_the_environment():
    ours, deployed = (yaml.safe_load((ROOT / path).read_text("utf-8")) for path in ("dagster.yaml", "deploy/dagster.yaml"))
    storage, logs = deployed.pop("storage"), deployed.pop("compute_logs")
    assert logs["config"]["bucket"] == {"env": "LLM_ASSETS_LOG_BUCKET"}
    assert deployed == ours
    asked = storage["postgres"]["postgres_db"]
    assert asked.pop("scheme") == "postgresql+psycopg2"
    assert all(list(value) == ["env"] for value in asked.values())
