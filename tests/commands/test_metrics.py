"""Figures for Prometheus: the format, the states of status, and a server that answers nothing else."""

import re
import threading

import httpx
import pytest

from llm_assets.commands import metrics
from llm_assets.core.freshness import Standing

ROWS = [
    Standing("raw_crawl", "wiki", "fresh", identity="1", seconds=8.25),
    Standing("base_model", "all", "refused", ("a gate",), "3", seconds=100.0, gpu_hours=0.5),
    Standing("sft_model", "all", "missing"),
]


@pytest.fixture
def told(tmp_path, monkeypatch):
    monkeypatch.setattr(metrics, "all_standings", lambda: ROWS)
    monkeypatch.setenv("LLM_ASSETS_STORE", str(tmp_path / "not" / "there"))
    return metrics.figures()


def test_every_line_is_a_comment_or_a_sample(told):
    sample = re.compile(r'^[a-z_]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? [0-9.e+-]+$')
    assert told.endswith("\n") and all(line.startswith("# ") or sample.match(line) for line in told.splitlines())


def test_states_seconds_and_gpu_hours(told):
    lines = told.splitlines()
    assert 'llm_assets_standing{asset="base_model",partition="all",state="refused"} 1' in lines
    assert 'llm_assets_seconds{asset="raw_crawl",partition="wiki"} 8.25' in lines
    assert 'llm_assets_gpu_hours{asset="base_model",partition="all"} 0.5' in lines
    assert not any("sft_model" in line and "seconds" in line for line in lines)
    assert any(re.match(r"llm_assets_store_free_bytes \d+$", line) for line in lines)
    assert [line.split()[2] for line in lines if line.startswith("# TYPE")] == list(metrics._ABOUT)


def test_the_server_answers_one_address(told):
    with metrics.server("127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}"
            answer = httpx.get(f"{address}/metrics")
            assert answer.headers["content-type"] == metrics.CONTENT_TYPE and 'state="missing"' in answer.text
            assert httpx.get(f"{address}/").status_code == 404
        finally:
            server.shutdown()
            thread.join()
