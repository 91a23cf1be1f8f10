"""Objects in a bucket: the few things that the store asks of S3, or of any other file system that fsspec opens by URL.

Names are relative to the URL. fsspec and what it needs are imported when the first object is asked for, so that a store in a
folder pays nothing. Credentials come from where the provider's own library looks for them (environment, profile, role), never
from the URL, the recipe or a file of this project.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from llm_assets.core.errors import StoreError

# What a file system is opened with. Other machines write too, so no listing is remembered; with max_concurrency 1 s3fs reads an
# object without asking for its size first. An upload holds at most 4 × 2 parts of 50 MB in memory.
_OPTIONS: dict[str, dict[str, Any]] = {"s3": {"use_listings_cache": False, "max_concurrency": 1}, "file": {"auto_mkdir": True}}
_FILES_AT_ONCE, _PARTS_AT_ONCE = 4, 2
_PROVIDERS = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "adlfs", "azure")
_EXISTS = ("PreconditionFailed", "ConditionalRequestConflict")
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "abfs": "adlfs"}


def check_url(url: str) -> str:
    """The URL without a closing slash. ``StoreError`` where it names no bucket, or carries a secret."""
    parts = urlsplit(url)
    if parts.username or parts.password or parts.query:
        raise StoreError(
            f"LLM_ASSETS_STORE={parts.scheme}://… holds more than a bucket and a prefix; give credentials by the environment "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, or a profile), and the URL as s3://bucket/prefix"
        )
    if not (parts.netloc or parts.path.strip("/")):
        raise StoreError(f"LLM_ASSETS_STORE={url} names no bucket; give s3://bucket/prefix")
    return url.rstrip("/")


@cache
def _opened(url: str, process: int) -> tuple[Any, str]:
    """The file system and its own path of the URL; one for each process, since connections don't survive a fork."""
    import fsspec  # type: ignore[import-untyped]

    protocol = urlsplit(url).scheme
    try:
        return fsspec.core.url_to_fs(url, skip_instance_cache=True, **_OPTIONS.get(protocol, {}))  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        package = _PACKAGES.get(protocol, f"the fsspec package for {protocol}://")
        raise StoreError(f"LLM_ASSETS_STORE={url} can't be opened: {error}; install {package}") from error


class Objects:
    """The objects below one URL. Every method raises ``StoreError``, with what to do, where the provider refuses or is away."""

    def __init__(self, url: str) -> None:
        self.url = url

    @contextmanager
    def _fs(self, doing: str) -> Iterator[tuple[Any, Callable[[str], str]]]:
        fs, base = _opened(self.url, os.getpid())
        try:
            yield fs, lambda name: f"{base}/{name}" if name else base
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise StoreError(f"the bucket of {self.url} does not exist; make it, or mend LLM_ASSETS_STORE") from error
            raise
        except FileExistsError:
            raise
        except Exception as error:
            if not isinstance(error, OSError) and not type(error).__module__.startswith(_PROVIDERS):
                raise
            raise StoreError(f"{doing} {self.url} failed: {_reason(error)}") from error

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none."""
        try:
            with self._fs("reading") as (fs, path):
                return bytes(fs.cat_file(path(name)))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Put an object, over one that may be there: readers see the old or the new one whole."""
        with self._fs("writing to") as (fs, path):
            fs.pipe_file(path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Put an object where there is none (``If-None-Match: *``); False where somebody else was first."""
        try:
            with self._fs("writing to") as (fs, path):
                fs.pipe_file(path(name), data, mode="create")
        except FileExistsError:
            return False
        except StoreError as error:
            if _code(error.__cause__) in _EXISTS:
                return False
            raise
        return True

    def names(self, folder: str) -> list[str]:
        """The last parts of the names one level below a folder, sorted; none where there is no such folder."""
        try:
            with self._fs("listing") as (fs, path):
                found = fs.ls(path(folder), detail=False)
        except FileNotFoundError:
            return []
        return sorted({name.rstrip("/").rpartition("/")[2] for name in found})

    def below(self, folder: str) -> dict[str, int]:
        """All names below a folder (relative to the URL, sorted) with their sizes in bytes."""
        with self._fs("listing") as (fs, path):
            found = fs.find(path(folder), detail=True)
            start = len(fs._strip_protocol(path(""))) + 1
            return {name[start:]: int(known["size"]) for name, known in sorted(found.items())}

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that are gone already are no error."""
        for name in names:
            try:
                with self._fs("removing from") as (fs, path):
                    fs.rm_file(path(name))
            except FileNotFoundError:
                continue

    def upload(self, pairs: Sequence[tuple[Path, str]]) -> None:
        """Copy files to objects, some at once."""
        parts = {"max_concurrency": _PARTS_AT_ONCE} if self.url.startswith("s3://") else {}
        with self._fs("uploading to") as (fs, path):
            fs.put([str(file) for file, _ in pairs], [path(name) for _, name in pairs], **_batches(fs), **parts)

    def download(self, pairs: Sequence[tuple[str, Path]]) -> None:
        """Copy objects to files, some at once. ``StoreError`` where one is gone."""
        try:
            with self._fs("downloading from") as (fs, path):
                fs.get([path(name) for name, _ in pairs], [str(file) for _, file in pairs], **_batches(fs))
        except FileNotFoundError as error:
            raise StoreError(
                f"an object of {self.url} went while it was read ({error}): it was removed meanwhile; start the run again"
            ) from error

    def check(self) -> float:
        """By how many seconds this machine's clock is ahead of the server's.

        Raises ``StoreError`` where the bucket is away, this process may not list, write and remove in it, or the server lets
        two make the same object: crawls would then get one number twice, and two machines make the same artefact.
        """
        self.names("")
        probe = f".probe-{os.uname().nodename}-{os.getpid()}"
        try:
            self.write(probe, b"")
            if self.create(probe, b""):
                raise StoreError(
                    f"the server of {self.url} ignores If-None-Match, so that nothing keeps two machines apart; "
                    "take one that knows conditional writes (Amazon S3, MinIO, Ceph, Google Cloud Storage do)"
                )
            with self._fs("asking") as (fs, path):
                return time.time() - float(fs.modified(path(probe)).timestamp())
        finally:
            self.remove([probe])


def _batches(fs: Any) -> dict[str, int]:
    """Only file systems that work asynchronously copy several files at once."""
    return {"batch_size": _FILES_AT_ONCE} if fs.async_impl else {}


def _code(error: BaseException | None) -> str:
    """The provider's code of an error, from the error itself or what caused it; "" where there is none."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError) or "Credentials" in type(error).__name__:
        return f"{error}; set the credentials in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
    if "Connect" in type(error).__name__ or "Endpoint" in type(error).__name__:
        return f"{error}; is AWS_ENDPOINT_URL right, and the network there?"
    return f"{type(error).__name__}: {error}"
