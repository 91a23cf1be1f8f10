"""The store on its own: atomic pointers, dangling pointers, a full disk, a kill at any moment of publishing."""

import errno
import multiprocessing
import os
import random
import signal
import time

import pytest

from llm_assets.core.errors import StoreError
from llm_assets.core.manifest import InputEntry, Manifest, content_digest, hash_files
from llm_assets.core.report import Gate
from llm_assets.core.store import Store


def publish(store, identity="i", text="x"):
    with store.work("a", "all", identity) as work:
        (work.files / "f").write_text(text)
        files = hash_files(work.files)
        manifest = Manifest(
            asset="a", partition="all", identity=identity, digest=content_digest(files), code_version="1", files=files
        )
        return store.publish(work, manifest)


def test_published_is_found_but_current_only_when_accepted(tmp_path):
    store = Store(tmp_path, "r")
    artefact = publish(store)
    assert store.find("a", "all", "i") == artefact
    assert store.current("a") is None
    store.accept(artefact)
    assert store.current("a") == artefact
    assert Store(tmp_path, "other").current("a") is None


def test_a_dangling_pointer_is_an_error_with_a_way_out(tmp_path):
    store = Store(tmp_path, "r")
    artefact = publish(store)
    store.accept(artefact)
    (artefact.files / "manifest.json").unlink()
    with pytest.raises(StoreError, match="materialise a again"):
        store.current("a")


def test_a_full_disk_is_one_sentence(tmp_path):
    store = Store(tmp_path, "r")
    with pytest.raises(StoreError, match="no space left while making a"), store.work("a", "all", "i"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert store.find("a", "all", "i") is None


def test_an_unwritable_store_says_which_variable_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="LLM_ASSETS_STORE"), Store(tmp_path / "file", "r").work("a", "all", "i"):
        pass


def test_gates_are_kept_beside_the_manifest(tmp_path):
    store = Store(tmp_path, "r")
    artefact = publish(store)
    gates = [Gate("g", False, "why", {"n": 1})]
    store.judge(artefact, gates)
    assert store.gates(artefact) == gates


def test_used_is_what_current_artefacts_were_made_of(tmp_path):
    """Readers see mix 2; the current model was made of mix 1 by way of another model, and mix 0 is reached by nobody."""
    store = Store(tmp_path, "r")

    def made(asset, identity, *inputs):
        with store.work(asset, "all", identity) as work:
            (work.files / "f").write_text(identity)
            files = hash_files(work.files)
            entries = [InputEntry(asset=a, partition=p, identity=i, digest="d", fingerprint="d") for a, p, i in inputs]
            manifest = Manifest(
                asset=asset,
                partition="all",
                identity=identity,
                digest=content_digest(files),
                code_version="1",
                files=files,
                inputs=entries,
            )
            artefact = store.publish(work, manifest)
        store.accept(artefact)

    for number in range(3):
        made("mix", f"mix-{number}", ("shards", "c-1", "x"))
    made("base", "base-1", ("mix", "all", "mix-1"))
    made("tuned", "tuned-1", ("base", "all", "base-1"), ("gone", "all", "y"))
    made("base", "base-2", ("mix", "all", "mix-2"))
    assert [one.identity for one in store.used("mix", ["tuned"])] == ["mix-1", "mix-2"]
    assert [one.identity for one in store.used("mix", [])] == ["mix-2"]
    assert [one.identity for one in store.used("base", ["tuned", "nobody"])] == ["base-1", "base-2"]
    assert store.used("nothing", ["tuned"]) == []


def _publish_for_ever(root, seed):
    store = Store(root, "r")
    number = 0
    while True:
        number += 1
        store.accept(publish(store, f"{seed}-{number}", "y" * 4096))


def test_sigkill_at_any_moment_leaves_whole_artefacts_only(tmp_path):
    """Ten kills at random moments: CURRENT always names a complete artefact whose files have the digests of its manifest."""
    store = Store(tmp_path, "r")
    randomness = random.Random(7)
    for seed in range(10):
        child = multiprocessing.get_context("fork").Process(target=_publish_for_ever, args=(tmp_path, seed))
        child.start()
        while not (tmp_path / "a" / "all").exists():
            os.sched_yield()
        for _ in range(randomness.randrange(200)):
            time.perf_counter_ns()
            os.sched_yield()
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        for pointer in (tmp_path / "a" / "all").glob("CURRENT.r"):
            assert pointer.read_text().strip()
        current = store.current("a")
        folders = [p for p in (tmp_path / "a" / "all").iterdir() if p.is_dir()]
        assert all((folder / "manifest.json").is_file() for folder in folders)
        if current is not None:
            assert hash_files(current.files) == current.manifest().files
