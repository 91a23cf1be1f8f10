"""The Dagster UI over the store's history: webserver and daemon, ended together by Ctrl-C; and beside it the store's pages.

``dagster dev`` started from a shell script ignores INT and TERM; started from here, with SIGINT restored, it does not.
"""

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack

from llm_assets.commands.data_docs import serving
from llm_assets.commands.instance import dagster_home
from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.pages import DOCS_URL
from llm_assets.core.produce import project_root, store_root


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


def serve_docs(stack: ExitStack, host: str, port: int) -> dict[str, str]:
    """Serve the store's pages until the stack closes; the environment by which runs link to them.

    A port that is taken is no reason to go without a UI: it is said, and the pages are files all the same.
    """
    try:
        server = stack.enter_context(serving(store_root(), host, port))
    except LlmAssetsError as error:
        print(f"{error} with --docs-port; 'llm-assets data-docs' says where the files are", file=sys.stderr)
        return {}
    return {} if os.environ.get(DOCS_URL) else {DOCS_URL: server.url}


def run_ui(host: str, port: int, docs_port: int, path_prefix: str = "", read_only: bool = False) -> int:
    """Run until interrupted; returns the exit code of ``dagster dev`` (0 after Ctrl-C).

    ``path_prefix``: the path below which a reverse proxy shows the UI, as it passes it on. ``read_only``: a webserver alone, in
    which nothing can be launched, cancelled or switched; the daemon belongs to the instance that people work with.
    """
    if path_prefix and not path_prefix.startswith("/"):
        raise LlmAssetsError(f"--path-prefix {path_prefix}: it starts with a slash, e.g. /{path_prefix}")
    check_port(host, port, "the UI")
    environment = {"DAGSTER_HOME": str(dagster_home()), "DAGSTER_WEBSERVER_PATH_PREFIX": path_prefix.rstrip("/")}
    program = ["-m", "dagster_webserver", "--read-only"] if read_only else ["-m", "dagster", "dev"]
    with ExitStack() as stack:
        return _until_interrupted(program, host, port, {**serve_docs(stack, host, docs_port), **environment})


def _until_interrupted(program: list[str], host: str, port: int, environment: dict[str, str]) -> int:
    workspace = project_root() / "workspace.yaml"
    where = ["-w", str(workspace)] if workspace.is_file() else ["-m", "llm_assets.definitions"]
    command = [sys.executable, *program, *where, "-h", host, "-p", str(port)]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
        return 0
