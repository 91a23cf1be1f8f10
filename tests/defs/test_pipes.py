"""Training in a subprocess: progress arrives while it runs, errors come back as their own class, a kill is explained."""

import dataclasses

import dagster as dg
import pytest

from llm_assets.core import errors, job
from llm_assets.core.produce import produce
from llm_assets.core.progress import Recording
from llm_assets.core.store import Store
from llm_assets.defs.pipes import launcher
from tests.support import toy

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """Run the toy total through the launcher, inside an asset, and give the outcome or what was raised."""
    store = Store(tmp_path / "store", "toy")
    produce(store, toy.NUMBERS, toy.NumbersConfig(), partition="one")
    monkeypatch.setenv("PYTHONPATH", str(job.Path.cwd()))
    spec = dataclasses.replace(toy.TOTAL, process=True)
    progress = Recording()

    def go(config):
        caught = []

        @dg.asset
        def total(context: dg.AssetExecutionContext):
            try:
                caught.append(produce(store, spec, config, progress=progress, launcher=launcher(context)))
            except Exception as error:
                caught.append(error)
            yield dg.MaterializeResult()

        with dg.DagsterInstance.ephemeral() as instance:
            dg.materialize([total], instance=instance, run_config=QUIET)
        return caught[0]

    return go, progress


def test_a_subprocess_gives_the_same_outcome_and_live_progress(launch):
    go, progress = launch
    outcome = go(toy.TotalConfig())
    assert outcome.report.metrics["total"] == 6
    assert progress.updates == [(1, 1, "sums", {"total": 6.0})]


def test_a_user_error_comes_back_as_its_own_class(launch):
    error = launch[0](toy.TotalConfig(fail="raise"))
    assert isinstance(error, errors.InputError)
    assert "make them even" in str(error)


def test_a_killed_subprocess_says_that_the_work_goes_on(launch):
    """Case B49: a worker killed by the system ends the step with a sentence, and the work folder stays."""
    error = launch[0](toy.TotalConfig(fail="kill"))
    assert isinstance(error, errors.LlmAssetsError)
    assert "SIGKILL" in str(error)
    assert "it goes on" in str(error)
