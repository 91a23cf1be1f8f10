"""The evaluation group."""

from llm_assets.defs.skin import Skin

SKINS = (
    Skin(
        "eval_suite",
        "evaluation",
        "What is held out, by article: topic, description, translation, perplexity. The corpus is decontaminated against it.",
        frozenset({"json"}),
    ),
    Skin(
        "eval_report",
        "evaluation",
        "All models side by side on all tasks with intervals and baselines, and samples for a person to read.",
        frozenset({"html"}),
    ),
    Skin(
        "refresh_ablation",
        "evaluation",
        "Whether the newest crawl helps: tiny models trained with it and without, bits per byte on held-out documents.",
        frozenset({"pytorch"}),
    ),
)
