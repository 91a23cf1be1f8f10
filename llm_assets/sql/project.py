"""A folder of SQL models: what they are called, what they read, in which order they are built.

``<folder>/<kind>/<model>.sql`` with the models' descriptions and tests in ``*.yml`` beside them and the artefacts' files in
``sources.yml``. Reading a project parses no SQL and opens no database, so specs come from it cheaply; everything that can be
wrong with names is found here, before anything runs.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_assets.core.jsonio import digest
from llm_assets.sql.errors import SqlError, near
from llm_assets.sql.schema import ModelEntry, SchemaFile, SourceEntry, Test, load_schema
from llm_assets.sql.templates import Reference, references

if TYPE_CHECKING:
    from llm_assets.sql.build import BuildResult, Sources

RUNNER_VERSION = "2"  # raise it when the same model over the same files may give another table
# source('*', 'manifest.json'): the file of every asset that sources.yml lists it for; of those with, and without, crawls
EVERY, CRAWLED, WHOLE = "*", "*[crawl]", "*[all]"
GROUPS = (EVERY, CRAWLED, WHOLE)
USED = "[used]"  # source('training_mix[used]', …): besides the current artefact those that current models were made of

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Model:
    """One table: ``sql`` is its text as written; ``kind`` its folder (staging, marts)."""

    name: str
    kind: str
    path: Path
    sql: str
    entry: ModelEntry
    references: tuple[Reference, ...]

    @property
    def description(self) -> str:
        """What the table is, from schema.yml."""
        return self.entry.description

    @property
    def columns(self) -> dict[str, str]:
        """Column → description, in the table's order."""
        return {column.name: column.description for column in self.entry.columns}

    @property
    def tests(self) -> list[tuple[str, str, Test]]:
        """(gate name, column or "", test)."""
        return self.entry.all_tests()

    @property
    def refs(self) -> tuple[str, ...]:
        """Models that it reads, each once, in order of appearance; the tests' ones last."""
        tested = [test.arguments["to"] for _, _, test in self.tests if test.kind == "relationships"]
        return tuple(name for name in dict.fromkeys([*self.reads, *tested]) if name != self.name)

    @property
    def reads(self) -> tuple[str, ...]:
        """Models that its SQL reads, each once, without those that only its tests do."""
        return tuple(dict.fromkeys(r.arguments[0] for r in self.references if r.kind == "ref"))

    @property
    def sources(self) -> tuple[tuple[str, str], ...]:
        """(asset, or "*" and its kin, files) that it reads, each once."""
        return tuple(dict.fromkeys((r.arguments[0], r.arguments[1]) for r in self.references if r.kind == "source"))

    @property
    def where(self) -> str:
        """How messages name its file."""
        return f"{self.kind}/{self.path.name}"


