"""A peak is that of all processes together."""

import subprocess
import sys
import threading

from llm_assets.core import memory
from llm_assets.core.memory import PeakMemory, used_bytes

MIB = 2**20
HOLD = "import sys; held = bytearray(b'x') * (256 * 2**20); print('held', flush=True); sys.stdin.read()"


def test_a_child_counts_while_it_lives():
    before = used_bytes()
    with (
        PeakMemory(interval_s=0.01) as peak,
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout.readline() == b"held\n"
        with_child = used_bytes()
        child.stdin.close()
    assert with_child - before >= 200 * MIB  # of 256; other processes and threads of the tests may free some meanwhile
    assert peak.peak_bytes >= before


def test_what_was_freed_before_the_end_still_counts():
    with PeakMemory(interval_s=0.001) as peak:
        start = used_bytes()
        held = bytearray(b"x") * (64 * MIB)
        while peak.peak_bytes < start + 60 * MIB:  # the thread looks every millisecond
            pass
        del held
    assert peak.peak_bytes >= start + 60 * MIB


def watchers():
    return [thread for thread in threading.enumerate() if thread.name == "peak-memory"]


def test_one_thread_looks_for_all_and_ends_with_the_last(monkeypatch):
    """The demo watches the whole of it and each asset its own part; a look costs too much to be taken twice."""
    level = {"now": 100}
    monkeypatch.setattr(memory, "used_bytes", lambda: level["now"])
    with PeakMemory(interval_s=0.001) as whole:
        while whole.peak_bytes < 100:
            pass
        level["now"] = 10
        with PeakMemory(interval_s=0.001) as part:
            assert len(watchers()) == 1
            level["now"] = 20
        assert part.peak_bytes == 20  # what was before is not its own
        level["now"] = 300
        assert len(watchers()) == 1
    assert (whole.peak_bytes, part.peak_bytes) == (300, 20)
    assert watchers() == []
    with PeakMemory() as again:
        pass
    assert again.peak_bytes == 300 and watchers() == []
