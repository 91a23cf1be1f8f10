"""Who may make an artefact, when machines share nothing but a bucket: on fsspec's file system in memory, by a clock of the test's."""

from uuid import uuid4

import pytest

from llm_assets.core.errors import StoreBusy
from llm_assets.core.lease import Lease, read
from llm_assets.core.objects import Objects

KEY = "leases/a/all/i"


class Clock:
    """Seconds that pass when somebody waits; ``then`` is what happens meanwhile."""

    def __init__(self):
        self.now, self.then = 1000.0, lambda: None

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        self.then()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lease(clock):
    objects, made = Objects(f"memory://{uuid4().hex}"), []

    def of(machine):
        made.append(Lease(objects, KEY, machine, "a[c]", 100.0, clock, clock.wait))
        return made[-1]

    yield of
    for one in made:
        one.release()
    assert read(objects, KEY) is None


def test_a_holder_that_lives_keeps_others_out(lease, clock):
    one, two = lease("host-1:x"), lease("host-2:y")
    one.acquire()
    clock.then = one.renew
    with pytest.raises(StoreBusy, match=r"a\[c\] is being made by another run on host-1 \(since 00:16:40 UTC; its lease runs"):
        two.acquire()
    assert clock.now < 1100, "it is known to live before its lease would have run out"
    one.check()
    one.release()
    two.acquire()


def test_a_dead_machines_lease_is_taken_over_when_it_has_run_out(lease, clock):
    one, two, three = lease("host-1:x"), lease("host-2:y"), lease("host-3:z")
    one.acquire()
    two.acquire()
    assert 1100 <= clock.now < 1120
    with pytest.raises(
        StoreBusy, match="away for longer than its lease of 100 s, and it is being made by another run on host-2"
    ):
        one.check()
    one.release()  # which lets the new holder be
    two.check()
    clock.then = two.renew
    with pytest.raises(StoreBusy, match="host-2"):
        three.acquire()


def test_a_lease_that_ran_out_is_still_its_holders_while_nobody_wants_it(lease, clock):
    one = lease("host-1:x")
    one.acquire()
    clock.now += 1000
    one.check()
    assert read(one.objects, KEY).until == clock.now + 100


def test_on_the_same_machine_there_is_nothing_to_wait_for(lease, clock):
    """A killed run's lease does not hold up the next run there: the file lock has said that nobody holds it."""
    lease("host-1:x").acquire()
    again = lease("host-1:x")
    again.acquire()
    assert clock.now == 1000
    again.check()


def test_a_lease_whose_object_was_removed_is_lost(lease):
    one = lease("host-1:x")
    one.acquire()
    one.objects.remove([f"{KEY}.1"])
    with pytest.raises(StoreBusy, match="by nobody"):
        one.check()


def test_of_two_that_take_over_at_once_one_wins(lease, clock):
    one, two, three = lease("host-1:x"), lease("host-2:y"), lease("host-3:z")
    one.acquire()
    clock.now += 101
    assert two._take(2) and not three._take(2)
    assert read(one.objects, KEY).machine == "host-2:y"


def test_it_is_renewed_by_itself(clock):
    objects = Objects(f"memory://{uuid4().hex}")
    lease = Lease(objects, KEY, "host-1:x", "a[c]", 0.02, clock)
    lease.acquire()
    clock.now += 50
    while read(objects, KEY).until < clock.now:
        lease._ended.wait(0.005)
    lease.release()
    assert read(objects, KEY) is None
