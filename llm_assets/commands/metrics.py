"""``llm-assets metrics``: where every asset stands, as figures in Prometheus's text format, printed or served.

    llm_assets_standing{asset="base_model",partition="all",state="fresh"} 1

The names of states are those of ``llm-assets status``. Served figures are counted anew for each question, from manifests.
"""

import shutil
import signal
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from llm_assets.commands.status import all_standings
from llm_assets.commands.ui import check_port
from llm_assets.core.freshness import Standing
from llm_assets.core.produce import store_root

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # of Prometheus's exposition format
_ABOUT = {
    "llm_assets_standing": "1 for the state of an asset and crawl",
    "llm_assets_seconds": "Seconds that the last making of an asset and crawl took",
    "llm_assets_gpu_hours": "GPU hours that the last making of an asset and crawl took",
    "llm_assets_store_free_bytes": "Bytes that are free where the store is",
}


def figures() -> str:
    """All figures, in Prometheus's text format."""
    lines: list[str] = []
    known: dict[str, list[str]] = {name: [] for name in _ABOUT}
    for standing in all_standings():
        for name, line in _of(standing):
            known[name].append(line)
    root = store_root()
    there = next(path for path in (root, *root.parents) if path.exists())
    known["llm_assets_store_free_bytes"].append(f"llm_assets_store_free_bytes {shutil.disk_usage(there).free}")
    for name, found in known.items():
        lines += [f"# HELP {name} {_ABOUT[name]}", f"# TYPE {name} gauge", *found]
    return "\n".join([*lines, ""])


def _of(standing: Standing) -> Iterator[tuple[str, str]]:
    labels = f'asset="{standing.asset}",partition="{standing.partition}"'
    yield "llm_assets_standing", f'llm_assets_standing{{{labels},state="{standing.state}"}} 1'
    if standing.seconds:
        yield "llm_assets_seconds", f"llm_assets_seconds{{{labels}}} {standing.seconds}"
        yield "llm_assets_gpu_hours", f"llm_assets_gpu_hours{{{labels}}} {standing.gpu_hours}"


class _Figures(BaseHTTPRequestHandler):
    """Answers GET /metrics, and nothing else."""

    def do_GET(self) -> None:  # the name is http.server's
        """The figures, or 404."""
        found = self.path.partition("?")[0] == "/metrics"
        body = (figures() if found else "The figures are at /metrics.\n").encode()
        self.send_response(HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet: a question a minute is no news."""


def server(host: str, port: int) -> ThreadingHTTPServer:
    """The server, which listens and does not answer yet. ``LlmAssetsError`` where nothing can listen there."""
    if port:
        check_port(host, port, "the figures")
    return ThreadingHTTPServer((host, port), _Figures)


def run_metrics(serve: bool, host: str, port: int) -> None:
    """Print the figures, or serve them until Ctrl-C."""
    if not serve:
        print(figures(), end="")
        return
    with server(host, port) as listening:
        print(f"http://{host}:{listening.server_port}/metrics (Ctrl-C ends it)", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a script that starts this may have it ignored
        try:
            listening.serve_forever()
        except KeyboardInterrupt:
            return
