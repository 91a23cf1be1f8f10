"""The Dagster UI over the store's history: webserver and daemon, ended together by Ctrl-C.

``dagster dev`` started from a shell script ignores INT and TERM; started from here, with SIGINT restored, it does not.
"""

import os
import signal
import socket
import subprocess
import sys

from llm_assets.commands.instance import dagster_home
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.produce import project_root


def check_port(host: str, port: int, what: str) -> None:
    """Raise ``LlmAssetsError`` if nothing can listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LlmAssetsError(
                f"{what} can't listen on {host}:{port} ({error.strerror}); "
                "end what uses the port, or choose another with --port"
            ) from error


def run_ui(host: str, port: int) -> int:
    """Run until interrupted; returns the exit code of ``dagster dev`` (0 after Ctrl-C)."""
    check_port(host, port, "the UI")
    home = dagster_home()
    workspace = project_root() / "workspace.yaml"
    where = ["-w", str(workspace)] if workspace.is_file() else ["-m", "llm_assets.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *where, "-h", host, "-p", str(port)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, env={**os.environ, "DAGSTER_HOME": str(home)})
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
        return 0
