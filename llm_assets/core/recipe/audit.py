"""Sections of the audit group: dagster_events, compute_cost, training_content_summary."""

from typing import Literal

from pydantic import Field

from llm_assets.core.recipe.base import Section, execution


class DagsterEventsConfig(Section):
    """Whose history of runs is copied into the warehouse."""

    home: str = execution(
        "", description="Folder of the Dagster instance (SQLite); empty: DAGSTER_HOME, else '.dagster' below the store"
    )


class ComputeCostConfig(Section):
    """What machine time costs; the table is made anew when a price changes, and nothing else is."""

    gpu_hour_price: float = Field(2.5, ge=0, description="Price of an hour of a GPU; 0 where it costs nothing")
    cpu_hour_price: float = Field(0.1, ge=0, description="Price of an hour of a machine without one")
    currency: str = Field("EUR", pattern=r"^[A-Z]{3}$", description="Of both, by ISO 4217")


class TrainingContentSummaryConfig(Section):
    """What the provider alone knows of a model, for the public summary of its training content. Empty: "not stated"."""

    provider: str = Field("", description="Name of who places the model on the market")
    contact: str = Field("", description="Address by which the provider can be reached, public")
    representative: str = Field("", description="Authorised representative in the Union, of a provider outside it, and contact")
    model_names: dict[str, str] = Field({}, description="Asset (rlhf_model) → the name and version under which it is offered")
    placed_on_market: dict[str, str] = Field({}, description="Asset → day of its placing on the Union market, YYYY-MM-DD")
    built_on: str = Field("", description="Model of another provider that this one modifies, with its summary; empty: none")
    small_enterprise: bool = Field(False, description="A small or medium enterprise, which may list fewer domains")
    domains_shown: int = Field(2_000, ge=1, description="Longest list of domains in one page; what is left out is said")
    public_datasets: dict[str, str] = Field({}, description="Name of a publicly available data set that went in → where it is")
    licensed_data: str = Field("", description="Data licensed from rightsholders; empty: not stated")
    private_data: str = Field("", description="Data of other third parties that is not public; empty: not stated")
    user_data: str = Field("", description="Data of the provider's users that went in; empty: not stated")
    synthetic_data: str = Field("", description="Text made by other models, and which; empty: not stated")
    other_sources: str = Field("", description="Sources of any other kind; empty: not stated")
    code_of_practice: Literal["not stated", "signed", "not signed"] = Field(
        "not stated", description="Whether the provider signed the code of practice for general-purpose AI"
    )
    illegal_content: str = Field("", description="Measures against illegal content besides the filters of the recipe")
    continuous: bool = Field(False, description="Whether the model goes on learning from new data after this")
