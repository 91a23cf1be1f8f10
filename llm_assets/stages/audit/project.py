"""The project of SQL models that this checkout holds, and an asset spec for each model."""

import os
from functools import cache
from pathlib import Path

from llm_assets.core.errors import LlmAssetsError
from llm_assets.core.spec import AssetSpec, Input, Which
from llm_assets.sql.project import Model, Project

FOLDER = "dbt_like_sql"
VARIABLE = "LLM_ASSETS_SQL"
_MODULE = "llm_assets.stages.audit.model"


def project_folder() -> Path:
    """``LLM_ASSETS_SQL``, else ``dbt_like_sql`` beside the package. ``LlmAssetsError`` where there is none."""
    chosen = os.environ.get(VARIABLE)
    folder = Path(chosen).expanduser() if chosen else Path(__file__).parents[3] / FOLDER
    if not folder.is_dir():
        named = f"{VARIABLE} names" if chosen else "the package was installed without"
        raise LlmAssetsError(
            f"{named} {folder}, which is no folder; set {VARIABLE} to the folder of SQL models ({FOLDER} in a checkout)"
        )
    return folder


def project() -> Project:
    """The models, read once a folder and process."""
    return _load(project_folder())


@cache
def _load(folder: Path) -> Project:
    return Project(folder)


def specs() -> tuple[AssetSpec, ...]:
    """An asset spec for each model, each after those it reads."""
    found = project()
    return tuple(_spec(found, model) for model in found.models.values())


def description(asset: str) -> str:
    """What schema.yml says of a model."""
    return project().model(asset).description


def _spec(found: Project, model: Model) -> AssetSpec:
    reads = [Input(name) for name in model.refs]
    used = found.used_assets(model)
    for asset, manifest in found.source_assets(model).items():
        which: Which = "all" if asset in found.partitioned else "used" if asset in used else "one"
        # a manifest is no content of its artefact: there the identity decides, elsewhere the content
        mark = f"{_MODULE}:identity_and_content" if manifest else None
        reads.append(Input(asset, which, True, mark, holders=found.holders if which == "used" else ()))
    return AssetSpec(
        name=model.name,
        entry=f"{_MODULE}:run",
        inputs=tuple(reads),
        gates=f"{_MODULE}:gates",
        gate_names=tuple(name for name, _, _ in model.tests),
        code_version=found.version(model),
        code=("llm_assets.sql",),
        libraries=("duckdb",),
        tags={"sql": model.kind},
    )
