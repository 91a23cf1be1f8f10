"""What Dagster costs: loading the definitions, memory of a code server, and a run of the ten data assets.

    python benchmarks/dagster_overhead.py [--share 0.5]

1. The definitions are loaded in fresh processes; the fastest of three counts.
2. A code server, as 'dagster dev' starts one, is asked for what it holds; then its resident memory is read.
3. The ten data assets of the demo (``--share`` of its site's articles) are made twice, in a store and a process of their own
   each: by one call of ``produce`` an asset, and by Dagster's jobs with an event log on disk, as ``llm-assets run`` does. Time
   starts when everything is imported. What Dagster adds within its own run (all the time that is not spent in ``produce``) is
   told too: it doesn't depend on how busy the machine is in the one run or the other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml
from _results import record, table, versions

LIMIT_LOAD_S, LIMIT_MEMORY_MB, LIMIT_SHARE = 2.5, 200, 0.05
CRAWL = "wiki-2026-11"
BEFORE = ("tombstones", "eval_suite")
ASSETS = (
    *BEFORE,
    "raw_crawl",
    "extracted_pages",
    "cleaned_corpus",
    "deduped_shards",
    "image_dataset",
    "tokenizer",
    "tokenized_dataset",
    "training_mix",
)


def load_seconds() -> float:
    """Of one fresh process, its own start left out."""
    code = "import time; t = time.perf_counter(); import llm_assets.definitions; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def server_mb(folder: Path) -> float:
    """Resident memory of a code server that has told what it holds."""
    from dagster._grpc.client import DagsterGrpcClient

    socket = str(folder / "server.sock")
    command = [sys.executable, "-m", "dagster", "api", "grpc", "-m", "llm_assets.definitions", "--socket", socket]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "DAGSTER_HOME": ""}
    )
    try:
        client = DagsterGrpcClient(socket=socket)
        for _ in range(300):
            try:
                client.list_repositories()
                break
            except Exception:  # not up yet
                time.sleep(0.1)
        else:
            raise RuntimeError("the code server did not answer within 30 s")
        known = psutil.Process(process.pid)
        return sum(one.memory_info().rss for one in (known, *known.children(recursive=True))) / 1e6
    finally:
        process.terminate()
        process.wait()


def by_hand() -> dict[str, float]:
    """One call of ``produce`` an asset."""
    from llm_assets.core.produce import accept_or_raise, produce
    from llm_assets.defs import settings
    from llm_assets.stages import all_specs

    specs, recipe, store = all_specs(), settings.recipe(), settings.store()
    started = time.perf_counter()
    for name in ASSETS:
        spec = specs[name]
        place = {"partition": CRAWL} if spec.partitioned else {}
        accept_or_raise(produce(store, spec, recipe.section(name), **place))
    return {"seconds": time.perf_counter() - started}


def by_dagster() -> dict[str, float]:
    """The same assets through the jobs of the graph; ``inside``: seconds spent in ``produce``."""
    from llm_assets.commands.console import ConsoleListener
    from llm_assets.commands.run import all_parts, run_parts, selected
    from llm_assets.defs import skin

    inside = 0.0
    produce = skin.produce

    def timed(*args: object, **named: object) -> object:
        nonlocal inside
        start = time.perf_counter()
        try:
            return produce(*args, **named)  # type: ignore[arg-type]
        finally:
            inside += time.perf_counter() - start

    skin.produce = timed  # type: ignore[assignment]
    parts = selected(all_parts(), ASSETS)
    with open(os.devnull, "w") as nowhere:
        started = time.perf_counter()
        assert run_parts(parts, CRAWL, ConsoleListener(nowhere))
        return {"seconds": time.perf_counter() - started, "inside": inside}


def side(name: str, folder: Path, recipe: Path) -> dict[str, float]:
    """One side in a process of its own."""
    environment = {**os.environ, "LLM_ASSETS_RECIPE": str(recipe), "LLM_ASSETS_STORE": str(folder / name), "DAGSTER_HOME": ""}
    command = [sys.executable, "-W", "ignore", __file__, "--side", name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout[-2000:] + done.stderr[-3000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def recipe_of(folder: Path, share: float) -> Path:
    """The demo on a share of its articles."""
    from llm_assets.core.recipe import load_recipe

    articles = {lang: max(1, round(n * share)) for lang, n in load_recipe("demo").raw_crawl.site.articles.items()}
    path = folder / "part.yaml"
    path.write_text(yaml.safe_dump({"extends": "demo", "name": "part", "raw_crawl": {"site": {"articles": articles}}}))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=0.5, help="of the demo's articles")
    parser.add_argument("--side", choices=["hand", "dagster"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        import llm_assets.definitions  # noqa: F401

        print(json.dumps(by_hand() if given.side == "hand" else by_dagster()))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        load = min(load_seconds() for _ in range(3))
        memory = server_mb(folder)
        recipe = recipe_of(folder, given.share)
        hand, dagster = side("hand", folder, recipe), side("dagster", folder, recipe)
    added = dagster["seconds"] - dagster["inside"]
    rows: list[dict[str, object]] = [
        {"what": "loading the definitions, s", "measured": load, "at most": LIMIT_LOAD_S},
        {"what": "memory of the code server, MB", "measured": memory, "at most": LIMIT_MEMORY_MB},
        {"what": "ten data assets by hand, s", "measured": hand["seconds"], "at most": ""},
        {"what": "the same by Dagster, s", "measured": dagster["seconds"], "at most": ""},
        {"what": "ratio of the two runs", "measured": dagster["seconds"] / hand["seconds"], "at most": 1 + LIMIT_SHARE},
        {"what": "what Dagster adds within its run, share", "measured": added / dagster["inside"], "at most": LIMIT_SHARE},
    ]
    text = table(rows)
    print(text)
    record(__file__, f"{given.share:.0%} of the demo's articles; {versions('dagster')}.\n\n{text}")


if __name__ == "__main__":
    main()
