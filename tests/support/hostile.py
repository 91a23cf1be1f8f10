"""A code location whose assets die, hang and wait, and another project's asset that reads one of ours.

What they did is in ``$HOSTILE``: a line in ``<asset>.starts`` for each start; a file named ``go`` lets the waiting ones end.
"""

import os
import signal
import time
from pathlib import Path

import dagster as dg

PLACE = Path(os.environ.get("HOSTILE", "/nowhere"))


def starts(name):
    """How often an asset was started, this start counted."""
    with open(PLACE / f"{name}.starts", "a") as handle:
        handle.write("x")
    return len((PLACE / f"{name}.starts").read_text())


@dg.asset
def killed():
    """Taken by the out-of-memory killer at its first start; its half is there for the second."""
    if starts("killed") == 1:
        (PLACE / "half").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)
    return (PLACE / "half").read_text()


@dg.asset
def hanging():
    """Never ends by itself."""
    starts("hanging")
    while True:
        time.sleep(0.05)


@dg.asset
def waiting():
    """Ends when it is let go."""
    starts("waiting")
    while not (PLACE / "go").exists():
        time.sleep(0.05)


@dg.asset(deps=["tombstones"], kinds={"python"})
def their_report(context: dg.AssetExecutionContext):
    """Of another project: what it saw of ours."""
    event = context.instance.get_latest_materialization_event(dg.AssetKey("tombstones"))
    return dg.MaterializeResult(metadata={"saw": event.asset_materialization.tags["dagster/data_version"]})


defs = dg.Definitions(
    assets=[killed, hanging, waiting, their_report],
    jobs=[dg.define_asset_job(f"{name}_job", selection=[name]) for name in ("killed", "hanging", "waiting", "their_report")],
    executor=dg.in_process_executor,
)
