"""A loopback server that is laid out like Common Crawl's: listings, WARC and WET files, a ZipNum index, byte ranges."""

import contextlib
import gzip
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.warcs import members, record, response

ID = "CC-MAIN-2026-43"
FOLDER = f"crawl-data/{ID}"
INDEX = f"cc-index/collections/{ID}/indexes"
BLOCK = 5  # captures a block
PROSE = "The mill by the river has ground the corn of three villages since the old bridge was built of stone. " * 4
Fault = Callable[["Handler", bytes, int], bool]  # (handler, whole file, first byte asked) → whether it answered


class Handler(BaseHTTPRequestHandler):
    """Answers ranges as S3 does. ``server.faults``: path → faults, each used once, in order."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        path = self.path.lstrip("/")
        given = self.headers.get("Range", "")
        first, _, last = given.removeprefix("bytes=").partition("-")
        start = int(first) if first else 0
        with self.server.lock:
            self.server.asked.append((path, start))
            faults = self.server.faults.get(path)
            fault = faults.pop(0) if faults else None
        data = self.server.files.get(path)
        if data is None:
            self.reply(404, b"no such key")
            return
        if fault is not None and fault(self, data, start):
            return
        etag = self.etag(data)
        if self.headers.get("If-Match", etag) != etag:
            self.reply(412, b"")
        elif given:
            part = data[start : int(last) + 1]
            self.reply(206, part, {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}", **self.extra(data)})
        else:
            self.reply(200, data, self.extra(data))

    @staticmethod
    def etag(data: bytes) -> str:
        return f'"{hashlib.md5(data).hexdigest()}"'

    def extra(self, data: bytes) -> dict[str, str]:
        return {"ETag": self.etag(data), "x-amz-request-id": "1"} if self.server.s3 else {"ETag": self.etag(data)}

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int = -1) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length < 0 else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    files: dict[str, bytes]
    faults: dict[str, list[Fault]]
    asked: list[tuple[str, int]]
    lock: threading.Lock
    s3: bool


def status(code: int, **headers: str) -> Fault:
    """Answer with a status, once."""

    def fault(handler: Handler, data: bytes, start: int) -> bool:
        handler.reply(code, b"slow down", {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return fault


def cut_short(handler: Handler, data: bytes, start: int) -> bool:
    """Promise all, send half, close."""
    part = data[start : int(handler.headers["Range"].rpartition("-")[2]) + 1]
    head = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"}
    handler.reply(206, part[: len(part) // 2], head, len(part))
    handler.close_connection = True
    return True


def damaged(handler: Handler, data: bytes, start: int) -> bool:
    """The right length, one byte wrong."""
    first, _, last = handler.headers["Range"].removeprefix("bytes=").partition("-")
    part = bytearray(data[int(first) : int(last) + 1])
    part[len(part) // 2] ^= 0xFF
    head = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}", **handler.extra(data)}
    handler.reply(206, bytes(part), head)
    return True


@dataclass
class Month:
    """The files of a month: ``pages`` are (host, path, language), spread over WARC files; built once, served many times."""

    pages: list[tuple[str, str, str]]
    warcs: int = 4
    files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [f"{FOLDER}/segments/1/warc/CC-{n:05d}.warc.gz" for n in range(self.warcs)]
        wets = [f"{FOLDER}/segments/1/wet/CC-{n:05d}.warc.wet.gz" for n in range(self.warcs)]
        data = {name: members(record(b"software: x\r\n", "warcinfo", url="")) for name in names}
        texts = dict.fromkeys(wets, b"")
        lines = []
        for number, (host, path, language) in enumerate(self.pages):
            name, url = names[number % self.warcs], f"http://{host}{path}"
            member = members(response(f"<html><body><p>{url}. {PROSE}</p></body></html>".encode(), url))
            about = {
                "url": url, "mime": "text/html", "mime-detected": "text/html", "status": "200", "length": str(len(member)),
                "offset": str(len(data[name])), "filename": name, "languages": language,
            }  # fmt: skip
            data[name] += member
            key = ",".join(reversed(host.split("."))) + ")" + path
            lines.append(f"{key} 20261001120000 {json.dumps(about)}")
            text = record(f"{url}. {PROSE}".encode(), "conversion", url, Content_Type="text/plain")
            texts[wets[number % self.warcs]] += members(text)
        self.files |= data | texts
        self._list("warc", names)
        self._list("wet", wets)
        self._index(sorted(lines))

    def _list(self, kind: str, names: list[str]) -> None:
        self.files[f"{FOLDER}/{kind}.paths.gz"] = gzip.compress("".join(f"{name}\n" for name in names).encode())

    def _index(self, lines: list[str]) -> None:
        shard, cluster = b"", ""
        for first in range(0, len(lines), BLOCK):
            block = gzip.compress("".join(f"{line}\n" for line in lines[first : first + BLOCK]).encode())
            key = " ".join(lines[first].split(" ")[:2])
            cluster += f"{key}\tcdx-00000.gz\t{len(shard)}\t{len(block)}\t{first // BLOCK + 1}\n"
            shard += block
        self.files |= {f"{INDEX}/cdx-00000.gz": shard, f"{INDEX}/cluster.idx": cluster.encode()}
        self._list("cc-index", [f"{INDEX}/cdx-00000.gz", f"{INDEX}/cluster.idx", f"{INDEX}/metadata.yaml"])


@contextlib.contextmanager
def serving(files: dict[str, bytes], s3: bool = True) -> Iterator[tuple[Server, str]]:
    """(server, base address)."""
    server = Server(("127.0.0.1", 0), Handler)
    server.files, server.faults, server.asked, server.lock, server.s3 = files, {}, [], threading.Lock(), s3
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
