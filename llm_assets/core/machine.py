"""What this process may use of the machine."""

import os


def available_cores() -> int:
    """Cores that this process may use (its affinity, not the machine's count), where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
