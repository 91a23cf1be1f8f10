"""What the doctor finds about the services of a deployment: the bucket of the store, Postgres, and how runs are watched.

Each function yields ``(state, what was found, what to do)``. Where nothing of the kind is configured there is nothing to say.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from llm_assets.core.errors import StoreError
from llm_assets.core.lease import SECONDS
from llm_assets.core.mirror import behind

Finding = tuple[Literal["ok", "warning", "fault"], str, str]
_CONNECT_SECONDS = 5


def bucket(root: Path) -> Iterator[Finding]:
    """Whether the bucket behind a store can be used, and is safe for two machines."""
    mirror = behind(root)
    if mirror is None:
        return
    try:
        ahead = mirror.objects.check()
    except StoreError as error:
        yield "fault", str(error), "mend that; nothing can be made or read before"
        return
    if abs(ahead) > SECONDS / 4:
        said = f"{mirror.objects.url}: this machine's clock and the server's differ by {abs(ahead):.0f} s"
        yield "warning", said, "set the clock (NTP): leases tell by it whether another machine lives"
    else:
        yield "ok", f"{mirror.objects.url} can be read and written, and lets one of two be first", ""


def postgres(settings: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether the Postgres that ``dagster.yaml`` names answers, and how many connections are left."""
    asked = (settings.get("storage") or {}).get("postgres")
    if not asked:
        return
    names = sorted(_variables(asked))
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        yield "fault", f"dagster.yaml asks for {', '.join(missing)}, which the environment does not have", "set and export them"
        return
    try:
        from dagster_postgres.utils import pg_url_from_config
        from sqlalchemy import create_engine, text
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        yield (
            "fault",
            f"history is in Postgres, but {error.name} is not installed",
            "pip install dagster-postgres psycopg2-binary",
        )
        return
    url = pg_url_from_config(_resolved(asked))
    engine = create_engine(url, connect_args={"connect_timeout": _CONNECT_SECONDS})
    try:
        with engine.connect() as connection:
            version, used, most = connection.execute(text(
                "select current_setting('server_version'), (select count(*) from pg_stat_activity), "
                "current_setting('max_connections')::int"
            )).one()  # fmt: skip
    except SQLAlchemyError as error:
        yield "fault", f"Postgres does not answer: {str(error.__cause__ or error).strip()}", f"look at {', '.join(names)}"
        return
    finally:
        engine.dispose()
    said = f"Postgres {version} at {engine.url.host}:{engine.url.port}, {used} of {most} connections in use"
    full = used > 0.8 * most
    yield ("warning" if full else "ok"), said, "raise max_connections: each run and daemon takes some" if full else ""


def instance_settings(home: Path, settings: Mapping[str, Any]) -> Iterator[Finding]:
    """What an instance of one's own lacks of the shipped one."""
    todo = "take it over from the dagster.yaml of this project"
    if (settings.get("telemetry") or {}).get("enabled", True):
        yield "warning", f"{home}/dagster.yaml leaves Dagster's telemetry on", "set telemetry: {enabled: false}"
    watched = (settings.get("run_monitoring") or {}).get("enabled") and "run_launcher" in settings
    if not watched:
        yield (
            "warning",
            f"{home}/dagster.yaml has no run_launcher and run_monitoring: a run that lost its worker never ends",
            todo,
        )
    if not (settings.get("run_retries") or {}).get("enabled"):
        yield "warning", f"{home}/dagster.yaml has no run_retries: a run that lost its worker is not tried again", todo


def _variables(asked: Any) -> set[str]:
    if isinstance(asked, dict):
        return {asked["env"]} if set(asked) == {"env"} else {name for value in asked.values() for name in _variables(value)}
    return set()


def _resolved(asked: Any) -> Any:
    if isinstance(asked, dict):
        return os.environ[asked["env"]] if set(asked) == {"env"} else {key: _resolved(value) for key, value in asked.items()}
    return asked
