"""A job travels as JSON and comes back equal; what an entry returns is checked."""

import json
import subprocess
import sys

import pytest

from llm_assets.core.artefact import Artefact, Inputs, WorkDir
from llm_assets.core.errors import RecipeError, StoreError
from llm_assets.core.job import Job, run_job
from llm_assets.core.progress import Silent
from llm_assets.core.report import Report
from tests.support import toy


@pytest.fixture
def job(tmp_path):
    numbers = tmp_path / "numbers"
    numbers.mkdir()
    (numbers / "numbers.txt").write_text("1 2")
    inputs = Inputs.of({"numbers": [numbers]})
    return Job.of(toy.TOTAL, inputs, WorkDir.at(tmp_path / "work", "all", "total"), toy.TotalConfig(), tmp_path)


def test_round_trip(job):
    assert Job.load(job.save()) == job


def test_a_config_edited_by_hand_is_validated(job):
    path = job.save()
    data = json.loads(path.read_text())
    data["config"]["factro"] = 2
    path.write_text(json.dumps(data))
    with pytest.raises(RecipeError, match="did you mean 'factor'"):
        Job.load(path)


def test_the_worker_runs_it_in_a_process_of_its_own(job):
    done = subprocess.run([sys.executable, "-m", "llm_assets.worker", job.save()], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"done": 1, "total": 1, "unit": "sums", "metrics": {"total": 3.0}}
    assert Report.load(job.work / "files").metrics["total"] == 3


def test_the_worker_says_a_users_mistake_in_one_sentence(job):
    bad = Job(**{**job.__dict__, "config": toy.TotalConfig(fail="raise")})
    done = subprocess.run([sys.executable, "-m", "llm_assets.worker", bad.save()], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.strip() == "total: the numbers are odd; make them even"


def test_an_entry_that_returns_no_report_is_a_fault(job, monkeypatch):
    monkeypatch.setattr(toy, "add", lambda *_: None)
    with pytest.raises(TypeError, match="not a Report"):
        run_job(job, Silent())


def test_inputs_say_what_is_missing(tmp_path):
    inputs = Inputs({"a": [Artefact("a", "all", "1", tmp_path)]}, tmp_path)
    assert inputs.one("a").ref == "a/all/1"
    assert inputs.maybe("b") is None
    with pytest.raises(StoreError, match="exactly one b is needed, 0 found"):
        inputs.one("b")
    with pytest.raises(StoreError, match="has no 'x'"):
        inputs.one("a").file("x")
    assert inputs.resolve("a/all/1") == tmp_path
    with pytest.raises(StoreError, match="not in the store"):
        inputs.resolve("a/all/2")
