"""Runs that lost their worker end. Dagster's default launcher starts runs on a code server and never asks for them again: when
a code server goes down with its runs (the kernel's out-of-memory killer takes a container whole), they stay STARTED until the
maximum runtime, a week. This launcher lets run monitoring ask; what it finds dead fails, and is tried again as ``dagster.yaml``
says.

A code server that knows nothing of a run is no proof: ``dagster code-server start`` forgets, at a reload of the code, the runs
that go on under the old one. So a run must have been silent for a while, too. ``dagster api grpc`` forgets nothing.
"""

import json
import os
import time
from typing import Any

import psutil
from dagster import DagsterRun
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

PROCESS_TAG = "llm_assets/process"
SILENT_SECONDS = 120.0  # a code server may restart or be too busy to answer, and a run between two messages, for as long


def process_tag() -> dict[str, str]:
    """Marks a run that this process executes itself: ``llm-assets run`` may be killed, too."""
    pid = os.getpid()
    return {PROCESS_TAG: json.dumps([os.uname().nodename, pid, psutil.Process(pid).create_time()])}


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's default launcher, which also says whether the worker of a run is alive."""

    def __init__(self, inst_data: Any = None) -> None:
        super().__init__(inst_data)
        self._unreachable_since: dict[str, float] = {}

    @property
    def supports_check_run_worker_health(self) -> bool:
        """So run monitoring asks."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that a run was started on, or look for the process that executes it."""
        if GRPC_INFO_TAG not in run.tags:
            return _of_process(run.tags.get(PROCESS_TAG, ""))
        client = self._get_grpc_client_for_termination(run.run_id)  # type: ignore[no-untyped-call]
        if client is None:  # it has ended meanwhile
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        try:
            answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id))
        except DagsterUserCodeUnreachableError:
            return self._unreachable(run.run_id)
        self._unreachable_since.pop(run.run_id, None)
        known = deserialize_value(answer, CanCancelExecutionResult).can_cancel
        if known or (silent := self._silent_seconds(run.run_id)) < SILENT_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.FAILED,
            f"its code server knows nothing of it (it was started anew?), and it said nothing for {silent:.0f} s",
        )

    def _silent_seconds(self, run_id: str) -> float:
        last = self._instance.event_log_storage.get_logs_for_run(run_id, limit=1, ascending=False)
        return time.time() - last[0].timestamp if last else SILENT_SECONDS

    def _unreachable(self, run_id: str) -> CheckRunHealthResult:
        now = time.monotonic()
        if now - self._unreachable_since.setdefault(run_id, now) < SILENT_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"its code server has not answered for {SILENT_SECONDS:.0f} s")


def _of_process(tag: str) -> CheckRunHealthResult:
    """Alive, or on another host, or not marked at all (a test, a notebook): nothing is known against it."""
    host, pid, started = json.loads(tag) if tag else ("", 0, 0.0)
    if host != os.uname().nodename:
        return CheckRunHealthResult(WorkerStatus.RUNNING)
    try:
        if psutil.Process(pid).create_time() == started:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
    except psutil.NoSuchProcess:
        pass
    return CheckRunHealthResult(WorkerStatus.FAILED, f"the process {pid} that executed it has ended")
