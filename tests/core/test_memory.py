"""A peak is that of all processes together."""

import subprocess
import sys

from llm_assets.core.memory import PeakMemory, used_bytes

MIB = 2**20
HOLD = "import sys; held = bytearray(b'x') * (64 * 2**20); print('held', flush=True); sys.stdin.read()"


def test_a_child_counts_while_it_lives():
    before = used_bytes()
    with (
        PeakMemory(interval_s=0.01) as peak,
        subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child,
    ):
        assert child.stdout.readline() == b"held\n"
        with_child = used_bytes()
        child.stdin.close()
    assert with_child - before >= 60 * MIB
    assert peak.peak_bytes >= before


def test_what_was_freed_before_the_end_still_counts():
    with PeakMemory(interval_s=0.001) as peak:
        start = used_bytes()
        held = bytearray(b"x") * (64 * MIB)
        while peak.peak_bytes < start + 60 * MIB:  # the thread looks every millisecond
            pass
        del held
    assert peak.peak_bytes >= start + 60 * MIB
