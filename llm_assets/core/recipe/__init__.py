"""The recipe: one frozen tree, a section an asset, every knob of every stage.

A recipe file is YAML. ``extends: NAME`` starts from another recipe, so that recipes differ in a few lines; what a file
leaves out has the default of the section's class. ``LLM_ASSETS_RECIPE`` selects the recipe: a
name of ``llm_assets/recipes/`` or a path.
"""

import os
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from llm_assets.core.errors import RecipeError
from llm_assets.core.recipe.audit import ComputeCostConfig, DagsterEventsConfig, TrainingContentSummaryConfig
from llm_assets.core.recipe.base import Section, execution, explain, identity_values
from llm_assets.core.recipe.catalogue import CatalogueConfig
from llm_assets.core.recipe.corpus import (
    CleanedCorpusConfig,
    DedupedShardsConfig,
    ExtractedPagesConfig,
    ImageDatasetConfig,
)
from llm_assets.core.recipe.crawl import RawCrawlConfig, TombstonesConfig
from llm_assets.core.recipe.evaluation import EvalReportConfig, EvalSuiteConfig, RefreshAblationConfig
from llm_assets.core.recipe.executor import ExecutorConfig
from llm_assets.core.recipe.post_training import (
    InstructionDatasetConfig,
    PreferenceDatasetConfig,
    RewardModelConfig,
    RlhfModelConfig,
    SftModelConfig,
)
from llm_assets.core.recipe.pretraining import BaseModelConfig
from llm_assets.core.recipe.release import DeploymentConfig, QuantizedExportConfig
from llm_assets.core.recipe.tokens import TokenizedDatasetConfig, TokenizerConfig, TrainingMixConfig

__all__ = ["Recipe", "Section", "execution", "identity_values", "load_recipe", "recipes_folder"]

DEFAULT_RECIPE = "demo"


class Recipe(Section):
    """One frozen tree; the field names below ``catalogue`` are the asset names."""

    name: str = Field(pattern=r"^[A-Za-z0-9._-]+$", description="Names the CURRENT pointers in the store")
    description: str = ""
    executor: ExecutorConfig = Field(ExecutorConfig(), description="Where the data stages make their shards")
    catalogue: CatalogueConfig = Field(CatalogueConfig(), description="Descriptions, owners and tags in the UI")
    raw_crawl: RawCrawlConfig = RawCrawlConfig()
    tombstones: TombstonesConfig = TombstonesConfig()
    extracted_pages: ExtractedPagesConfig = ExtractedPagesConfig()
    cleaned_corpus: CleanedCorpusConfig = CleanedCorpusConfig()
    deduped_shards: DedupedShardsConfig = DedupedShardsConfig()
    image_dataset: ImageDatasetConfig = ImageDatasetConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    tokenized_dataset: TokenizedDatasetConfig = TokenizedDatasetConfig()
    training_mix: TrainingMixConfig = TrainingMixConfig()
    base_model: BaseModelConfig = BaseModelConfig()
    instruction_dataset: InstructionDatasetConfig = InstructionDatasetConfig()
    preference_dataset: PreferenceDatasetConfig = PreferenceDatasetConfig()
    sft_model: SftModelConfig = SftModelConfig()
    reward_model: RewardModelConfig = RewardModelConfig()
    rlhf_model: RlhfModelConfig = RlhfModelConfig()
    eval_suite: EvalSuiteConfig = EvalSuiteConfig()
    eval_report: EvalReportConfig = EvalReportConfig()
    refresh_ablation: RefreshAblationConfig = RefreshAblationConfig()
    quantized_export: QuantizedExportConfig = QuantizedExportConfig()
    deployment: DeploymentConfig = DeploymentConfig()
    dagster_events: DagsterEventsConfig = DagsterEventsConfig()
    compute_cost: ComputeCostConfig = ComputeCostConfig()
    training_content_summary: TrainingContentSummaryConfig = TrainingContentSummaryConfig()

    @model_validator(mode="before")
    @classmethod
    def _one_executor(cls, tree: Any) -> Any:
        """``executor`` (``ray`` is short for ``kind: ray``) holds for each section that has one, under what that says."""
        shared = _executor(tree.get("executor")) if isinstance(tree, dict) else None
        if not isinstance(shared, dict):
            return tree
        tree = {**tree, "executor": shared}
        for name in cls.model_fields:
            own = tree.get(name, {})
            if "executor" in cls.section_class(name).model_fields and isinstance(own, dict):
                mine = _executor(own.get("executor", {}))
                tree[name] = {**own, "executor": _merge(shared, mine) if isinstance(mine, dict) else mine}
        return tree

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        vocabulary = self.tokenizer.vocab_size
        if vocabulary % 32:
            raise ValueError(
                f"tokenizer.vocab_size is {vocabulary}; it must be a multiple of 32, because quantised formats store rows "
                f"in blocks of 32; use {vocabulary // 32 * 32} or {vocabulary // 32 * 32 + 32}"
            )
        return self

    def section(self, asset: str) -> Section:
        """The section of one asset (an empty one where the asset has no knobs)."""
        found = getattr(self, asset, None)
        return found if isinstance(found, Section) else _NO_KNOBS

    @classmethod
    def section_class(cls, asset: str) -> type[Section]:
        """The class of an asset's section."""
        field = cls.model_fields.get(asset)
        found = field.annotation if field is not None else None
        return found if isinstance(found, type) and issubclass(found, Section) else Section


_NO_KNOBS = Section()


def _executor(told: Any) -> Any:
    return {"kind": told} if isinstance(told, str) else told.model_dump() if isinstance(told, ExecutorConfig) else told


def recipes_folder() -> Path:
    """Where the shipped recipes are."""
    return Path(__file__).parents[2] / "recipes"


def _read(name_or_path: str, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = recipes_folder() / f"{name_or_path}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in recipes_folder().glob("*.yaml")))
        raise RecipeError(
            f"no recipe at {name_or_path!r}; give one of the shipped ones ({shipped}) or the path of a .yaml file"
        )
    try:
        tree = yaml.safe_load(path.read_text("utf-8")) or {}
    except yaml.YAMLError as error:
        raise RecipeError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise RecipeError(f"{path}: a recipe is a mapping of sections, not a {type(tree).__name__}")
    parent = tree.pop("extends", None)
    if parent is None:
        return tree
    if str(path) in seen:
        raise RecipeError(f"{path}: 'extends' goes in a circle: {' → '.join((*seen, str(path)))}")
    beside = path.parent / f"{parent}.yaml"
    return _merge(_read(str(beside) if beside.is_file() else str(parent), (*seen, str(path))), tree)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Mappings merge, everything else is replaced; ``{replace: true, …}`` replaces a mapping whole."""
    merged = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and value.get("replace") is True:
            merged[key] = {k: v for k, v in value.items() if k != "replace"}
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def load_recipe(name_or_path: str | None = None, overrides: dict[str, Any] | None = None) -> Recipe:
    """Load and validate a recipe.

    ``name_or_path``: None reads ``LLM_ASSETS_RECIPE`` (default "demo"). ``overrides``: a nested mapping merged last.
    Raises ``RecipeError`` naming the field, the value, what is allowed and the near miss.
    """
    chosen = name_or_path or os.environ.get("LLM_ASSETS_RECIPE") or DEFAULT_RECIPE
    tree = _merge(_read(chosen), overrides or {})
    tree.setdefault("name", Path(chosen).stem)
    try:
        return Recipe.model_validate(tree)
    except ValidationError as error:
        raise explain(error, Recipe, f"recipe {chosen}") from error
