"""A lease: the right to make one artefact, held by one machine at a time, where machines share nothing but a bucket.

It is an object ``<key>.<n>`` that its holder writes anew several times before it runs out; the highest number counts. Who
finds a lease that has run out makes the next number, which the object store lets one of them do (``If-None-Match: *``). So a
machine that died holds nothing up for longer than a lease, and one whose lease was taken over learns it before it commits.
Clocks of the machines must agree to within some seconds.
"""

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from llm_assets.core.errors import StoreBusy, StoreError
from llm_assets.core.objects import Objects

SECONDS = 120.0
_RENEWALS, _LOOKS = 4, 12  # in the time of one lease


@dataclass(frozen=True)
class Held:
    """What a lease object says. ``machine``: whose it is; ``until``, ``since``: seconds since 1970."""

    number: int
    machine: str
    nonce: str
    since: float
    until: float


@dataclass
class Lease:
    """One try to hold a key. ``machine`` names the holder: on the same machine a file lock has excluded others before."""

    objects: Objects
    key: str
    machine: str
    what: str
    seconds: float
    clock: Callable[[], float] = time.time
    wait: Callable[[float], object] = time.sleep
    _nonce: str = field(default_factory=lambda: uuid4().hex)
    _mine: Held | None = None
    _lost: str = ""
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def acquire(self) -> None:
        """Hold the lease and keep it. Raises ``StoreBusy`` where its holder lives.

        A holder that lives writes within a quarter of a lease; for one that doesn't, this waits until its lease has run out.
        """
        first: Held | None = None
        while True:
            held = read(self.objects, self.key)
            if held is None or held.until <= self.clock() or held.machine == self.machine:
                if self._take(held.number + 1 if held else 1):
                    return
            elif first is not None and held != first:
                raise StoreBusy(f"{self.what} is being made {_by(held)}; wait for it or cancel it, then try again")
            else:
                first = held
                self.wait(self.seconds / _LOOKS)

    def _take(self, number: int) -> bool:
        now = self.clock()
        mine = Held(number, self.machine, self._nonce, now, now + self.seconds)
        if not self.objects.create(f"{self.key}.{number}", _bytes(mine)):
            return False
        self._mine = mine
        self.objects.remove([f"{self.key}.{older}" for older in _numbers(self.objects, self.key) if older < number])
        self._thread = threading.Thread(target=self._keep, name=f"lease {self.key}", daemon=True)
        self._thread.start()
        return True

    def _keep(self) -> None:
        while not self._ended.wait(self.seconds / _RENEWALS) and not self._lost:
            try:
                self.renew()
            except StoreError:  # the network may come back; until it does the lease runs out by itself
                continue

    def renew(self) -> None:
        """Write the lease anew, unless another machine has taken it over."""
        mine, held = self._mine, read(self.objects, self.key)
        if mine is None:
            return
        if held is None or held.nonce != self._nonce:
            self._lost = _by(held) if held else "by nobody: its object was removed"
            return
        self._mine = Held(mine.number, mine.machine, mine.nonce, mine.since, self.clock() + self.seconds)
        self.objects.write(f"{self.key}.{mine.number}", _bytes(self._mine))

    def check(self) -> None:
        """Raise ``StoreBusy`` where the lease was lost: what was made here must not be committed over another's."""
        self.renew()
        if self._lost:
            raise StoreBusy(
                f"{self.what}: this machine was away for longer than its lease of {self.seconds:.0f} s, and it is being made "
                f"{self._lost}; wait for that run"
            )

    def release(self) -> None:
        """Let go. A lease that was lost is left to its new holder."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        held = read(self.objects, self.key) if self._mine else None
        if held is not None and held.nonce == self._nonce:
            self.objects.remove([f"{self.key}.{held.number}"])
        self._mine = None


def read(objects: Objects, key: str) -> Held | None:
    """Who holds a key, whether it has run out or not; None where nobody does."""
    for number in reversed(_numbers(objects, key)):
        data = objects.read(f"{key}.{number}")
        if data is not None:
            return Held(number, **json.loads(data))
    return None


def _numbers(objects: Objects, key: str) -> list[int]:
    folder, _, name = key.rpartition("/")
    found = (other.rpartition(".") for other in objects.names(folder))
    return sorted(int(number) for stem, _, number in found if stem == name and number.isdecimal())


def _bytes(held: Held) -> bytes:
    said = {"machine": held.machine, "nonce": held.nonce, "since": held.since, "until": held.until}
    return json.dumps(said).encode()


def _by(held: Held) -> str:
    since, until = (datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S UTC") for moment in (held.since, held.until))
    return f"by another run on {held.machine.partition(':')[0]} (since {since}; its lease runs until {until})"


def machine_name(mark: str) -> str:
    """``host:mark``: the mark tells two mirrors on one host apart."""
    return f"{os.uname().nodename}:{mark}"
