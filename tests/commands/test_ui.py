"""The UI as an auditor sees it, behind a reverse proxy: below a path, and nothing can be changed."""

import json
import os
import sys
import urllib.error
import urllib.request

import pytest

from llm_assets.commands.ui import run_ui
from llm_assets.core.errors import LlmAssetsError
from tests.support import servers

CHANGE = """mutation { addDynamicPartition(partitionsDefName: "crawl", partitionKey: "x",
  repositorySelector: {repositoryName: "__repository__", repositoryLocationName: "llm_assets"}) { __typename } }"""


def asked(address, query):
    request = urllib.request.Request(address, json.dumps({"query": query}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["data"]


def test_an_auditor_reads_below_a_path_and_changes_nothing(tmp_path):
    port, log = servers.free_port(), tmp_path / "log"
    environment = {
        **os.environ,
        "LLM_ASSETS_STORE": str(tmp_path / "store"),
        "DAGSTER_HOME": "",
        "PYTHONPATH": str(servers.ROOT),
    }
    command = [sys.executable, "-m", "llm_assets.cli", "ui", "--recipe", "smoke", "--read-only", "--path-prefix", "/audit/"]
    command += ["--port", str(port), "--docs-port", str(servers.free_port())]
    with servers.process(command, log, env=environment, cwd=servers.ROOT):
        servers.wait_for(lambda: servers.listens(port), log.read_text)
        address = f"http://127.0.0.1:{port}/audit"
        with urllib.request.urlopen(f"{address}/") as page:
            assert b"/audit" in page.read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/graphql")
        allowed = asked(f"{address}/graphql", "{ permissions { permission value } canBulkTerminate }")
        assert allowed["permissions"] and not any(one["value"] for one in allowed["permissions"])
        assert not allowed["canBulkTerminate"]
        assert asked(f"{address}/graphql", CHANGE)["addDynamicPartition"]["__typename"] == "UnauthorizedError"
    assert "daemon" not in log.read_text(), "the daemon belongs to the instance that people work with"


def test_a_prefix_that_is_no_path():
    with pytest.raises(LlmAssetsError, match="--path-prefix audit: it starts with a slash, e.g. /audit"):
        run_ui("127.0.0.1", 1, 2, "audit")
