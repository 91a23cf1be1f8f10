"""``llm-assets doctor``: whether this machine and this installation can do what the recipe asks, and what to do where not.

Each check looks and changes nothing, but for a file of no bytes that is written into the store (and its bucket) and removed.
Memory and disk are judged by what the demo takes (README): 3.6 GiB in all processes, and 2 GB of store.
"""

import json
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Literal

import psutil
from packaging.requirements import Requirement

from llm_assets.commands import services
from llm_assets.commands.instance import home_folder
from llm_assets.commands.ui import check_port
from llm_assets.core.errors import LlmAssetsError, StoreError
from llm_assets.core.identity import library_version
from llm_assets.core.machine import available_cores
from llm_assets.core.mirror import behind
from llm_assets.core.produce import project_root, store_root
from llm_assets.core.recipe import load_recipe

State = Literal["ok", "warning", "fault"]
GIB = 2**30
NEEDED_MEMORY, NEEDED_DISK = 4 * GIB, 5 * GIB
PORTS = {"the UI": 3000, "the store's pages": 3001, "the gateway": 8080}
_MARKS = {"ok": "✓", "warning": "!", "fault": "✗"}
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Check:
    """What one check found. ``todo``: what to do about it, "" where nothing is to be done."""

    name: str
    state: State
    said: str
    todo: str = ""


def run_doctor(as_json: bool = False) -> tuple[str, bool]:
    """The checks as text or JSON, and whether none found a fault."""
    found = list(checks())
    healthy = all(one.state != "fault" for one in found)
    if as_json:
        return json.dumps([asdict(one) for one in found], ensure_ascii=False, indent=1), healthy
    lines = []
    for one in found:
        lines.append(f"{_MARKS[one.state]} {one.name:<9} {one.said}")
        if one.todo:
            lines.append(f"            → {one.todo}")
    return "\n".join(lines), healthy


def checks() -> Iterator[Check]:
    """All of them. One that fails by itself is a fault that says so."""
    every: tuple[Callable[[], Iterator[Check]], ...] = (
        _python,
        _packages,
        _recipe,
        _store,
        _memory,
        _processors,
        _dagster,
        _ports,
    )
    for check in every:
        try:
            yield from check()
        except Exception as error:
            yield Check(check.__name__.strip("_"), "fault", f"{type(error).__name__}: {error}")


def _python() -> Iterator[Check]:
    said = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    good = (3, 11) <= tuple(map(int, platform.python_version_tuple()[:2])) < (3, 13)
    yield Check("python", "ok" if good else "fault", said, "" if good else "take Python 3.11 or 3.12")


def _packages() -> Iterator[Check]:
    """Those that this package requires, and in a checkout the versions that it is tested with."""
    wanted = [Requirement(line) for line in requires("llm_assets") or []]
    wanted = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    bad = [
        f"{one} ({library_version(one.name)})"
        for one in wanted
        if not one.specifier.contains(library_version(one.name), prereleases=True)
    ]
    if bad:
        yield Check("packages", "fault", f"missing or of another version: {', '.join(bad)}", "run: make setup")
        return
    lock = project_root() / "requirements.lock"
    pinned = dict(_PINNED.findall(lock.read_text("utf-8"))) if lock.is_file() else {}
    other = [
        f"{name} {have}, not {pin}" for name, pin in pinned.items() if (have := library_version(name).partition("+")[0]) != pin
    ]
    other = [line for line in other if " absent" not in line]
    if other:
        listed = ", ".join(other[:5]) + (f" and {len(other) - 5} more" if len(other) > 5 else "")
        yield Check("packages", "warning", f"not as in requirements.lock: {listed}", "run: make setup")
    else:
        yield Check(
            "packages", "ok", f"{len(wanted)} required ones are there" + (", as in requirements.lock" if pinned else "")
        )


