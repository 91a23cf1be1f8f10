"""Compiled loops are kept, and made anew when a file changes that they come from."""

import os
import subprocess
import sys
from pathlib import Path

CALLEE = """from llm_assets.lm.compiled import compiled
@compiled
def step(x):
    return x + {added}
"""
CONSTANT = "FACTOR = {factor}\n"
CALLER = """from llm_assets.lm.compiled import compiled
from llm_assets_probe import constants as C
from llm_assets_probe.callee import step
@compiled
def run(x):
    return step(x) * C.FACTOR
"""
ASK = "from llm_assets_probe.caller import run; print(run(1), sum(run.stats.cache_hits.values()))"


def test_a_changed_callee_or_constant_makes_the_caller_anew(tmp_path):
    package = tmp_path / "llm_assets_probe"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "caller.py").write_text(CALLER)
    paths = os.pathsep.join((str(tmp_path), str(Path(__file__).resolve().parents[2])))
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("NUMBA_CACHE_DIR", None)

    def asked(added, factor):
        (package / "callee.py").write_text(CALLEE.format(added=added))
        (package / "constants.py").write_text(CONSTANT.format(factor=factor))
        done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=True)
        return tuple(map(int, done.stdout.split()))

    assert asked(1, 1) == (2, 0)
    assert asked(1, 1) == (2, 1)  # kept
    assert asked(2, 1) == (3, 0)  # sizes and times may be the same; what stands in the file isn't
    assert asked(2, 5) == (15, 0)
    assert asked(1, 1) == (2, 0)
