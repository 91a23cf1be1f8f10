"""Data Docs: the links that assets carry are answered by the server that runs beside the UI, and nothing else of the store is."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from llm_assets.commands import site
from llm_assets.commands.data_docs import run_data_docs, serving
from llm_assets.commands.ui import serve_docs
from llm_assets.core import pages
from llm_assets.core.artefact import Artefact
from llm_assets.core.errors import LlmAssetsError, StoreError
from llm_assets.core.manifest import Manifest

REF = "cleaned_corpus/c-1/0123abcd"


def manifest(ref, started_at):
    asset, partition, identity = ref.split("/")
    return Manifest(asset=asset, partition=partition, identity=identity, digest="d", code_version="1", started_at=started_at)


@pytest.fixture
def store(tmp_path):
    files = tmp_path / "store" / REF
    (files / "account").mkdir(parents=True)
    (files / "account" / pages.EXPECTATIONS).write_text("<p>what was asked</p>")
    (files / "account" / pages.SAMPLES).write_text("<p>samples</p>")
    (files / "account" / "samples.jsonl").write_text("{}")
    manifest(REF, "2026-11-01").save(files)
    (tmp_path / "store" / ".dagster").mkdir()
    (tmp_path / "store" / ".dagster" / "secret.html").write_text("no")
    (tmp_path / "outside.html").write_text("no")
    site.write(tmp_path / "store")
    return tmp_path / "store"


def get(url, path, method="GET", host=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    connection.request(method, path, headers={"Host": host or parts.netloc})
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return found


def test_the_links_of_an_asset_lead_to_its_pages(store, monkeypatch):
    artefact = Artefact(*REF.split("/"), store / REF)
    with serving(store, "127.0.0.1", 0) as server:
        monkeypatch.setenv(pages.DOCS_URL, server.url)
        links = pages.addresses(artefact)
        assert list(links) == ["data_docs", "samples_by_rule"]
        for name, text in (("data_docs", "what was asked"), ("samples_by_rule", "samples")):
            status, body, headers = get(server.url, urlsplit(links[name]).path)
            assert (status, body) == (200, f"<p>{text}</p>")
            assert "default-src 'none'" in headers["Content-Security-Policy"]


def test_the_list_is_at_the_root_and_its_links_lead_to_the_pages(store):
    with serving(store, "127.0.0.1", 0) as server:
        status, _, headers = get(server.url, "/")
        assert (status, headers["Location"]) == (302, "/data_docs/index.html")
        status, body, _ = get(server.url, headers["Location"])
        assert status == 200
        assert f'href="../{REF}/account/expectations.html"' in body and f'href="../{REF}/account/samples.html"' in body
        assert get(server.url, headers["Location"], "HEAD")[:2] == (200, "")


def test_the_list_knows_what_was_made_after_the_server_began(store):
    with serving(store, "127.0.0.1", 0) as server:
        later = store / "deduped_shards/c-1/89ab"
        (later / "account").mkdir(parents=True)
        (later / "account" / pages.SAMPLES).write_text("<p>later</p>")
        manifest("deduped_shards/c-1/89ab", "2026-11-02").save(later)
        status, body, _ = get(server.url, "/data_docs/index.html")
        assert status == 200 and 'href="../deduped_shards/c-1/89ab/account/samples.html"' in body


@pytest.mark.parametrize(
    "path",
    [
        f"/{REF}/manifest.json",
        f"/{REF}/account/samples.jsonl",
        f"/{REF}/account/",
        f"/{REF}/account/../manifest.json",
        "/.dagster/secret.html",
        "/../outside.html",
        "/%2e%2e/outside.html",
        "/cleaned_corpus/..%2f..%2f/x/account/samples.html",
        "//etc/passwd",
        "/data_docs/",
        "/data_docs/index.html%00",
        "/no/such/artefact/account/samples.html",
    ],
)
def test_nothing_else_of_the_store_is_served(store, path):
    with serving(store, "127.0.0.1", 0) as server:
        assert get(server.url, path)[0] == 404


def test_a_link_that_leads_out_of_the_store_is_not_followed(store, tmp_path):
    page = store / REF / "account" / pages.SAMPLES
    page.unlink()
    page.symlink_to(tmp_path / "outside.html")
    assert pages.served(store, f"/{REF}/account/samples.html") is None


def test_another_name_for_this_machine_is_refused(store):
    """A page elsewhere that gives its own name to this address must not read the store through the user's browser."""
    with serving(store, "127.0.0.1", 0) as server:
        assert get(server.url, "/data_docs/index.html", host="evil.example")[0] == 403
        assert get(server.url, "/data_docs/index.html", host=f"localhost:{server.server_port}")[0] == 200


def test_a_taken_port_is_a_sentence_and_the_ui_goes_on_without(store, capsys, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(store))
    with socket.socket() as other, ExitStack() as stack:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LlmAssetsError, match="can't be served at 127.0.0.1"), serving(store, "127.0.0.1", port):
            pass
        assert serve_docs(stack, "127.0.0.1", port) == {}
    assert "choose another with --docs-port" in capsys.readouterr().err


def test_runs_from_the_ui_link_to_the_server_beside_it(store, monkeypatch):
    monkeypatch.setenv("LLM_ASSETS_STORE", str(store))
    monkeypatch.delenv(pages.DOCS_URL, raising=False)
    with ExitStack() as stack:
        environment = serve_docs(stack, "127.0.0.1", 0)
        assert get(environment[pages.DOCS_URL], "/data_docs/index.html")[0] == 200
        monkeypatch.setenv(pages.DOCS_URL, "https://docs.example/")
        assert serve_docs(stack, "127.0.0.1", 0) == {}
        assert pages.docs_url() == "https://docs.example"


def command(store, *arguments):
    return [sys.executable, "-m", "llm_assets.cli", "data-docs", *arguments], {**os.environ, "LLM_ASSETS_STORE": str(store)}


def test_the_command_says_where_the_pages_are(store):
    (store / pages.INDEX).unlink()
    line, environment = command(store)
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == store / pages.INDEX
    assert (store / pages.INDEX).is_file()


def test_a_store_that_can_not_be_written_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "file" / "store"))
    with pytest.raises(StoreError, match="can't be written: Not a directory; set LLM_ASSETS_STORE"):
        run_data_docs(False, False, "127.0.0.1", 0)


def test_the_command_serves_until_interrupted(store):
    line, environment = command(store, "--serve", "--port", "0")
    with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        url = process.stdout.readline().split()[0]
        assert get(url, urlsplit(url).path)[0] == 200
        process.send_signal(signal.SIGINT)
        try:
            wrong = process.communicate(timeout=20)[1]
        finally:
            process.kill()
    assert (process.returncode, wrong) == (0, "")
