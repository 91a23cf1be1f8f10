"""The daemon's wheels, turned by hand: sensors, schedules and back-fills of ``tests.support.location``, runs in this process."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import dagster as dg
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.test_utils import instance_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

_LOG = logging.getLogger("tests.daemon")
_IN_MEMORY = {"module": "dagster._core.launcher.sync_in_memory_run_launcher", "class": "SyncInMemoryRunLauncher"}


class Crash(BaseException):
    """The daemon dies here."""


class Daemon:
    """One instance and one code location."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext) -> None:
        self.instance = instance
        self.workspace = workspace
        request = workspace.create_request_context()
        location = next(iter(request.get_code_location_entries().values())).code_location
        self.repository = next(iter(location.get_repositories().values()))

    def start(self, name: str) -> None:
        """Turn a sensor or schedule on."""
        if self.repository.has_sensor(name):
            self.instance.start_sensor(self.repository.get_sensor(name))
        else:
            self.instance.start_schedule(self.repository.get_schedule(name))

    def sense(self, forget: bool = True) -> None:
        """One look of every sensor that is on, whatever its interval."""
        if forget:
            self.forget_intervals()
        list(execute_sensor_iteration(self.workspace, _LOG, None, None))

    def forget_intervals(self) -> None:
        """Let every sensor look at once."""
        for state in self.instance.all_instigator_state():
            if state.instigator_data is not None and state.instigator_type.value == "SENSOR":
                data = state.instigator_data._replace(last_tick_timestamp=None, last_tick_start_timestamp=None)
                self.instance.update_instigator_state(state.with_data(data))

    def schedule(self, moment: datetime) -> None:
        """What is due at a moment."""
        list(launch_scheduled_runs(self.workspace, _LOG, moment, {}))

    def back_fill(self) -> None:
        """All open back-fills, to their end."""
        for _ in range(4):
            assert [error for error in execute_backfill_iteration(self.workspace, _LOG) if error is not None] == []
            self.launch()

    def launch(self) -> None:
        """Run what waits in the queue, one after the other."""
        for run in reversed(self.instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED]))):
            self.instance.launch_run(run.run_id, self.workspace.create_request_context())

    def runs(self) -> list[tuple[str, str]]:
        """(partition, status) of every run, oldest first."""
        return [(run.tags.get("dagster/partition", ""), run.status.value) for run in reversed(self.instance.get_runs())]

    def ticks(self, name: str) -> list[str]:
        """What the ticks of a sensor or schedule say, newest first."""
        owner = self.repository.get_sensor(name) if self.repository.has_sensor(name) else self.repository.get_schedule(name)
        origin = owner.get_remote_origin().get_id()
        return [tick.skip_reason or tick.status.value for tick in self.instance.get_ticks(origin, owner.selector_id)]


@contextmanager
def daemon(folder: Path) -> Iterator[Daemon]:
    """An instance below ``folder``: the same folder again is a daemon that was started again."""
    root = Path(__file__).parents[2]
    target = LoadableTargetOrigin(
        executable_path=sys.executable, module_name="tests.support.location", working_directory=str(root), attribute="defs"
    )
    folder.mkdir(exist_ok=True)
    with (
        warnings.catch_warnings(action="ignore", category=DeprecationWarning),  # Dagster's own, of Dagster's own
        instance_for_test(temp_dir=str(folder), overrides={"run_launcher": _IN_MEMORY}) as instance,
        WorkspaceProcessContext(instance, InProcessWorkspaceLoadTarget(InProcessCodeLocationOrigin(target))) as workspace,
    ):
        yield Daemon(instance, workspace)
