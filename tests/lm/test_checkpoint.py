import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from llm_assets.lm import checkpoint

STATE = {"weights": torch.arange(1000.0), "history": [{"step": 1, "loss": 2.5, "note": None}]}

# Each child is killed by SIGKILL after so many written bytes of its second save, wherever that is.
KILLER = """
import builtins, os, random, signal, sys
import torch
from pathlib import Path
from llm_assets.lm import checkpoint

class Deadly:
    def __init__(self, handle, left):
        self.handle, self.left = handle, left
    def write(self, data):
        data = memoryview(data).cast("B")
        if len(data) >= self.left:
            self.handle.write(data[: self.left]); self.handle.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= len(data)
        return self.handle.write(data)
    def __enter__(self): return self
    def __exit__(self, *error): self.handle.close()
    def __getattr__(self, name): return getattr(self.handle, name)

root, rng = Path(sys.argv[1]), random.Random(0)
for number in range(50):
    folder = root / str(number)
    checkpoint.save(folder, 1, {"weights": torch.arange(1000.0), "step": 1})
    size = (folder / "step-00000001.pt").stat().st_size
    left = rng.randrange(1, size)
    child = os.fork()
    if child == 0:
        plain = builtins.open
        def open(path, mode="r", *rest, **more):
            handle = plain(path, mode, *rest, **more)
            return Deadly(handle, left) if "w" in mode else handle
        builtins.open = open
        checkpoint.save(folder, 2, {"weights": torch.arange(1000.0) + 1, "step": 2})
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), status
"""


def test_a_state_comes_back_as_it_was(tmp_path):
    checkpoint.save(tmp_path, 7, STATE)
    step, found = checkpoint.newest(tmp_path)
    assert step == 7
    assert torch.equal(found["weights"], STATE["weights"])
    assert found["history"] == STATE["history"]


def test_there_may_be_none(tmp_path):
    assert checkpoint.newest(tmp_path / "nothing") is None


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3, 4):
        checkpoint.save(tmp_path, step, {"step": step}, keep=2)
    assert checkpoint.steps(tmp_path) == [3, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"step-0000000{step}.{suffix}" for step in (3, 4) for suffix in ("json", "pt")
    ]


def test_at_least_one_is_kept(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        checkpoint.save(tmp_path, 1, {}, keep=0)


@pytest.mark.parametrize("seed", range(5))
def test_a_truncated_newest_is_passed_over(tmp_path, seed):
    """Case B25: the weights file is cut somewhere."""
    checkpoint.save(tmp_path, 1, STATE)
    newest = checkpoint.save(tmp_path, 2, STATE)
    os.truncate(newest, random.Random(seed).randrange(newest.stat().st_size))
    assert checkpoint.newest(tmp_path)[0] == 1


def test_a_flipped_byte_is_noticed(tmp_path):
    checkpoint.save(tmp_path, 1, STATE)
    newest = checkpoint.save(tmp_path, 2, STATE)
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    assert checkpoint.newest(tmp_path)[0] == 1


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"step": 2}'])
def test_a_damaged_marker_vouches_for_nothing(tmp_path, marker):
    checkpoint.save(tmp_path, 1, STATE)
    checkpoint.save(tmp_path, 2, STATE).with_suffix(".json").write_text(marker)
    assert checkpoint.newest(tmp_path)[0] == 1


def test_a_state_without_its_marker_is_not_there(tmp_path):
    checkpoint.save(tmp_path, 1, STATE)
    checkpoint.save(tmp_path, 2, STATE).with_suffix(".json").unlink()
    assert checkpoint.newest(tmp_path)[0] == 1
    checkpoint.save(tmp_path, 3, STATE, keep=1)
    assert [path.name for path in tmp_path.glob("*.pt")] == ["step-00000003.pt"]


def test_nothing_of_a_failed_save_is_left(tmp_path):
    checkpoint.save(tmp_path, 1, STATE)
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        checkpoint.save(tmp_path, 2, {"cannot": (_ for _ in ())})
    assert {path.suffix for path in tmp_path.iterdir()} == {".pt", ".json"}
    assert checkpoint.newest(tmp_path)[0] == 1


def test_killed_at_any_byte_the_one_before_is_there(tmp_path):
    """Case B25: 50 kills at random byte offsets of a save; none leaves a run stuck, and the next save goes through."""
    subprocess.run([sys.executable, "-c", KILLER, str(tmp_path)], check=True, cwd=Path(__file__).parents[2])
    killed = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(killed) == 50
    for folder in killed:
        step, found = checkpoint.newest(folder)
        assert (step, found["step"]) == (1, 1)
    checkpoint.save(killed[0], 2, {"step": 2}, keep=1)
    assert checkpoint.newest(killed[0])[0] == 2
    assert sorted(path.name for path in killed[0].iterdir()) == ["step-00000002.json", "step-00000002.pt"]
    assert json.loads((killed[0] / "step-00000002.json").read_text())["step"] == 2
