"""An S3 server of one's own on the loopback, and machines that share nothing but its bucket."""

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_assets.core import objects
from llm_assets.core.mirror import mirror_folder
from llm_assets.core.objects import Objects
from llm_assets.core.produce import produce
from llm_assets.core.store import Store
from tests.support import toy

SECRET = "a-secret-that-nobody-may-write-down"


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, in a thread; the environment of this process names it, with credentials."""
    server = pytest.importorskip("moto.server", reason="moto (extra [dev]) is not installed").ThreadedMotoServer("127.0.0.1", 0)
    pytest.importorskip("s3fs", reason="s3fs (extra [s3]) is not installed")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    host, port = server.get_host_and_port()
    named = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "tester",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in named.items():
            patch.setenv(name, value)
        objects._opened.cache_clear()
        try:
            yield named["AWS_ENDPOINT_URL"]
        finally:
            objects._opened.cache_clear()
            server.stop()


def make_bucket(name: str) -> str:
    """A new empty bucket; returns the URL of a store in it."""
    fs, _ = objects._opened(f"s3://{name}", os.getpid())
    fs.mkdir(name)
    return f"s3://{name}/stores/ours"


def machine(cache: Path, url: str, recipe: str = "toy") -> Store:
    """The store at a URL as a machine with this cache folder sees it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLM_ASSETS_CACHE", str(cache))
        return Store(mirror_folder(url), recipe)


def killed_in_upload(root: Path, batches: int, crawl: str) -> None:
    """The body of a process: makes ``numbers[crawl]`` and is killed when it has sent some batches of one file each."""
    from llm_assets.core import lease, mirror

    mirror._AT_ONCE = 1
    lease.SECONDS = 0.1  # so that nobody has to wait for the dead
    send, sent = Objects.upload, 0

    def counted(self: Objects, pairs: list[tuple[Path, str]]) -> None:
        nonlocal sent
        if sent == batches:
            os.kill(os.getpid(), signal.SIGKILL)
        send(self, pairs)
        sent += 1

    Objects.upload = counted  # type: ignore[method-assign,assignment]
    produce(Store(root, "toy"), toy.NUMBERS, toy.NumbersConfig(), partition=crawl)


if __name__ == "__main__":
    killed_in_upload(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
