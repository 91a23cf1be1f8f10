"""Processes of a deployment, on free ports of the loopback and ended with the test: Postgres, code servers, the daemon."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PASSWORD = "p@ss/word: of the test"
MOST_SECONDS = 60  # for whatever is waited for; then the test fails


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(what: Callable[[], Any], said: Callable[[], str] = lambda: "") -> Any:
    """Look until there is something; what there is."""
    end = time.monotonic() + MOST_SECONDS
    while not (found := what()):
        assert time.monotonic() < end, f"waited {MOST_SECONDS} s in vain. {said()}"
        time.sleep(0.05)
    return found


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def process(command: list[str], log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, of which nothing is left afterwards."""
    with open(log, "ab") as handle:
        started = subprocess.Popen(command, stdout=handle, stderr=handle, start_new_session=True, **options)
    try:
        yield started
    finally:
        end(started)


def end(started: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a process and its children, as the out-of-memory killer of a container does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)
    started.wait()


def _postgres_program(name: str) -> str:
    places = ["/usr/local/bin", *(str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
    found = shutil.which(name, path=os.pathsep.join([*places, os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"{name} is not installed (Debian's package postgresql)")
    return found


@contextlib.contextmanager
def at_home(home: str | Path) -> Iterator[Any]:
    """The Dagster instance of a home."""
    import dagster as dg

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            yield instance


@contextlib.contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """A new Postgres server with a password; the environment that ``deploy/dagster.yaml`` asks for."""
    pytest.importorskip("dagster_postgres", reason="dagster-postgres (extra [postgres]) is not installed")
    user: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        (folder / "password").write_text(PASSWORD)
        if user:
            for path in (folder, folder / "password"):
                try:
                    shutil.chown(path, "postgres", "postgres")
                except LookupError:
                    pytest.skip("Postgres does not run as root, and there is no user 'postgres' to run it as")
        data, port = folder / "data", free_port()
        subprocess.run(
            [_postgres_program("initdb"), "-D", data, "-U", "keeper", "--pwfile", folder / "password", "-A", "scram-sha-256",
             "-N", "-E", "UTF8", "--locale", "C"],
            check=True, capture_output=True, cwd=folder, **user,
        )  # fmt: skip
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off", "synchronous_commit": "off"}
        command = [_postgres_program("postgres"), "-D", str(data), "-p", str(port)]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        log = folder / "log"
        with process(command, log, cwd=folder, **user):
            wait_for(lambda: b"ready to accept connections" in log.read_bytes(), log.read_text)
            yield {
                "DAGSTER_POSTGRES_HOST": "127.0.0.1",
                "DAGSTER_POSTGRES_PORT": str(port),
                "DAGSTER_POSTGRES_DB": "postgres",
                "DAGSTER_POSTGRES_USER": "keeper",
                "DAGSTER_POSTGRES_PASSWORD": PASSWORD,
            }
    finally:
        shutil.rmtree(folder)


def make_home(folder: Path, source: str = "dagster.yaml", **changes: Any) -> Path:
    """A DAGSTER_HOME with a shipped file, some sections of which a test changes."""
    settings = yaml.safe_load((ROOT / source).read_text("utf-8"))
    for section, values in changes.items():
        settings[section] = {**settings.get(section, {}), **values}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(settings))
    return folder


class Site:
    """Code servers in processes of their own on fixed ports, and what a test does as webserver and daemon would."""

    def __init__(self, folder: Path, home: Path, modules: dict[str, str] | None = None, **environment: str) -> None:
        self.folder, self.modules = folder, modules or {"hostile": "tests.support.hostile"}
        self.ports = {location: free_port() for location in self.modules}
        shared = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore", "DAGSTER_HOME": str(home), "HOSTILE": str(folder)}
        self.environment = {**os.environ, **shared, **environment}
        self.log = folder / "log"
        self.workspace = folder / "workspace.yaml"
        servers = [{"host": "127.0.0.1", "port": port, "location_name": location} for location, port in self.ports.items()]
        self.workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server} for server in servers]}))

    @contextlib.contextmanager
    def code_servers(self) -> Iterator[list[subprocess.Popen[bytes]]]:
        """``dagster api grpc`` for each location, as the containers of a deployment run it."""
        program = [sys.executable, "-m", "dagster", "api", "grpc", "-h", "127.0.0.1"]
        with contextlib.ExitStack() as stack:
            started = [
                stack.enter_context(
                    process([*program, "-m", module, "-p", str(self.ports[name])], self.log, env=self.environment, cwd=ROOT)
                )
                for name, module in self.modules.items()
            ]
            wait_for(lambda: all(map(listens, self.ports.values())), self.log.read_text)
            yield started

    def daemon(self) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
        """``dagster-daemon run``."""
        command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(self.workspace)]
        return process(command, self.log, env=self.environment, cwd=self.folder)

    @contextlib.contextmanager
    def context(self, instance: Any) -> Iterator[Any]:
        """The workspace as daemons and the webserver see it."""
        from dagster._core.workspace.context import WorkspaceProcessContext
        from dagster._core.workspace.load_target import WorkspaceFileTarget

        with WorkspaceProcessContext(instance, WorkspaceFileTarget([str(self.workspace)])) as context:
            yield context

    def launch(self, context: Any, job: str, location: str = "hostile", tags: dict[str, str] | None = None) -> str:
        """Submit a run of a job as the UI does; its id."""
        from dagster._cli.job import _create_run

        request = context.create_request_context()
        found = request.get_code_location(location)
        repository = next(iter(found.get_repositories().values()))
        run = _create_run(context.instance, found, repository, repository.get_full_job(job), {}, tags, None, None)
        context.instance.submit_run(run.run_id, request)
        return str(run.run_id)

    def follow(self, context: Any, run_id: str, *wanted: str) -> None:
        """Rounds of the daemons until a run has one of these statuses."""

        def look() -> bool:
            monitor(context)
            return context.instance.get_run_by_id(run_id).status.value in wanted

        wait_for(look, self.log.read_text)

    def starts(self, asset: str) -> int:
        """How often an asset was started."""
        path = self.folder / f"{asset}.starts"
        return len(path.read_text()) if path.exists() else 0


def monitor(context: Any) -> None:
    """One round of each daemon that watches, launches and retries runs, without its pause."""
    from dagster._daemon.auto_run_reexecution.event_log_consumer import EventLogConsumerDaemon
    from dagster._daemon.monitoring import execute_run_monitoring_iteration
    from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

    with warnings.catch_warnings(), QueuedRunCoordinatorDaemon(interval_seconds=1) as queue:
        warnings.simplefilter("ignore")  # Dagster's daemons use what Python deprecates
        list(execute_run_monitoring_iteration(context, logging.getLogger("monitor")))
        list(EventLogConsumerDaemon().run_iteration(context))
        list(queue.run_iteration(context))