def _recipe() -> Iterator[Check]:
    try:
        recipe = load_recipe()
    except LlmAssetsError as error:
        yield Check("recipe", "fault", str(error), "mend the recipe, or name another with --recipe")
        return
    yield Check("recipe", "ok", recipe.name)
    yield from _device(recipe.base_model.device)


def _device(asked: str) -> Iterator[Check]:
    import torch

    from llm_assets.core.errors import DeviceError
    from llm_assets.lm.device import resolve

    try:
        device = resolve(asked)
    except DeviceError as error:
        yield Check("gpu", "fault", str(error), "set base_model.device: auto or cpu")
        return
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    yield Check("gpu", "ok", f"{', '.join(names) or 'none'}; models are trained on {device}")


def _store() -> Iterator[Check]:
    try:
        root = store_root()
    except StoreError as error:
        yield Check("store", "fault", str(error), "mend LLM_ASSETS_STORE or LLM_ASSETS_CACHE")
        return
    yield from (Check("bucket", *found) for found in services.bucket(root))
    there = next(path for path in (root, *root.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        variable = "LLM_ASSETS_STORE" if behind(root) is None else "LLM_ASSETS_CACHE"
        yield Check("store", "fault", f"{root} can't be written: {error.strerror}", f"set {variable} to a folder of yours")
        return
    for name, place in {"store": there, "temporary": Path(tempfile.gettempdir())}.items():
        free = shutil.disk_usage(place).free
        said = f"{root if name == 'store' else place}: {free / 1e9:.1f} GB free"
        if free < NEEDED_DISK:
            variable = "TMPDIR" if name != "store" else "LLM_ASSETS_STORE" if behind(root) is None else "LLM_ASSETS_CACHE"
            yield Check(name, "warning", said, f"free some, or set {variable}: the demo's store takes about 2 GB")
        else:
            yield Check(name, "ok", said)


def _memory() -> Iterator[Check]:
    free = psutil.virtual_memory().available
    said = f"{free / GIB:.1f} GiB free of {psutil.virtual_memory().total / GIB:.1f}"
    if free < NEEDED_MEMORY:
        yield Check("memory", "warning", said, "close other programs: the demo takes 3.6 GiB in all its processes")
    else:
        yield Check("memory", "ok", said)


def _processors() -> Iterator[Check]:
    cores, threads = available_cores(), os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and int(threads) > cores:
        said = f"{cores} cores, and OMP_NUM_THREADS={threads}"
        yield Check("cores", "warning", said, "unset OMP_NUM_THREADS: more threads than cores wait for each other")
    else:
        yield Check("cores", "ok", str(cores))


def _dagster() -> Iterator[Check]:
    try:
        home = home_folder()
    except StoreError as error:
        yield Check("dagster", "fault", str(error), "make it one, or unset it")
        return
    if not (home / "dagster.yaml").is_file():
        yield Check("dagster", "ok", f"{home}: made at the first run")
        return
    import yaml

    settings = yaml.safe_load((home / "dagster.yaml").read_text("utf-8")) or {}
    yield from (Check("postgres", *found) for found in services.postgres(settings))
    yield from (Check("runs", *found) for found in services.instance_settings(home, settings))
    pools = settings.get("concurrency", {}).get("pools", {})
    if pools.get("granularity") != "op" or not pools.get("default_limit"):
        yield Check(
            "dagster",
            "warning",
            f"{home}/dagster.yaml sets no limit for pools: two trainings may share a GPU",
            "take over concurrency.pools from the dagster.yaml of this project",
        )
    else:
        yield Check("dagster", "ok", f"{home}, {pools['default_limit']} at once in each pool")


def _ports() -> Iterator[Check]:
    for what, port in PORTS.items():
        try:
            check_port("127.0.0.1", port, what)
        except LlmAssetsError as error:
            yield Check("port", "warning", str(error).partition(";")[0], f"end what uses it, or give {what} another port")
        else:
            yield Check("port", "ok", f"{port} is free for {what}")
