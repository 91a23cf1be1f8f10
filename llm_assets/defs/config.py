"""Dagster config classes, derived from the recipe's sections, so that the launchpad shows every knob with the recipe's value.

Dagster takes scalars, Literals, lists, dicts and nested ``dg.Config`` classes; sections hold nothing else.
"""

from typing import Any, Literal, get_args, get_origin

import dagster as dg
from pydantic import Field, ValidationError, create_model

from llm_assets.core.recipe.base import Section, explain

FORCE = "force_rebuild"


def config_class(asset: str, section: Section) -> type[dg.Config]:
    """The config class of one asset; its defaults are the values of ``section``."""
    return _derive(
        f"{asset}_config",
        section,
        force_rebuild=(
            bool,
            Field(False, description="Build again although an artefact of the same identity is there (a source: fetch again)"),
        ),
    )


def _derive(name: str, section: Section, **more: Any) -> type[dg.Config]:
    fields: dict[str, Any] = {}
    for key, info in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, Section):
            nested = _derive(f"{name}_{key}", value)
            fields[key] = (nested, Field(nested(), description=info.description))
        else:
            fields[key] = (_plain(info.annotation), Field(value, description=info.description))
    return create_model(name, __base__=dg.Config, __doc__=type(section).__doc__, **{**fields, **more})


def _plain(annotation: Any) -> Any:
    """Dagster knows Literals of strings at the top only; any other becomes its members' type (the section validates anyway)."""
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return annotation if all(isinstance(item, str) for item in arguments) else type(arguments[0])
    if get_origin(annotation) is list and get_origin(arguments[0]) is Literal:
        return list[type(get_args(arguments[0])[0])]  # type: ignore[misc]
    return annotation


def section_from(config: dg.Config, section: Section) -> tuple[Section, bool]:
    """Validate what the launchpad gave against the section's own class; returns it and whether a rebuild is forced.

    Raises ``RecipeError`` naming the field, the value and what is allowed.
    """
    values = config.model_dump()
    force = bool(values.pop(FORCE, False))
    try:
        return type(section).model_validate(values), force
    except ValidationError as error:
        raise explain(error, type(section), "launchpad config") from error
