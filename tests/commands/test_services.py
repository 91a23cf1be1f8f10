"""What the doctor says about buckets, Postgres and how runs are watched; the clock and the servers are a test's."""

import pytest
import yaml

from llm_assets.commands import services
from llm_assets.core.objects import Objects
from llm_assets.core.produce import store_root
from tests.support import servers

DEPLOYED = servers.ROOT / "deploy" / "dagster.yaml"


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", f"memory://doctor/{tmp_path.name}")
    monkeypatch.setenv("LLM_ASSETS_CACHE", str(tmp_path))
    return store_root()


def test_a_bucket_that_can_be_used(root):
    assert [(state, todo) for state, _, todo in services.bucket(root)] == [("ok", "")]


def test_a_bucket_whose_server_has_another_time(root, monkeypatch):
    monkeypatch.setattr(Objects, "check", lambda self: -40.0)
    [(state, said, todo)] = services.bucket(root)
    assert state == "warning" and "differ by 40 s" in said and "NTP" in todo


def test_a_bucket_that_is_away(root, monkeypatch):
    monkeypatch.setattr(Objects, "create", lambda *_: True)
    [(state, said, _)] = services.bucket(root)
    assert state == "fault" and "If-None-Match" in said


def test_a_store_in_a_folder_has_no_bucket(tmp_path):
    assert list(services.bucket(tmp_path)) == [] == list(services.postgres({}))


def settings():
    return yaml.safe_load(DEPLOYED.read_text("utf-8"))


def test_postgres_that_answers_refuses_or_is_away(monkeypatch):
    [(state, said, _)] = services.postgres(settings())
    assert state == "fault" and "DAGSTER_POSTGRES_PASSWORD" in said
    with servers.postgres() as environment:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        [(state, said, todo)] = services.postgres(settings())
        assert (state, todo) == ("ok", "") and said.startswith("Postgres 1") and " of 100 connections in use" in said
        monkeypatch.setenv("DAGSTER_POSTGRES_PASSWORD", "another secret")
        [(state, said, _)] = services.postgres(settings())
        assert state == "fault" and "password authentication failed" in said and "another secret" not in said
    [(state, said, todo)] = services.postgres(settings())
    assert state == "fault" and "refused" in said and "DAGSTER_POSTGRES_HOST" in todo


def test_an_instance_like_the_shipped_one_and_one_that_lacks_all(tmp_path):
    assert list(services.instance_settings(tmp_path, settings())) == []
    said = "".join(text for _, text, _ in services.instance_settings(tmp_path, {}))
    assert "telemetry" in said and "never ends" in said and "not tried again" in said