class Project:
    """All models below a folder, by name, each after those it reads.

    Raises ``SqlError`` (file, line, near miss) for an unknown ref or source, a model without a schema entry or an entry
    without a model, two of one name, and a cycle.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SqlError(f"no folder of SQL models at {folder}")
        self.folder = folder
        files = [load_schema(path) for path in sorted(folder.rglob("*.yml"))]
        self.sources: list[SourceEntry] = [source for file in files for source in file.sources]
        self.partitioned: frozenset[str] = frozenset(asset for file in files for asset in file.partitioned)
        self.holders: tuple[str, ...] = tuple(asset for file in files for asset in file.holders)
        found = _models(folder, files)
        for model in found.values():
            self._check(model, found)
        self.models: dict[str, Model] = _ordered(found)

    @cached_property
    def _by_file(self) -> dict[tuple[str, str], SourceEntry]:
        return {(asset, source.files): source for source in self.sources for asset in source.assets}

    def source(self, asset: str, files: str) -> SourceEntry:
        """What ``sources.yml`` says of these files."""
        asset = asset.removesuffix(USED)
        if asset in GROUPS:
            return next(source for source in self.sources if source.files == files)
        return self._by_file[asset, files]

    def assets(self, asset: str, files: str) -> list[str]:
        """The assets that ``source(asset, files)`` means."""
        asset = asset.removesuffix(USED)
        if asset not in GROUPS:
            return [asset]
        listed = self.source(asset, files).assets
        return [name for name in listed if asset == EVERY or (name in self.partitioned) == (asset == CRAWLED)]

    def source_assets(self, model: Model) -> dict[str, bool]:
        """Asset → whether more than its content is read (its manifest, its identity), for every asset that the model reads."""
        found: dict[str, bool] = {}
        for asset, files in model.sources:
            for name in self.assets(asset, files):
                found[name] = found.get(name, False) or files == "manifest.json" or "_identity" in model.sql
        return found

    def used_assets(self, model: Model) -> frozenset[str]:
        """The assets without crawls of which a model reads more than the current artefact."""
        told = [(asset, files) for asset, files in model.sources if asset.endswith(USED)]
        return frozenset(name for asset, files in told for name in self.assets(asset, files)) - self.partitioned

    def version(self, model: Model) -> str:
        """12 hex digits over the runner, the SQL, the tests and the declared columns of what is read; not descriptions."""
        sources = [[asset, self.source(asset, files).model_dump(exclude={"description"})] for asset, files in model.sources]
        for _, source in sources:
            for column in source["columns"]:  # type: ignore[index]
                column.pop("description")
        tests = [[name, column, test.model_dump()] for name, column, test in model.tests]
        plots = [plot.model_dump() for plot in model.entry.plots]
        shape = [model.sql, list(model.columns), model.entry.incremental]
        return digest([RUNNER_VERSION, shape, tests, plots, sources])[:12]

    def build(
        self, name: str, sources: "Sources", refs: Mapping[str, Path], out: Path, values: Mapping[str, Any] | None = None
    ) -> "BuildResult":
        """Build one model (see ``llm_assets.sql.build.build``)."""
        from llm_assets.sql.build import build

        return build(self, self.model(name), sources, refs, out, values or {})

    def model(self, name: str) -> Model:
        """The model of that name; ``SqlError`` with the near miss where there is none."""
        if name not in self.models:
            raise SqlError(f"no model is named {name!r}; {near(name, self.models)}")
        return self.models[name]

    def _check(self, model: Model, known: dict[str, Model]) -> None:
        queries = [(f"{model.name}: test {t.arguments['name']}", t) for _, _, t in model.tests if t.kind == "sql"]
        in_tests = [(w, r) for w, t in queries for r in references(t.arguments["query"], w)]
        read = {(r.kind, r.arguments) for r in model.references}
        for where, reference in [(model.where, r) for r in model.references] + in_tests:
            place = f"{where}, line {reference.line}"
            if reference.kind == "ref" and reference.arguments[0] not in known:
                raise SqlError(f"{place}: no model is named {reference.arguments[0]!r}; {near(reference.arguments[0], known)}")
            if reference.kind == "source":
                self._check_source(place, *reference.arguments)
            if reference.kind == "var":
                _check_var(place, model.name, reference.arguments[0])
            if where == model.where and reference.kind == "this":
                raise SqlError(f"{place}: {{{{ this }}}} is for tests; a model can't read itself")
            if where != model.where and reference.kind != "this" and (reference.kind, reference.arguments) not in read:
                raise SqlError(f"{place}: a test may read {{{{ this }}}} and what the model reads, not {reference.relation!r}")
        for name, _, test in model.tests:
            if test.kind == "relationships":
                self._check_relationship(f"{model.name}: test {name}", test, known)
        if model.entry.incremental:
            self._check_incremental(model, known)
        plain = {name for asset, files in model.sources if not asset.endswith(USED) for name in self.assets(asset, files)}
        both = sorted(self.used_assets(model) & plain)
        if both:
            raise SqlError(f"{model.where}: it reads {both[0]} with {USED} and without; make two models of it")

    def _check_incremental(self, model: Model, known: dict[str, Model]) -> None:
        """Rows of a crawl can only be made by themselves if all that is read is of one crawl."""
        read = [name for asset, files in model.sources for name in self.assets(asset, files)]
        whole = [name for name in read if name not in self.partitioned]
        whole += [name for name in model.reads if not known[name].entry.incremental]
        if whole:
            raise SqlError(
                f"{model.where}: it is incremental by crawl but reads {', '.join(whole)}, which has no crawls; read assets "
                "with one artefact a crawl and models that are incremental themselves"
            )

    def _check_source(self, place: str, asset: str, files: str) -> None:
        asset = asset.removesuffix(USED)
        if asset in GROUPS:
            declared = [source.files for source in self.sources]
            if declared.count(files) != 1:
                raise SqlError(
                    f"{place}: source({asset!r}, …) needs files that sources.yml lists once, not {files!r}; "
                    f"{near(files, declared)}"
                )
            return
        assets = {name for source in self.sources for name in source.assets}
        if asset not in assets:
            raise SqlError(f"{place}: sources.yml lists no asset {asset!r}; {near(asset, assets)}")
        if (asset, files) not in self._by_file:
            listed = [name for owner, name in self._by_file if owner == asset]
            raise SqlError(f"{place}: sources.yml lists no {files!r} of {asset}; {near(files, listed)}")

    def _check_relationship(self, where: str, test: Test, known: dict[str, Model]) -> None:
        to, field = test.arguments["to"], test.arguments["field"]
        if to not in known:
            raise SqlError(f"{where}: no model is named {to!r}; {near(to, known)}")
        if field not in known[to].columns:
            raise SqlError(f"{where}: {to} has no column {field!r}; {near(field, known[to].columns)}")


def _check_var(place: str, model: str, field: str) -> None:
    from llm_assets.core.recipe import Recipe

    fields = Recipe.section_class(model).model_fields
    if field not in fields:
        raise SqlError(f"{place}: the recipe has no field {model}.{field}; {near(field, fields)}")


def _models(folder: Path, files: list[SchemaFile]) -> dict[str, Model]:
    entries: dict[str, ModelEntry] = {}
    for entry in (entry for file in files for entry in file.models):
        if entry.name in entries:
            raise SqlError(f"schema.yml describes {entry.name!r} twice")
        entries[entry.name] = entry
    models: dict[str, Model] = {}
    for path in sorted(folder.rglob("*.sql")):
        where = path.relative_to(folder).as_posix()
        name, kind = path.stem, path.parent.name if path.parent != folder else ""
        if not kind or not _NAME.fullmatch(name):
            raise SqlError(f"{where}: models lie in a folder such as staging/ or marts/, in lower_case.sql")
        if name in models:
            raise SqlError(f"{where}: there is a model of that name already, {models[name].where}")
        if name not in entries:
            raise SqlError(f"{where}: no schema.yml describes {name!r}; {near(name, entries)}")
        text = path.read_text("utf-8").rstrip().rstrip(";").rstrip() + "\n"
        models[name] = Model(name, kind, path, text, entries[name], tuple(references(text, where)))
    for name in entries:
        if name not in models:
            raise SqlError(f"schema.yml describes {name!r}, but there is no {name}.sql; {near(name, models)}")
    return models


def _ordered(models: dict[str, Model]) -> dict[str, Model]:
    done: dict[str, Model] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise SqlError(f"models read each other in a circle: {' → '.join((*path[path.index(name) :], name))}")
        if name not in done:
            for ref in models[name].refs:
                visit(ref, (*path, name))
            done[name] = models[name]

    for name in models:
        visit(name, ())
    return done
