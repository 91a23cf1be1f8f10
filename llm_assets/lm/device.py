"""Which device a training runs on, with how many threads, and in which precision its matrix products are.

A device that the recipe asks for and the machine has not is an error: falling back in silence would turn an hour into a week.
"""

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext

import torch

from llm_assets.core.errors import DeviceError
from llm_assets.core.machine import available_cores

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve(name: str) -> torch.device:
    """``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises ``DeviceError`` when the machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise DeviceError(f"device {name!r} is not known; allowed: auto, cpu, cuda, cuda:N")
    if not torch.cuda.is_available():
        raise DeviceError(
            f"device {name!r} was asked for, but this machine has no usable GPU (torch {torch.__version__}); "
            "set device to auto or cpu, or install a CUDA build of torch"
        )
    if index and int(index) >= torch.cuda.device_count():
        raise DeviceError(f"device {name!r} was asked for, but this machine has {torch.cuda.device_count()} GPU(s)")
    return torch.device(name)


def set_threads(n: int = 0) -> int:
    """Threads of one torch operation: ``n``, or as many as there are cores for 0. Returns the number set.

    Results on a CPU depend on it in the last bits, because sums are split by thread.
    """
    threads = n or available_cores()
    torch.set_num_threads(threads)
    return threads


def autocast(device: torch.device, dtype_name: str) -> AbstractContextManager[object]:
    """Mixed precision for matrix products; with ``float32`` nothing is cast. ``DeviceError`` names what is allowed."""
    if dtype_name not in DTYPES:
        raise DeviceError(f"dtype {dtype_name!r} is not known; allowed: {', '.join(DTYPES)}")
    dtype = DTYPES[dtype_name]
    if dtype is torch.float32:
        return nullcontext()
    return torch.autocast(device.type, dtype)


def keep_freed_memory() -> bool:
    """Ask glibc to keep large freed blocks instead of giving them back to the system after every operation.

    A training step frees and takes the same megabytes hundreds of times; page faults were a fifth of its time on a CPU. For
    processes of their own only: the setting holds until they end. Returns whether the C library took it.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has no such knobs
        return False
    largest = 2**31 - 1
    return bool(library.mallopt(_M_MMAP_THRESHOLD, 1 << 30)) and bool(library.mallopt(_M_TRIM_THRESHOLD, largest))
