"""Observations: how far, how fast, how long still; seldom enough for a week of training."""

from types import SimpleNamespace

import pytest

from llm_assets.defs import progress


@pytest.fixture
def observed(monkeypatch):
    """A progress with a clock that the test sets, and the observations that it writes."""
    events, clock = [], SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    context = SimpleNamespace(log_event=events.append, has_partition_key=True, partition_key="c-1")
    return progress.DagsterProgress(context, "base_model"), clock, events


def test_an_observation_says_how_far_how_fast_and_how_long_still(observed):
    told, clock, events = observed
    told.update(0, 400, "steps")
    clock.now = 10.0
    told.update(120, 400, "steps", loss_nats=2.5)
    (event,) = events
    values = {name: item.value for name, item in event.metadata.items()}
    assert values == {
        "so_far": "120 of 400 steps (30%), 12 a second, about 23 s left; loss nats 2.5",
        "steps_done": 120,
        "steps_total": 400,
        "share_done": 0.3,
        "steps_per_second": 12.0,
        "seconds_left": 23.3,
        "loss_nats": 2.5,
    }
    assert event.partition == "c-1" and event.asset_key.to_user_string() == "base_model"


def test_a_week_of_training_writes_some_hundreds_of_observations(observed):
    told, clock, events = observed
    for second in range(0, 7 * 86_400, 20):
        clock.now = float(second)
        told.update(second, 7 * 86_400, "steps", loss_nats=float("nan"))
    assert 300 < len(events) < 1000
    assert events[-1].metadata["loss_nats"].value == "nan"


def test_an_unknown_total_gives_no_time_left(observed):
    told, clock, events = observed
    told.update(1, None, "captures found")
    clock.now = 6.0
    told.update(7, None, "captures found")
    assert set(events[0].metadata) == {"so_far", "captures_found_done", "captures_found_per_second"}
    assert events[0].metadata["so_far"].value == "7 captures found, 1 a second"
