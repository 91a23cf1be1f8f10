"""What the doctor finds, on a machine that is well and on ones that are not."""

import json
import socket
from types import SimpleNamespace

import pytest

from llm_assets.commands import doctor
from llm_assets.commands.doctor import Check, checks, run_doctor


@pytest.fixture(autouse=True)
def clinic(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "smoke")
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(doctor, "PORTS", {})


def found(name):
    [one] = [one for one in checks() if one.name == name]
    return one


def test_this_machine_can_run_the_tests_at_least():
    states = {one.name: one.state for one in checks()}
    assert states["python"] == states["recipe"] == states["gpu"] == states["dagster"] == "ok"
    assert set(states) == {"python", "packages", "recipe", "gpu", "store", "temporary", "memory", "cores", "dagster"}


def test_a_missing_package_and_another_version_than_tested(monkeypatch):
    versions = doctor.library_version
    monkeypatch.setattr(doctor, "library_version", lambda name: "absent" if name == "polars" else versions(name))
    one = found("packages")
    assert (one.state, one.todo) == ("fault", "run: make setup")
    assert "polars" in one.said and "absent" in one.said
    monkeypatch.setattr(doctor, "library_version", lambda name: versions(name) + ".post9" if name == "rich" else versions(name))
    one = found("packages")
    assert one.state == "warning"
    assert "rich " in one.said


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(doctor.platform, "python_version_tuple", lambda: ("3", "10", "4"))
    assert found("python") == Check("python", "fault", found("python").said, "take Python 3.11 or 3.12")


def test_a_recipe_that_is_wrong_ends_nothing_else(monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_RECIPE", "smoky")
    assert "smoky" in found("recipe").said
    said, healthy = run_doctor()
    assert not healthy and "✓ cores" in said


def test_a_gpu_that_is_asked_for_and_not_there(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("extends: smoke\nname: mine\nbase_model: {device: cuda}\n")
    monkeypatch.setenv("LLM_ASSETS_RECIPE", str(recipe))
    assert found("gpu").todo == "set base_model.device: auto or cpu"


def test_little_memory_and_little_disk(monkeypatch):
    monkeypatch.setattr(doctor.psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30, total=2**32))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    assert (found("memory").state, found("memory").said) == ("warning", "1.0 GiB free of 4.0")
    assert found("store").state == found("temporary").state == "warning"
    assert "LLM_ASSETS_STORE" in found("store").todo and "TMPDIR" in found("temporary").todo


def test_a_store_that_can_not_be_written(monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    one = found("store")
    assert (one.state, one.todo) == ("fault", "set LLM_ASSETS_STORE to a folder of yours")


def test_too_many_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    assert found("cores").state == "warning"


def test_dagsters_home(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", "here")
    assert found("dagster").state == "fault"
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert "no limit for pools" in found("dagster").said
    (tmp_path / "dagster.yaml").write_text("concurrency: {pools: {granularity: op, default_limit: 2}}\n")
    assert found("dagster").said.endswith("2 at once in each pool")


def test_a_port_that_is_taken(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setattr(doctor, "PORTS", {"the gateway": taken.getsockname()[1]})
        one = found("port")
    assert (one.state, one.todo) == ("warning", "end what uses it, or give the gateway another port")
    assert found("port").state == "ok"


def test_a_check_that_fails_by_itself_is_a_fault(monkeypatch):
    monkeypatch.setattr(doctor, "available_cores", lambda: 1 / 0)
    assert found("processors").said == "ZeroDivisionError: division by zero"


def test_json(monkeypatch):
    monkeypatch.setattr(doctor, "checks", lambda: [Check("cores", "ok", "2")])
    said, healthy = run_doctor(as_json=True)
    assert healthy and json.loads(said) == [{"name": "cores", "state": "ok", "said": "2", "todo": ""}]
