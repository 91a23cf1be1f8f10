"""Runs that lose their worker, a code server or the daemon end once, and what was lost is made again: on real processes."""

import os
import signal
import subprocess
import sys

import dagster as dg
import psutil

from llm_assets.defs import launching
from tests.support.servers import Site, at_home, end, make_home, monitor, wait_for

S = dg.DagsterRunStatus


def status(instance, run_id):
    return instance.get_run_by_id(run_id).status


def retry_of(instance, run_id):
    runs = instance.get_runs(filters=dg.RunsFilter(tags={"dagster/parent_run_id": run_id}))
    assert len(runs) <= 1
    return runs[0].run_id if runs else None


def materialised(instance, asset):
    return len(instance.fetch_materializations(dg.AssetKey(asset), limit=10).records)


def test_runs_that_lose_their_worker_and_runs_that_hang(tmp_path, monkeypatch):
    """Case B49: the run of an asset that sends SIGKILL to itself fails, and its retry resumes; the maximum runtime ends a hanging
    run; and a code server that is killed whole, with its runs, leaves none STARTED (Dagster's own launcher does, for a week)."""
    site = Site(tmp_path, make_home(tmp_path / "home"))
    with at_home(site.environment["DAGSTER_HOME"]) as instance:
        with site.code_servers() as (server,), site.context(instance) as context:
            monitor(context)
            killed, lost = site.launch(context, "killed_job"), site.launch(context, "waiting_job")
            hanging = site.launch(context, "hanging_job", tags={"dagster/max_runtime": "1", "dagster/max_retries": "0"})
            site.follow(context, killed, "FAILURE")
            site.follow(context, hanging, "FAILURE", "CANCELED")
            said = [event.message for event in instance.all_logs(hanging)]
            assert any("exceeding maximum runtime of 1 seconds" in message for message in said)
            wait_for(lambda: (monitor(context), retry_of(instance, killed))[1])
            site.follow(context, retry_of(instance, killed), "SUCCESS")
            assert site.starts("killed") == 2 and materialised(instance, "killed") == 1
            assert status(instance, lost) == S.STARTED and site.starts("waiting") == 1, "alive, and found so"
            end(server)
            monitor(context)
            assert status(instance, lost) == S.STARTED, "its code server may come back"
        (site.folder / "go").touch()
        with site.code_servers(), site.context(instance) as context:
            monitor(context)
            assert status(instance, lost) == S.STARTED, "it may only be forgotten, and go on"
            monkeypatch.setattr(launching, "SILENT_SECONDS", 0.0)
            monitor(context)
            assert status(instance, lost) == S.FAILURE
            wait_for(lambda: (monitor(context), retry_of(instance, lost))[1])
            site.follow(context, retry_of(instance, lost), "SUCCESS")
        assert site.starts("waiting") == 2 and materialised(instance, "waiting") == 1


def test_a_daemon_that_is_killed_in_mid_run_and_started_again(tmp_path):
    """One run under way, one in the queue: each ends once, nothing is doubled."""
    home = make_home(tmp_path / "home", concurrency={"runs": {"max_concurrent_runs": 1}})
    site = Site(tmp_path, home)
    with site.code_servers(), at_home(home) as instance, site.context(instance) as context:
        with site.daemon() as daemon:
            first, second = (site.launch(context, "waiting_job") for _ in range(2))
            wait_for(lambda: site.starts("waiting"), site.log.read_text)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
        assert [status(instance, run) for run in (first, second)] in ([S.STARTED, S.QUEUED], [S.QUEUED, S.STARTED])
        (tmp_path / "go").touch()
        with site.daemon():
            wait_for(lambda: {status(instance, run) for run in (first, second)} == {S.SUCCESS}, site.log.read_text)
        assert site.starts("waiting") == 2 and materialised(instance, "waiting") == 2
        assert instance.get_runs_count() == 2


def test_a_run_of_the_command_line_whose_process_has_ended():
    def health(tags):
        return launching.WatchedRunLauncher().check_run_worker_health(dg.DagsterRun(job_name="j", tags=tags)).status.value

    assert health({}) == health(launching.process_tag()) == "RUNNING"
    other = subprocess.run(
        [sys.executable, "-c", "from llm_assets.defs.launching import process_tag; print(process_tag()['llm_assets/process'])"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONWARNINGS": "ignore"},
    ).stdout.strip()  # fmt: skip
    assert health({launching.PROCESS_TAG: other}) == "FAILED"
    assert health({launching.PROCESS_TAG: other.replace(os.uname().nodename, "elsewhere")}) == "RUNNING"
    reused = launching.process_tag()[launching.PROCESS_TAG].replace(str(psutil.Process().create_time()), "1.5")
    assert health({launching.PROCESS_TAG: reused}) == "FAILED", "another process has its number now"


def test_a_code_server_that_does_not_answer_for_long(monkeypatch):
    launcher, clock = launching.WatchedRunLauncher(), iter([0.0, 119.0, 121.0])
    monkeypatch.setattr(launching.time, "monotonic", lambda: next(clock))
    assert launcher._unreachable("r").status.value == "RUNNING"
    assert launcher._unreachable("r").status.value == "RUNNING"
    assert "has not answered for 120 s" in launcher._unreachable("r").msg
