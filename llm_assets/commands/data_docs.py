"""The pages beside the UI in the browser: a small server for what people look at in a store, and for nothing else of it.

The Dagster UI can't serve files, and browsers don't follow links from a web page to a file. So ``llm-assets ui`` serves these
pages beside the UI, where the links in the assets' metadata point; ``llm-assets data-docs --serve`` does so alone.
"""

import signal
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

from llm_assets.commands import site
from llm_assets.core import pages
from llm_assets.core.errors import LlmAssetsError, StoreError
from llm_assets.core.produce import store_root

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_OWN_SCRIPT = {"Content-Security-Policy": f"{_POLICY}; script-src 'self'"}  # for pages of ours that have one, and no other
_PLAIN = {"Content-Type": "text/plain; charset=utf-8"}
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class _Pages(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the pages of one store."""

    protocol_version = "HTTP/1.1"
    server: "PageServer"

    def do_GET(self) -> None:  # the name is http.server's
        """A page, a redirect from the root, or 404."""
        if self.server.local and (self.headers.get("Host") or "").rpartition(":")[0] not in _LOOPBACK:
            return self._send(HTTPStatus.FORBIDDEN, b"This server answers to its own address only.")
        if self.path == "/":
            return self._send(HTTPStatus.FOUND, b"", {"Location": f"/{pages.INDEX}"})
        try:
            if self._made(self.path.partition("?")[0]):
                return None
        except LlmAssetsError as error:  # a recipe or a project that can't be read: the page says why
            return self._send(HTTPStatus.INTERNAL_SERVER_ERROR, str(error).encode(), _PLAIN)
        path = pages.served(self.server.store, self.path)
        if path is None:
            return self._send(HTTPStatus.NOT_FOUND, b"No such page in this store.")
        return self._send(HTTPStatus.OK, path.read_bytes())

    do_HEAD = do_GET

    def _made(self, address: str) -> bool:
        """Answer with what is made on request; False for any other address."""
        if address == f"/{pages.INDEX}":
            self._send(HTTPStatus.OK, site.index(self.server.store).encode("utf-8", "replace"))
            return True
        for page in site.PAGES:
            if address == f"/{site.FOLDER}/{page.name}":
                made = page.render(self.server.store).encode("utf-8", "replace")
                self._send(HTTPStatus.OK, made, _OWN_SCRIPT if page.script else None)
                return True
            if page.script is not None and address == f"/{site.FOLDER}/{page.script_name}":
                self._send(HTTPStatus.OK, page.script().read_bytes(), {"Content-Type": "text/javascript; charset=utf-8"})
                return True
        return False

    def _send(self, status: HTTPStatus, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **(more or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Quiet: the terminal belongs to Dagster's own log."""


class PageServer(ThreadingHTTPServer):
    """Serves the pages of a store. ``OSError`` where nothing can listen at the address."""

    daemon_threads = True

    def __init__(self, store: Path, host: str, port: int) -> None:
        super().__init__((host, port), _Pages)
        self.store = store
        self.local = host in _LOOPBACK  # then no other site's name may be used to reach it

    @property
    def url(self) -> str:
        """Its address, without a closing slash."""
        host = self.server_address[0]
        return f"http://{host if isinstance(host, str) else host.decode()}:{self.server_port}"


@contextmanager
def serving(store: Path, host: str, port: int) -> Iterator[PageServer]:
    """A server that answers in a thread of this process. ``LlmAssetsError`` where nothing can listen at the address."""
    try:
        server = PageServer(store, host, port)
    except OSError as error:
        raise LlmAssetsError(
            f"the Data Docs can't be served at {host}:{port} ({error.strerror}); end what uses the port, or choose another"
        ) from error
    with server:
        thread = Thread(target=server.serve_forever, args=(0.05,), name="data-docs", daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def run_data_docs(open_page: bool, serve: bool, host: str, port: int) -> None:
    """Write the list of pages anew and say where it is; open it in a browser, or serve it until Ctrl-C."""
    store = store_root()
    try:
        index = site.write(store)
    except OSError as error:
        raise StoreError(f"{store} can't be written: {error.strerror}; set LLM_ASSETS_STORE to a folder of yours") from error
    print(index)
    if not serve:
        if open_page:
            _open(index.as_uri())
        return
    with serving(store, host, port) as server:
        print(f"{server.url}/{pages.INDEX} (Ctrl-C ends it)", flush=True)
        if open_page:
            _open(f"{server.url}/{pages.INDEX}")
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a script that starts this may have it ignored
        try:
            Event().wait()
        except KeyboardInterrupt:
            return


def _open(address: str) -> None:
    if not webbrowser.open(address):
        print(f"no browser is here to open {address}", file=sys.stderr)
