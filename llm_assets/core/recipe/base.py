"""What every section of the recipe shares: frozen, nothing extra, units in names, identity apart from execution.

A section holds scalars, Literals, lists, dicts and other sections only, because Dagster's config can show no more
(it rejects unions and tuples).
"""

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llm_assets.core.errors import RecipeError


class Section(BaseModel):
    """Base of all sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def execution(default: Any, **constraints: Any) -> Any:
    """A field that says how to run, not what comes out (workers, device, time-outs). It is never part of an identity."""
    return Field(default, json_schema_extra={"execution": True}, **constraints)


def _is_execution(section: type[BaseModel], name: str) -> bool:
    extra = section.model_fields[name].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("execution"))


def identity_values(section: BaseModel) -> dict[str, Any]:
    """The section as JSON values without its execution fields, at any depth: what goes into an identity."""
    values: dict[str, Any] = {}
    for name in type(section).model_fields:
        if _is_execution(type(section), name):
            continue
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            values[name] = identity_values(value)
        else:
            values[name] = section.model_dump(mode="json", include={name})[name]
    return values


def allowed_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    """Field names allowed beside the last part of ``location``; empty where that is no section."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(current, type) and issubclass(current, BaseModel) and part in current.model_fields:
            current = current.model_fields[part].annotation
        else:
            return []
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []


def explain(error: ValidationError, model: type[BaseModel], where: str) -> RecipeError:
    """Turn pydantic's errors into sentences: the field, the value, what is allowed, the near miss."""
    lines = []
    for item in error.errors():
        location = tuple(item["loc"])
        name = ".".join(str(part) for part in location)
        if item["type"] == "extra_forbidden":
            allowed = allowed_at(model, location)
            near = get_close_matches(str(location[-1]), allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"allowed: {', '.join(allowed)}"
            lines.append(f"{where}: {name}: no such field; {hint}")
        else:
            given = item.get("input")
            shown = "" if isinstance(given, dict) else f" (given: {given!r})"
            lines.append(f"{where}: {name}: {item['msg'].removeprefix('Value error, ')}{shown}")
    return RecipeError("\n".join(lines))
