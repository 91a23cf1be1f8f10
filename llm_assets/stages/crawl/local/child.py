"""A process that reads one PDF or EPUB file, within limits that the kernel holds; and the side that starts it.

``python -m llm_assets.stages.crawl.local.child FORMAT PATH LIMITS`` prints JSON: the fields, or a rule and a detail.
A file that crashes the parser, never ends or eats the memory is one reject. Processor time decides, not time on the clock,
so that a busy machine changes nothing; the clock is only asked whether the process sleeps.
"""

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from llm_assets.stages.crawl.local.documents import Rejected

READERS = {".pdf": "pdf", ".epub": "epub"}
_SLEEPS = 10.0  # times the processor time that the clock may show, and seconds more
_COMMAND = (sys.executable, "-m", "llm_assets.stages.crawl.local.child")


def read(path: Path, limits: dict[str, float], command: tuple[str, ...] = _COMMAND) -> dict[str, str]:
    """The fields of a file by the reader of its suffix.

    ``limits``: ``max_cpu_seconds``, ``max_memory_mb``, ``max_bytes`` (of text). Raises ``Rejected``: what the reader found,
    or file_timeout, file_memory, file_crash.
    """
    arguments = [*command, READERS[path.suffix.lower()], str(path), json.dumps(limits)]
    seconds = limits["max_cpu_seconds"]
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SLEEPS * (seconds + 1))
    except subprocess.TimeoutExpired as error:
        raise Rejected("file_timeout", f"no end after {error.timeout:g} seconds") from error
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise Rejected("file_timeout", f"more than {seconds:g} seconds of processor time")
    try:
        found: dict[str, str] = json.loads(done.stdout)
    except ValueError as error:
        how = signal.Signals(-done.returncode).name if done.returncode < 0 else f"exit code {done.returncode}"
        raise Rejected("file_crash", how) from error
    if "rule" in found:
        raise Rejected(found["rule"], found["detail"])
    return found


def main(argv: list[str]) -> int:
    """The process itself."""
    name, path, limits = argv[0], Path(argv[1]), json.loads(argv[2])
    seconds = max(1, round(limits["max_cpu_seconds"]))
    memory = int(limits["max_memory_mb"]) * 2**20
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a native library prints must not end up in the answer
    try:
        reader = importlib.import_module(f"llm_assets.stages.crawl.local.{name}")
        found: dict[str, str] = reader.read(path, int(limits["max_bytes"]))
    except Rejected as error:
        found = {"rule": error.rule, "detail": str(error)}
    except MemoryError:
        found = {"rule": "file_memory", "detail": f"more than {limits['max_memory_mb']} MiB"}
    except Exception as error:  # whatever a file makes a reader raise is that file's fate, by name
        found = {"rule": "file_broken", "detail": f"{type(error).__name__}: {error}"[:200]}
    answer.write(json.dumps(found).encode("ascii"))  # a lone surrogate travels as an escape (case B14)
    answer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
