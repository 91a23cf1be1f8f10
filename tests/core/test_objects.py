"""Objects in a bucket: on S3 and on the file systems that fsspec has itself; what goes wrong is one sentence with a way out."""

import os
import subprocess
import sys

import pytest

from llm_assets.core.errors import StoreError
from llm_assets.core.mirror import mirror_folder
from llm_assets.core.objects import Objects, check_url
from llm_assets.core.store import Store
from tests.support import buckets


@pytest.fixture(scope="module")
def server():
    with buckets.s3_server() as address:
        yield address


@pytest.fixture(params=["s3", "memory", "file"])
def objects(request, tmp_path):
    if request.param == "s3":
        request.getfixturevalue("server")
        return Objects(buckets.make_bucket(f"plain-{os.getpid()}"))
    return Objects({"memory": f"memory://plain/{tmp_path.name}", "file": f"file://{tmp_path}/far"}[request.param])


def test_objects_are_put_read_listed_and_removed(objects, tmp_path):
    assert objects.read("a/x") is None and objects.names("a") == []
    objects.write("a/x", b"1")
    objects.write("a/x", b"22")
    assert objects.create("a/b/y", b"333") and not objects.create("a/b/y", b"4")
    assert objects.read("a/b/y") == b"333"
    assert objects.names("a") == ["b", "x"] and objects.below("a") == {"a/b/y": 3, "a/x": 2}
    (tmp_path / "file").write_bytes(b"from here")
    objects.upload([(tmp_path / "file", "c/z")])
    objects.download([("c/z", tmp_path / "back"), ("a/x", tmp_path / "other")])
    assert (tmp_path / "back").read_bytes() == b"from here" and (tmp_path / "other").read_bytes() == b"22"
    assert -60 < objects.check() < 60
    objects.remove(["a/x", "a/x", "a/b/y", "c/z"])
    assert objects.below("") == {}
    with pytest.raises(StoreError, match="went while it was read"):
        objects.download([("c/z", tmp_path / "back")])


def test_a_bucket_that_is_not_there(server):
    with pytest.raises(StoreError, match="the bucket of s3://nowhere/x does not exist; make it, or mend LLM_ASSETS_STORE"):
        Objects("s3://nowhere/x").read("a")
    with pytest.raises(StoreError, match="does not exist"):
        Objects("s3://nowhere/x").check()


def test_a_server_that_lets_two_make_the_same_object(tmp_path, monkeypatch):
    objects = Objects(f"memory://careless/{tmp_path.name}")
    monkeypatch.setattr(Objects, "create", lambda *_: True)
    with pytest.raises(StoreError, match="ignores If-None-Match"):
        objects.check()
    assert objects.below("") == {}


def _said(environment, url="s3://bucket/x"):
    """What a process of its own with this environment says when it lists a store."""
    code = f"from llm_assets.core.objects import Objects; Objects({url!r}).check()"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env={**kept, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done.stderr.splitlines()[-1]


def test_without_credentials_or_a_server(tmp_path):
    nowhere = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    said = _said(nowhere)
    assert said.startswith("llm_assets.core.errors.StoreError: listing s3://bucket/x failed: Unable to locate credentials")
    assert "AWS_ACCESS_KEY_ID" in said
    said = _said({**nowhere, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"})
    assert "AWS_ENDPOINT_URL" in said and "http://127.0.0.1:9" in said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("s3://key:secret@bucket/x", "give credentials by the environment"),
        ("s3://", "names no bucket"),
        ("s3://b?key=s", "s3://bucket"),
    ],
)
def test_a_url_that_is_wrong_is_refused_without_repeating_a_secret(url, says):
    with pytest.raises(StoreError, match=says) as error:
        check_url(url)
    assert "secret" not in str(error.value).replace("SECRET", "")


def test_a_protocol_that_is_not_installed():
    with pytest.raises(StoreError, match="LLM_ASSETS_STORE=elsewhere://x can't be opened: .*elsewhere"):
        Objects("elsewhere://x").read("a")


def test_the_cache_folder_is_this_urls_own_and_says_when_it_can_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_CACHE", str(tmp_path))
    one, other = mirror_folder("s3://b/x/"), mirror_folder("s3://b-x")
    assert one == mirror_folder("s3://b/x") != other
    assert Store(one, "r").mirror.objects.url == "s3://b/x" and Store(tmp_path, "r").mirror is None
    monkeypatch.setenv("LLM_ASSETS_CACHE", str(one / ".mirror.json"))
    with pytest.raises(StoreError, match="can't be written: Not a directory; set LLM_ASSETS_CACHE to a folder of yours"):
        mirror_folder("s3://b/x")
    monkeypatch.delenv("LLM_ASSETS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert mirror_folder("s3://b/x").is_relative_to(tmp_path / "user" / "llm_assets")


def test_a_store_in_a_folder_loads_nothing_of_this(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom llm_assets.core.recipe.base import Section\n"
        "from llm_assets.core.produce import produce\nfrom llm_assets.core.store import Store\nfrom tests.support import toy\n"
        f"produce(Store(Path({str(tmp_path)!r}), 'toy'), toy.NUMBERS, toy.NumbersConfig(), partition='first')\n"
        "print({'fsspec', 's3fs', 'boto3', 'botocore', 'aiohttp'} & {name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ})
    assert done.stdout.strip() == "set()"
