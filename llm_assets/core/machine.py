"""What this process may use of the machine, and where processes that it starts find this package."""

import os
from pathlib import Path


def available_cores() -> int:
    """Cores that this process may use (its affinity, not the machine's count), where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def search_path() -> str:
    """``PYTHONPATH`` of a process that loads this package, wherever it is started."""
    return os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
