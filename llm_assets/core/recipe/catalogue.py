"""How assets are presented and to whom they belong: nothing here decides what an artefact holds, or its identity."""

import re
from typing import Self

from pydantic import Field, model_validator

from llm_assets.core.recipe.base import Section

# What Dagster takes as an owner, as a tag's name and value, and as a kind.
_OWNER = re.compile(r"^(team:[A-Za-z0-9_.-]+|[^@\s:]+@[^@\s]+\.[^@\s]+)$")
_TAG_KEY = re.compile(r"^([A-Za-z0-9][A-Za-z0-9_.-]*/)?[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
_TAG_VALUE = re.compile(r"^[A-Za-z0-9_.-]{0,63}$")
_RESERVED = "dagster/"


class Presentation(Section):
    """What the UI says of an asset, or of all in a group. Empty: as the asset has it."""

    description: str = Field("", description="Stands before the asset's own description")
    owners: list[str] = Field([], description="E-mail addresses, or team:NAME")
    tags: dict[str, str] = Field({}, description="Name and value; search for them in the UI as tag:NAME=VALUE")
    kinds: list[str] = Field([], description="More labels on the asset's node, as s3 or internal")

    @model_validator(mode="after")
    def _takes_the_ui(self) -> Self:
        for owner in self.owners:
            if not _OWNER.match(owner):
                raise ValueError(f"owners: {owner!r} is neither an e-mail address nor team:NAME")
        for key, value in self.tags.items():
            if key.startswith(_RESERVED):
                raise ValueError(f"tags: {key!r} begins with {_RESERVED!r}, which is Dagster's own; choose another")
            if not _TAG_KEY.match(key) or not _TAG_VALUE.match(value):
                raise ValueError(f"tags: {key}={value!r}: letters, digits, '_', '.', '-' only, at most 63")
        for kind in self.kinds:
            if not _TAG_VALUE.match(kind) or not kind:
                raise ValueError(f"kinds: {kind!r}: letters, digits, '_', '.', '-' only, at most 63")
        return self


class CatalogueConfig(Section):
    """By group (as corpus or post_training) and by asset; what the asset says goes before what its group says."""

    groups: dict[str, Presentation] = Field({}, description="Group → what its assets say")
    assets: dict[str, Presentation] = Field({}, description="Asset → what it says")

    def of(self, asset: str, group: str) -> Presentation:
        """The presentation of one asset: its own description and owners, else its group's; tags and kinds of both."""
        mine, shared = self.assets.get(asset, Presentation()), self.groups.get(group, Presentation())
        return Presentation(
            description=mine.description or shared.description,
            owners=mine.owners or shared.owners,
            tags={**shared.tags, **mine.tags},
            kinds=[*shared.kinds, *(kind for kind in mine.kinds if kind not in shared.kinds)],
        )
