"""Model cards: what a model is, what it was made of, how it did, whom the texts are owed to; in the Hub's format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_assets.core import embedded
from llm_assets.core.artefact import Artefact

CARD_FILE = "model_card.md"
_INTENDED = (
    "A small model made to show that a pipeline works end to end. It states falsehoods fluently and was not made safe: "
    "use it for tests, teaching and measurements, not for answers that matter."
)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value).replace("|", "\\|").replace("\n", " ")


def _table(rows: Mapping[str, Any]) -> list[str]:
    return ["| | |", "| --- | --- |", *(f"| {name} | {_value(value)} |" for name, value in rows.items())]


def write(
    folder: Path,
    title: str,
    about: str,
    *,
    made_from: Sequence[Artefact],
    training: Mapping[str, Any],
    figures: Mapping[str, Any],
    languages: Sequence[str] = ("en",),
    limits: str = "",
) -> Path:
    """Write ``model_card.md``. ``made_from``: the artefacts read (their refs are the lineage); tables keep their order."""
    front = ["---", "language:", *(f"- {code}" for code in languages), "license: cc-by-sa-4.0", "pipeline_tag: text-generation"]
    lines = [*front, "---", "", f"# {title}", "", about, "", "## Use", "", " ".join(filter(None, (_INTENDED, limits)))]
    lines += ["", "## Figures, on held-out data", "", *_table(figures)]
    lines += ["", "## Training", "", *_table(training)]
    lines += ["", "## Made from", "", *(f"- `{artefact.ref}`" for artefact in made_from)]
    lines += ["", "The documents behind each step can be traced: `llm-assets trace`."]
    lines += ["", "## Credit", "", f"{embedded.credit()}. Licence of the texts: {embedded.license_url()}", ""]
    path = folder / CARD_FILE
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
